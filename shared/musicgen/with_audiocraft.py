"""MusicGen through audiocraft, from Meta's own checkpoint format: two pickles of plain tensors.

For the build in requirements-audiocraft.txt. It is imported only when a model that needs it is
loaded.
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

DESCRIPTION, MELODY = "description", "self_wav"  # audiocraft's names of the two conditions
LANGUAGE_MODEL, CODEC = "state_dict.bin", "compression_state_dict.bin"
Find = Callable[[str], Path]  # finds the folder of a hub repository that a checkpoint refers to


def is_available() -> bool:
    """Whether audiocraft is installed. Does not import it."""
    return find_spec("audiocraft") is not None


def suits(folder: Path) -> bool:
    """Whether a checkpoint is in audiocraft's format."""
    return (folder / LANGUAGE_MODEL).is_file()


@dataclass(frozen=True, eq=False)
class AudiocraftEngine:
    """See ``MusicGenEngine``.

    Attributes:
        lm: The language model. Each call uses a copy that shares its weights.
        codec: The compression model, EnCodec.
        layout: How it represents sound.
        name: The library and its version.
        text_encoder: T5, which is not among the submodules of ``lm``; None for other encoders.
    """

    lm: Any
    codec: Any
    layout: Layout
    name: str
    text_encoder: Any = None
    _lock: Any = field(
        default_factory=Lock, repr=False
    )  # a call changes the padding of the tokenizer

    @property
    def follows_melody(self) -> bool:
        """Whether it has a chroma conditioner."""
        return MELODY in self.lm.condition_provider.conditioners

    def start(self, conditions: Conditions) -> Predict:
        """See ``MusicGenEngine``."""
        import torch

        lm = self._copy_modules()
        with torch.inference_mode():
            tensors = self._encode_conditions(conditions)
        copies = 2 if conditions.guided else 1
        # From now on the copy's modules keep the KV cache.
        lm._set_streaming(True)

        def predict(columns: torch.Tensor) -> torch.Tensor:
            sequence = columns.to(self._device).repeat(copies, 1, 1)
            with torch.inference_mode(), self._autocast():
                logits = lm(sequence, conditions=[], condition_tensors=tensors)
            return guide(logits[:, :, -1].flatten(0, 1), len(columns), conditions.cfg_coef)

        return predict

    def encode(self, sound: Sound) -> np.ndarray:
        """See ``MusicGenEngine``."""
        import torch

        with torch.inference_mode():
            samples = torch.from_numpy(sound.samples)[None].to(self._device)
            codes, _ = self.codec.encode(samples)
        array: np.ndarray = codes[0].cpu().numpy()
        return array

    def decode(self, codes: np.ndarray, levels: Sequence[int]) -> Sound:
        """See ``MusicGenEngine``."""
        import torch

        # The stereo codec wraps a mono one that it uses for both channels.
        codec = self.codec.model if self.layout.channels == 2 else self.codec
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

    def _copy_modules(self) -> Any:
        """Copy the modules of ``lm``, but neither weights nor conditioners.

        audiocraft keeps the state of a call on the modules, so that concurrent calls need copies.
        """
        shared = [*self.lm.parameters(), *self.lm.buffers(), self.lm.condition_provider]
        memo = {id(part): part for part in (*shared, self.lm.cfg)}
        return copy.deepcopy(self.lm, memo)

    def _encode_conditions(self, conditions: Conditions) -> dict[str, Any]:
        """Return the conditions as tensors; with guidance, the unconditional ones follow."""
        import torch
        from audiocraft.modules.conditioners import (
            ClassifierFreeGuidanceDropout,
            ConditioningAttributes,
            WavCondition,
        )

        attributes = ConditioningAttributes(
            text={DESCRIPTION: conditions.description.strip() or None}
        )
        samples = torch.zeros(1, 1)
        if conditions.melody is not None:
            samples = torch.from_numpy(conditions.melody.samples)
        length = samples.shape[-1] if conditions.melody is not None else 0
        attributes.wav[MELODY] = WavCondition(
            samples[None].to(self._device),
            torch.tensor([length], device=self._device),
            [self.layout.sample_rate],
            [None],
            [0.0],
        )
        batch = [attributes]
        if conditions.guided:
            batch += ClassifierFreeGuidanceDropout(p=1.0)([attributes])
        provider = self.lm.condition_provider
        with self._lock, self._autocast():
            tensors: dict[str, Any] = provider(provider.tokenize(batch))
        return tensors


def _decode_levels(codec: Any, codes: np.ndarray, levels: Sequence[int]) -> torch.Tensor:
    """Decode the tokens of one channel, (levels, T), with audiocraft's codec: (1, samples)."""
    import torch

    if not hasattr(codec, "quantizer"):  # a wrapped codec of transformers
        return decode_levels(codec.model, codes, levels)
    rows = torch.from_numpy(codes).to(next(codec.parameters()).device)
    looked_up = sum(codec.quantizer.vq.layers[level].decode(rows[None, level]) for level in levels)
    decoded: torch.Tensor = codec.decoder(looked_up)[:, 0]
    return decoded


def load_audiocraft(folder: Path, device: torch.device, find: Find) -> AudiocraftEngine:
    """Load a checkpoint folder in audiocraft's format; its pickles cannot run code.

    Args:
        folder: With ``state_dict.bin`` and ``compression_state_dict.bin``.
        device: The device; float32 on the CPU, else float16.
        find: Finds a repository that the checkpoint refers to, such as ``t5-base``.
    """
    import audiocraft
    from audiocraft.models import builders

    package, config = _read_package(folder / LANGUAGE_MODEL, device)
    with _local_conditioners(config, find):
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
    if "pretrained" in package:  # the name of a codec of transformers
        codec = HFEncodecModel.from_pretrained(find(package["pretrained"]), local_files_only=True)
        return HFEncodecCompressionModel(codec).to(device)
    codec = builders.get_compression_model(config)
    codec.load_state_dict(package["best_state"])
    return codec


@contextlib.contextmanager
def _local_conditioners(config: Any, find: Find) -> Iterator[None]:
    """Let audiocraft build the conditioners without a download.

    The text encoder is loaded from the folder of ``find``. The melody is extracted from the whole
    recording, without Demucs, which would separate drums and bass: audiocraft would download its
    weights now, from another server and without a pinned commit.
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
            settings.chroma_stem.pop("cache_path", None)  # a path of the training machine
    separator, pretrained.get_model = pretrained.get_model, _Unseparated
    try:
        yield
    finally:
        pretrained.get_model = separator


class _Unseparated:
    """Replaces Demucs while the chroma conditioner is built."""

    sources = ("vocals", "other")

    def __init__(self, name: str) -> None:
        del name

    def to(self, device: Any) -> _Unseparated:
        del device
        return self


def _mix(samples: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """Mix a batch, (B, C, T), down to mono and resample it to ``wanted`` Hz: (B, 1, T')."""
    import torch

    mixed = [convert(Sound(one.cpu().numpy(), rate), wanted, 1).samples for one in samples]
    return torch.stack([torch.from_numpy(one) for one in mixed]).to(samples.device)
