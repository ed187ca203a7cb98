"""MusicGen through transformers, from checkpoints in its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared.musicgen.engine import Conditions, Layout, Predict, guide
from shared.sounds import Sound

if TYPE_CHECKING:
    import numpy as np
    import torch

WINDOW_SECONDS = 30  # length of the training examples, which checkpoints do not contain
MAX_TEXT_TOKENS = 512
# Spectrogram of the melody model, as in MusicgenMelodyFeatureExtractor, which needs torchaudio and
# so cannot be used with our torch.
N_FFT, HOP_LENGTH = 16_384, 4_096


@dataclass(frozen=True, eq=False)
class TransformersEngine:
    """See ``MusicGenEngine``.

    Attributes:
        model: ``MusicgenForConditionalGeneration`` or its melody variant.
        tokenizer: Tokenizer of the text encoder; under a lock, as calls change its padding.
        layout: How it represents sound.
        name: The library and its version.
    """

    model: Any
    tokenizer: Any
    layout: Layout
    name: str = field(default_factory=lambda: f"transformers {version('transformers')}")
    _lock: Any = field(default_factory=Lock, repr=False)

    @property
    def follows_melody(self) -> bool:
        """Whether it is the melody variant."""
        return hasattr(self.model.config, "num_chroma")

    def start(self, conditions: Conditions) -> Predict:
        """See ``MusicGenEngine``."""
        import torch

        decoder, codebooks = self.model.decoder, len(self.layout.delays)
        with torch.inference_mode():
            states = self._encode_conditions(conditions)
        cache: Any = None

        def predict(columns: torch.Tensor) -> torch.Tensor:
            nonlocal cache
            with torch.inference_mode():
                output = decoder(
                    input_ids=columns.to(self.model.device).repeat(len(states), 1),
                    # The melody variant reads the conditions once, as a prefix.
                    encoder_hidden_states=None if self.follows_melody and cache else states,
                    past_key_values=cache,
                    use_cache=True,
                )
                cache = output.past_key_values
                return guide(output.logits[:, -1], codebooks, conditions.cfg_coef)

        return predict

    def encode(self, sound: Sound) -> np.ndarray:
        """See ``MusicGenEngine``."""
        import numpy as np
        import torch

        codec = self.model.audio_encoder
        with torch.inference_mode():
            samples = torch.from_numpy(sound.samples).to(codec.device, codec.dtype)
            # (frames, channels, levels, T): one frame, as the codec has no chunks
            (codes,) = codec.encode(samples[:, None]).audio_codes
        return np.ascontiguousarray(codes.transpose(0, 1).flatten(0, 1).cpu().numpy())

    def decode(self, codes: np.ndarray, levels: Sequence[int]) -> Sound:
        """See ``MusicGenEngine``."""
        import torch

        with torch.inference_mode():
            samples = [
                decode_levels(
                    self.model.audio_encoder, codes[channel :: self.layout.channels], levels
                )
                for channel in range(self.layout.channels)
            ]
            return Sound(torch.cat(samples).float().cpu().numpy(), self.layout.sample_rate)

    def _encode_conditions(self, conditions: Conditions) -> torch.Tensor:
        """Return hidden states, conditional and, with guidance, unconditional: (1 or 2, S, D)."""
        import torch

        text = self._encode_text(conditions.description)
        states = [text, torch.zeros_like(text)]
        if self.follows_melody:
            melody, silence = self._encode_melody(conditions.melody), self._encode_melody(None)
            states = [torch.cat([melody, states[0]], 1), torch.cat([silence, states[1]], 1)]
        return torch.cat(states if conditions.guided else states[:1])

    def _encode_text(self, description: str) -> torch.Tensor:
        import torch

        model = self.model
        if not description.strip():
            width = model.decoder.config.hidden_size
            return torch.zeros(1, 1, width, device=model.device, dtype=model.decoder.dtype)
        with self._lock:
            text = self.tokenizer(
                description, return_tensors="pt", truncation=True, max_length=MAX_TEXT_TOKENS
            )
        hidden = model.text_encoder(input_ids=text.input_ids.to(model.device)).last_hidden_state
        project = getattr(model, "enc_to_dec_proj", None)
        return project(hidden) if project else hidden

    def _encode_melody(self, melody: Sound | None) -> torch.Tensor:
        """Return hidden states of a melody, or of silence: (1, chroma_length, D)."""
        import torch

        model = self.model
        chroma = torch.zeros(1, model.config.num_chroma)
        chroma[0, 0] = 1  # as for silence in training
        if melody is not None:
            chroma = extract_chroma(melody, model.config.num_chroma)
        length = model.config.chroma_length
        chroma = chroma.repeat(-(-length // len(chroma)), 1)[:length]
        states: torch.Tensor = model.audio_enc_to_dec_proj(
            chroma[None].to(model.device, model.dtype)
        )
        return states


def extract_chroma(melody: Sound, num_chroma: int) -> torch.Tensor:
    """Return the strongest pitch class at each time, one-hot, (T, num_chroma)."""
    import torch
    from torch.nn.functional import one_hot, pad
    from transformers.audio_utils import chroma_filter_bank

    samples = torch.from_numpy(melody.samples).mean(0)
    if (missing := N_FFT - len(samples)) > 0:
        samples = pad(samples, (missing // 2, missing - missing // 2))
    spectrum = torch.stft(
        samples, N_FFT, HOP_LENGTH, window=torch.hann_window(N_FFT), return_complex=True
    )
    filters = chroma_filter_bank(
        num_frequency_bins=N_FFT, num_chroma=num_chroma, sampling_rate=melody.rate, tuning=0
    )
    strength = torch.from_numpy(filters).float() @ spectrum.abs().square()
    return one_hot(strength.argmax(0), num_chroma).float()


def decode_levels(codec: Any, codes: np.ndarray, levels: Sequence[int]) -> torch.Tensor:
    """Decode the tokens of one channel, (levels, T), with transformers' EnCodec: (1, samples).

    Only the quantisers of ``levels`` are added up.
    """
    import torch

    rows = torch.from_numpy(codes).to(codec.device)
    looked_up = sum(codec.quantizer.layers[level].decode(rows[None, level]) for level in levels)
    decoded: torch.Tensor = codec.decoder(looked_up)[:, 0]
    return decoded


def load_transformers(folder: Path, device: torch.device, dtype: torch.dtype) -> TransformersEngine:
    """Load a checkpoint folder in transformers format."""
    import torch
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        MusicgenForConditionalGeneration,
        MusicgenMelodyForConditionalGeneration,
    )

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    model_type = AutoConfig.from_pretrained(folder, **options).model_type
    classes: dict[str, Any] = {
        "musicgen": MusicgenForConditionalGeneration,
        "musicgen_melody": MusicgenMelodyForConditionalGeneration,
    }
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    model = classes[model_type].from_pretrained(
        folder, dtype=dtype, use_safetensors=True, **options
    )
    torch.nn.Module.to(model, device)
    return TransformersEngine(model.eval(), tokenizer, _read_layout(model))


def _read_layout(model: Any) -> Layout:
    codec, decoder = model.config.audio_encoder, model.config.decoder
    channels = decoder.audio_channels
    return Layout(
        sample_rate=codec.sampling_rate,
        channels=channels,
        frame_rate=codec.frame_rate,
        codebook_size=decoder.vocab_size,
        delays=tuple(index // channels for index in range(decoder.num_codebooks)),
        window=round(WINDOW_SECONDS * codec.frame_rate),
    )
