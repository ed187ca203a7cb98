"""Functions that load a model from a checkpoint folder, one per type of model."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.catalog.language_model import LanguageModel
from shared.catalog.spec import ModelSpec, Placement
from shared.errors import ModelUnavailable
from shared.hub import MUSICGEN_FILES, Hub, find_in_cache
from shared.musicgen import with_audiocraft

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from shared.musicgen.engine import MusicGenEngine
    from shared.tunes.compose import TuneModel

# Loaders download nothing and run no code of a checkpoint. Without the second option, transformers
# would ask for permission on the terminal.
_ONLY_DATA: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

# The text encoder of MusicGen for audiocraft; checkpoints in transformers format contain it.
T5 = Hub(
    "google-t5/t5-base",
    "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
    download_bytes=894_000_000,
    allow_patterns=MUSICGEN_FILES,
)


def load_language_model(folder: Path, placement: Placement) -> LanguageModel:
    """Load a causal language model in transformers format or from a GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not any(folder.glob("*.safetensors")) and any(folder.glob("*.gguf")):
        return load_gguf(folder, placement)
    _silence_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(folder, **_ONLY_DATA)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=placement.dtype, use_safetensors=True, **_ONLY_DATA
    )
    torch.nn.Module.to(model, placement.device)  # typed, unlike the override of transformers
    return LanguageModel.of(model.eval(), tokenizer, _choose_chat_options(tokenizer))


