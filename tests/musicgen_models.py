"""Tiny MusicGens with random weights, in the genuine formats: of transformers and of audiocraft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIZE, LEVELS, WIDTH = 32, 4, 16  # tokens per codebook, codebooks per channel, hidden size
RATE, RATIOS = 3200, (8, 8)  # 50 frames a second, as in the real ones


def make_transformers_checkpoint(
    folder: Path, *, channels: int = 1, melody: bool = False, **size: Any
) -> Path:
    """Write a MusicGen in transformers format, with T5, EnCodec and decoder of its own classes.

    ``size`` overrides fields of the decoder's config.
    """
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    words = ["<pad>", "</s>", "<unk>", "a", "calm", "loud", "piano", "drum", "tune"]
    words_model = models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>")
    tokenizer = Tokenizer(words_model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    text = hf.T5EncoderModel(
        hf.T5Config(vocab_size=len(words), d_model=24, d_ff=32, d_kv=8, num_layers=1, num_heads=2)
    )
    codec = hf.EncodecModel(
        hf.EncodecConfig(
            target_bandwidths=[1.0],  # 4 codebooks of 5 bits, 50 times a second
            sampling_rate=RATE,
            audio_channels=1,
            num_filters=4,
            num_residual_layers=1,
            upsampling_ratios=list(RATIOS),
            codebook_size=SIZE,
            codebook_dim=WIDTH,
            hidden_size=WIDTH,
            num_lstm_layers=1,
            use_causal_conv=False,
            norm_type="weight_norm",
            chunk_length_s=None,
            normalize=False,
        )
    )
    quantizers: Any = codec.quantizer.layers
    for level, layer in enumerate(quantizers):  # which are initialised with zeros
        layer.codebook.embed.copy_(torch.randn(SIZE, WIDTH) / (level + 1))
    kind: Any = hf.MusicgenMelodyForConditionalGeneration
    config: Any = hf.MusicgenMelodyDecoderConfig
    lm: Any = hf.MusicgenMelodyForCausalLM
    if not melody:
        kind, config = hf.MusicgenForConditionalGeneration, hf.MusicgenDecoderConfig
        lm = hf.MusicgenForCausalLM
    decoder = lm(
        config(
            **{
                "vocab_size": SIZE,
                "num_codebooks": LEVELS * channels,
                "audio_channels": channels,
                "hidden_size": WIDTH,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "ffn_dim": 32,
                "pad_token_id": SIZE,
                "bos_token_id": SIZE,
                "decoder_start_token_id": SIZE,
                **size,
            }
        )
    )
    for parameter in decoder.parameters():  # so that conditions change the output
        torch.nn.init.normal_(parameter, std=0.3 if parameter.shape[-1] < 64 else 0.02)
    model = kind(text_encoder=text, audio_encoder=codec, decoder=decoder)
    if melody:
        model.config.chroma_length = 12
    generation = model.generation_config
    generation.pad_token_id = generation.bos_token_id = SIZE
    generation.decoder_start_token_id = SIZE
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_audiocraft_checkpoint(
    folder: Path, *, channels: int = 1, melody: bool = False, **size: Any
) -> Path:
    """Write a MusicGen in audiocraft's format: two pickles of tensors with YAML beside them.

    ``size`` overrides fields of the language model's config.
    """
    from audiocraft.models import builders
    from omegaconf import OmegaConf

    from shared.musicgen.with_audiocraft import _local_conditioners

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    sound = {"sample_rate": RATE, "channels": 1}
    net = {"dimension": WIDTH, "n_filters": 4, "n_residual_layers": 1, "ratios": list(RATIOS)}
    codec_config = OmegaConf.create(
        {
            "compression_model": "encodec",
            "device": "cpu",
            "encodec": {"autoencoder": "seanet", "quantizer": "rvq", "causal": False, **sound},
            "seanet": {"channels": 1, "lstm": 1, "encoder": {}, "decoder": {}, **net},
            "rvq": {"n_q": LEVELS, "bins": SIZE, "kmeans_init": False, "q_dropout": False},
        }
    )
    conditioners: dict[str, Any] = {
        "description": {
            "model": "lut",
            "lut": {"n_bins": 64, "dim": WIDTH, "tokenizer": "noop"},
        }
    }
    if melody:
        chroma = {"sample_rate": RATE, "n_chroma": 12, "radix2_exp": 10, "argmax": True}
        conditioners["self_wav"] = {"model": "chroma_stem", "chroma_stem": chroma}
    ways: dict[str, list[str]] = {"sum": [], "prepend": [], "cross": [], "input_interpolate": []}
    ways["prepend" if melody else "cross"] = list(conditioners)[::-1]
    config = OmegaConf.create(
        {
            "lm_model": "transformer_lm",
            "device": "cpu",
            "dtype": "float32",
            "dataset": {"segment_duration": 20},
            "transformer_lm": {
                "n_q": LEVELS * channels,
                "card": SIZE,
                "dim": WIDTH,
                "num_heads": 2,
                "num_layers": 2,
                "hidden_scale": 2,
                "norm_first": True,
                "causal": True,
                "positional_embedding": "sin",
                "weight_init": "gaussian",
                **size,
            },
            "codebooks_pattern": {
                "modeling": "delay",
                "delay": {"delays": [book // channels for book in range(LEVELS * channels)]},
            },
            "classifier_free_guidance": {"training_dropout": 0.1, "inference_coef": 3.0},
            "attribute_dropout": {},
            "conditioners": conditioners,
            "fuser": ways,
            "interleave_stereo_codebooks": {"use": channels == 2, "per_timestep": False},
        }
    )
    codec = builders.get_compression_model(codec_config).eval()
    for level, layer in enumerate(codec.quantizer.vq.layers):
        layer._codebook.embed.copy_(torch.randn(SIZE, WIDTH) / (level + 1))
    with _local_conditioners(config, lambda name: folder):
        lm = builders.get_lm_model(config)
    files = {"state_dict.bin": (lm, config), "compression_state_dict.bin": (codec, codec_config)}
    for name, (model, its_config) in files.items():
        package = {
            "best_state": model.state_dict(),
            "xp.cfg": OmegaConf.to_yaml(its_config),
            "version": "1.4.0a2",
            "exported": True,
        }
        torch.save(package, folder / name)
    return folder
