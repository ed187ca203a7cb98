"""MusicGen through audiocraft, from Meta's own checkpoint format: two pickles of plain tensors.

Meant for the build that requirements-audiocraft.txt names. Nothing of it is imported unless it is
installed and a model asks for it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared.musicgen.engine import Conditions, Layout, Predict, guide
from shared.musicgen.with_transformers import decode_levels
from shared.sounds import Sound, convert

if TYPE_CHECKING:
    import numpy as np
    import torch

DESCRIPTION, MELODY = "description", "self_wav"  # what audiocraft calls the two conditions
LANGUAGE_MODEL, CODEC = "state_dict.bin", "compression_state_dict.bin"
Find = Callable[[str], Path]  # finds the folder of a hub repository that a checkpoint refers to


def is_available() -> bool:
    """Whether audiocraft is installed. It is not imported for that."""
    return find_spec("audiocraft") is not None


def suits(folder: Path) -> bool:
    """Whether a checkpoint is in audiocraft's format."""
    return (folder / LANGUAGE_MODEL).is_file()


@dataclass(frozen=True, eq=False)
class AudiocraftEngine:
    """See ``MusicGenEngine``.

    Attributes:
        lm: The language model; calls work with a copy of it that shares its weights.
        codec: The compression model, EnCodec.
        layout: How it spells sound.
        name: The library and its version.
        text_encoder: T5, which audiocraft hides from its own modules; None for other kinds.
    """

    lm: Any
    codec: Any
    layout: Layout
    name: str
    text_encoder: Any = None
    _lock: Any = field(default_factory=Lock, repr=False)  # tokenizers switch their padding

    @property
    def follows_melody(self) -> bool:
        """Whether there is a chroma conditioner."""
        return MELODY in self.lm.condition_provider.conditioners

    def start(self, conditions: Conditions) -> Predict:
        """Read the conditions once, and return what predicts column after column."""
        import torch

        lm = self._borrow()
        with torch.inference_mode():
            tensors = self._read(conditions)
        copies = 2 if conditions.guided else 1
        # Kept on the copy's modules from here on: keys and values of all columns before.
        lm._set_streaming(True)

        def predict(columns: torch.Tensor) -> torch.Tensor:
            sequence = columns.to(self._device).repeat(copies, 1, 1)
            with torch.inference_mode(), self._autocast():
                logits = lm(sequence, conditions=[], condition_tensors=tensors)
            return guide(logits[:, :, -1].flatten(0, 1), len(columns), conditions.cfg_coef)

        return predict

    def encode(self, sound: Sound) -> np.ndarray:
        """Turn sound into tokens, (K, T)."""
        import torch

        with torch.inference_mode():
            samples = torch.from_numpy(sound.samples)[None].to(self._device)
            codes, _ = self.codec.encode(samples)
        array: np.ndarray = codes[0].cpu().numpy()
        return array

    def decode(self, codes: np.ndarray, levels: Sequence[int]) -> Sound:
        """Turn tokens into sound, from some levels only."""
        import torch

        codec = (
            self.codec.model if self.layout.channels == 2 else self.codec
        )  # a pair has one for both
        with torch.inference_mode():
            samples = [
                _decode_levels(codec, codes[channel :: self.layout.channels], levels)
                for channel in range(self.layout.channels)
            ]
            return Sound(torch.cat(samples).float().cpu().numpy(), self.layout.sample_rate)

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.lm.parameters()).device
        return device

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self._device.type == "cpu":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, torch.float16)

    def _borrow(self) -> Any:
        """Copy the modules, which remember what they heard, but neither weights nor conditioners.

        audiocraft keeps the state of a call on the modules, so that two calls on one model would
        hear each other.
        """
        shared = [*self.lm.parameters(), *self.lm.buffers(), self.lm.condition_provider]
        memo = {id(part): part for part in (*shared, self.lm.cfg)}
        return copy.deepcopy(self.lm, memo)

    def _read(self, conditions: Conditions) -> dict[str, Any]:
        """The conditions as tensors and, if there is guidance, those of none in the same batch."""
        import torch
        from audiocraft.modules.conditioners import (
            ClassifierFreeGuidanceDropout,
            ConditioningAttributes,
            WavCondition,
        )

        told = ConditioningAttributes(text={DESCRIPTION: conditions.description.strip() or None})
        samples = torch.zeros(1, 1)
        if conditions.melody is not None:
            samples = torch.from_numpy(conditions.melody.samples)
        length = samples.shape[-1] if conditions.melody is not None else 0
        told.wav[MELODY] = WavCondition(
            samples[None].to(self._device),
            torch.tensor([length], device=self._device),
            [self.layout.sample_rate],
            [None],
            [0.0],
        )
        batch = [told]
        if conditions.guided:
            batch += ClassifierFreeGuidanceDropout(p=1.0)([told])
        provider = self.lm.condition_provider
        with self._lock, self._autocast():
            tensors: dict[str, Any] = provider(provider.tokenize(batch))
        return tensors