def load_gguf(folder: Path, placement: Placement) -> LanguageModel:
    """Load a GGUF file with llama.cpp, on the CPU, without dequantising it.

    The tokenizer is in the folder in transformers format, or is read from the file in seconds.
    """
    from transformers import AutoTokenizer

    from shared.llamacpp import LlamaCppEngine, is_available

    if not is_available():
        raise ModelUnavailable("cannot be loaded without llama.cpp. Install it with: make models")
    _silence_progress_bars()
    file = min(folder.glob("*.gguf"))
    has_tokenizer = (folder / "tokenizer.json").is_file()
    source: dict[str, Any] = {} if has_tokenizer else {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(folder, **source, **_ONLY_DATA)
    engine = LlamaCppEngine(file)
    return LanguageModel(
        tokenizer=tokenizer,
        engine=engine,
        context=engine.context,
        ends=engine.ends,
        chat_options=_choose_chat_options(tokenizer),
    )


def _choose_chat_options(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Turn off the thinking mode of a chat template, which takes minutes on a CPU."""
    return {"enable_thinking": False} if "enable_thinking" in str(tokenizer.chat_template) else {}


def load_image_pipeline(folder: Path, placement: Placement, *, wide: tuple[str, ...] = ()) -> Any:
    """Load a text-to-image pipeline in diffusers format, with its safety checker if it has one.

    Args:
        folder: The checkpoint; its weights may exist in half precision only.
        placement: Device and dtype.
        wide: Components that overflow in float16; they use bfloat16 instead.
    """
    import torch
    from diffusers import AutoPipelineForText2Image

    from shared.nets import use_channels_last

    _silence_progress_bars()
    weights = [path.name for path in folder.glob("*/*.safetensors")]
    half = bool(weights) and all(".fp16" in name for name in weights)
    dtype: Any = placement.dtype
    if wide and dtype == torch.float16:
        dtype = {"default": dtype, **dict.fromkeys(wide, torch.bfloat16)}
    pipeline = AutoPipelineForText2Image.from_pretrained(
        folder,
        dtype=dtype,
        variant="fp16" if half else None,
        use_safetensors=True,
        **_ONLY_DATA,
    )
    pipeline.set_progress_bar_config(disable=True)
    if placement.device.type == "cpu":
        for part in find_modules(pipeline):  # faster convolutions on a CPU
            use_channels_last(part)
    if placement.offload:
        pipeline.enable_model_cpu_offload(device=placement.offload)
        return pipeline
    return pipeline.to(placement.device)


def load_tune_model(folder: Path, placement: Placement) -> TuneModel:
    """Load a model of this gallery that writes notes."""
    import torch
    from transformers import AutoModelForCausalLM

    from shared.batching import choose_engine
    from shared.tunes.compose import TuneModel
    from shared.tunes.copying import CopyGuard
    from shared.tunes.tokens import load_tokenizer

    _silence_progress_bars()
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=placement.dtype, use_safetensors=True, **_ONLY_DATA
    )
    torch.nn.Module.to(model, placement.device)
    return TuneModel(
        model=model.eval(),
        tokenizer=load_tokenizer(folder),
        engine=choose_engine(model),
        guard=CopyGuard.load(folder),
    )


def load_musicgen(folder: Path, placement: Placement) -> MusicGenEngine:
    """Load a MusicGen with the library of its checkpoint format.

    Raises:
        ModelUnavailable: It needs audiocraft, which is not installed.
    """
    from shared.musicgen.with_transformers import load_transformers

    _silence_progress_bars()
    if with_audiocraft.suits(folder) and with_audiocraft.is_available():
        return with_audiocraft.load_audiocraft(folder, placement.device, _find_part)
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            "is a checkpoint of audiocraft, which is not installed here. Start the gallery with: "
            "make audiocraft"
        )
    return load_transformers(folder, placement.device, placement.dtype)


def _find_part(name: str) -> Path:
    """Find a repository that an audiocraft checkpoint refers to in the Hugging Face cache."""
    return find_in_cache(T5.repo, T5.revision) if name == "t5-base" else find_in_cache(name)


def is_musicgen(spec: ModelSpec) -> bool:
    """Whether a model of the music room generates sound; the others generate notes."""
    return spec.load is load_musicgen


def load_vae(folder: Path, placement: Placement) -> Any:
    """Load a ``VAE``."""
    from shared.nets import VAE

    return _load_net(VAE, folder, placement)


def load_gan(folder: Path, placement: Placement) -> Any:
    """Load the ``Generator`` of a GAN."""
    from shared.nets import Generator

    return _load_net(Generator, folder, placement)


def load_judge(folder: Path, placement: Placement) -> Any:
    """Load a ``Judge``."""
    from shared.nets import Judge

    return _load_net(Judge, folder, placement)


def _load_net(net: Any, folder: Path, placement: Placement) -> Any:
    model = net.from_pretrained(folder, local_files_only=True)
    return model.to(placement.device, placement.dtype).eval()


def convert_smollm2(file: Path, folder: Path) -> None:
    """Convert the GGUF of SmolLM2 to a checkpoint folder that loads in half a second.

    transformers takes a quarter of a minute to read a GGUF, and refuses to save the result because
    it is marked as quantised. So the weights are copied to a plain model. Half precision is enough
    for four-bit weights.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    source: Any = {"gguf_file": file.name, **_ONLY_DATA}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    read: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float16, **source)
    del read.config.quantization_config
    model: Any = LlamaForCausalLM(read.config).half()
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def unpack_gguf(file: Path, folder: Path) -> None:
    """Put a GGUF file and its tokenizer into ``folder``: the tokenizer takes seconds to extract."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, **_ONLY_DATA)
    tokenizer.save_pretrained(folder)
    try:
        os.link(file, folder / file.name)
    except OSError:  # another disk, or one without links
        shutil.copyfile(file, folder / file.name)


def _silence_progress_bars() -> None:
    """Disable progress bars in the log: the page shows the progress of a load."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if diffusers := sys.modules.get("diffusers"):  # not imported here: it takes seconds
        diffusers.utils.logging.disable_progress_bar()


def find_modules(model: Any) -> Iterator[torch.nn.Module]:
    """Find the torch modules of a module, a diffusers pipeline or a dataclass."""
    import torch

    if dataclasses.is_dataclass(model):
        parts = [getattr(model, field.name) for field in dataclasses.fields(model)]
    else:
        parts = list(getattr(model, "components", {"": model}).values())
    return (part for part in parts if isinstance(part, torch.nn.Module))


def move_modules(model: Any, device: str) -> None:
    """Move every torch module of ``model`` in place."""
    import torch

    for module in find_modules(model):
        torch.nn.Module.to(module, torch.device(device))