def _decode_levels(codec: Any, codes: np.ndarray, levels: Sequence[int]) -> torch.Tensor:
    """Decode one channel's tokens, (levels, T), with a codec of audiocraft: (1, samples)."""
    import torch

    if not hasattr(codec, "quantizer"):  # one of transformers, wrapped
        return decode_levels(codec.model, codes, levels)
    rows = torch.from_numpy(codes).to(next(codec.parameters()).device)
    looked_up = sum(codec.quantizer.vq.layers[level].decode(rows[None, level]) for level in levels)
    decoded: torch.Tensor = codec.decoder(looked_up)[:, 0]
    return decoded


def load_audiocraft(folder: Path, device: torch.device, find: Find) -> AudiocraftEngine:
    """Load a checkpoint folder in audiocraft's format, without its pickles running any code.

    Args:
        folder: With ``state_dict.bin`` and ``compression_state_dict.bin``.
        device: Where to; float32 on the CPU, else float16.
        find: Finds what the checkpoint names instead of bringing it, such as ``t5-base``.
    """
    import audiocraft
    from audiocraft.models import builders

    package, config = _read_package(folder / LANGUAGE_MODEL, device)
    with _own_parts(config, find):
        lm = builders.get_lm_model(config)
    lm.load_state_dict(package["best_state"])
    lm.cfg = config
    conditioners = lm.condition_provider.conditioners
    if MELODY in conditioners:
        melody = conditioners[MELODY]
        melody.match_len_on_eval, melody._use_masking = True, False
        melody._get_stemmed_wav = lambda samples, rate: _mix(samples, rate, melody.sample_rate)
    codec = builders.get_wrapped_compression_model(_load_codec(folder, device, find), config)
    return AudiocraftEngine(
        lm=lm.eval(),
        codec=codec.eval(),
        layout=Layout(
            sample_rate=codec.sample_rate,
            channels=codec.channels,
            frame_rate=codec.frame_rate,
            codebook_size=lm.card,
            delays=tuple(lm.pattern_provider.delays),
            window=int(config.dataset.segment_duration * codec.frame_rate),
        ),
        name=f"audiocraft {audiocraft.__version__}",
        text_encoder=getattr(conditioners[DESCRIPTION], "t5", None),
    )


def _read_package(path: Path, device: torch.device) -> tuple[dict[str, Any], Any]:
    import torch
    from omegaconf import OmegaConf

    package = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    config: Any = OmegaConf.create(package["xp.cfg"])
    OmegaConf.set_struct(config, False)
    config.device = device.type
    config.dtype = "float32" if device.type == "cpu" else "float16"
    return package, config


def _load_codec(folder: Path, device: torch.device, find: Find) -> Any:
    from audiocraft.models import HFEncodecCompressionModel, HFEncodecModel, builders

    package, config = _read_package(folder / CODEC, device)
    if "pretrained" in package:  # by name, one of transformers
        own = HFEncodecModel.from_pretrained(find(package["pretrained"]), local_files_only=True)
        return HFEncodecCompressionModel(own).to(device)
    codec = builders.get_compression_model(config)
    codec.load_state_dict(package["best_state"])
    return codec


@contextlib.contextmanager
def _own_parts(config: Any, find: Find) -> Iterator[None]:
    """Have the conditioners built from what is on this disk.

    A text encoder is read from where ``find`` says. The melody is taken from the whole recording,
    not from what Demucs separates from drums and bass: its weights lie on a server of their own,
    without a commit to pin, and audiocraft would fetch them here and now.
    """
    from audiocraft.modules.conditioners import T5Conditioner
    from demucs import pretrained

    conditioners = config.conditioners
    for settings in (conditioners.get(DESCRIPTION), conditioners.get(MELODY)):
        if settings is not None and settings.model == "t5":
            name, folder = settings.t5.name, str(find(settings.t5.name))
            T5Conditioner.MODELS.append(folder)
            T5Conditioner.MODELS_DIMS[folder] = T5Conditioner.MODELS_DIMS[name]
            settings.t5.name = folder
        elif settings is not None and settings.model == "chroma_stem":
            settings.chroma_stem.pop("cache_path", None)  # of those who trained it
    separator, pretrained.get_model = pretrained.get_model, _Unseparated
    try:
        yield
    finally:
        pretrained.get_model = separator


class _Unseparated:
    """Stands in for Demucs while the chroma conditioner is built."""

    sources = ("vocals", "other")

    def __init__(self, name: str) -> None:
        del name

    def to(self, device: Any) -> _Unseparated:
        del device
        return self


def _mix(samples: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """Mix a batch, (B, C, T), down to mono at the rate of the chroma conditioner: (B, 1, T')."""
    import torch

    mixed = [convert(Sound(one.cpu().numpy(), rate), wanted, 1).samples for one in samples]
    return torch.stack([torch.from_numpy(one) for one in mixed]).to(samples.device)
