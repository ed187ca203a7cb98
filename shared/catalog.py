"""The catalogue: every model the gallery offers and how to load it.

A bundled model is a folder under ``models/``, a bigger one a repository on the Hugging Face hub.
Both are ordinary checkpoints that go through the same loader; only ``ModelSpec.source`` differs.
To add a model, add an entry to ``SPECS`` (see docs/adding-a-model.md).
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from shared.devices import pick_device, pick_dtype
from shared.errors import GalleryError, ModelUnavailable, UnknownModel
from shared.settings import Settings

if TYPE_CHECKING:
    import torch
    from miditok import MusicTokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Task = Literal["text", "image", "music", "latent"]
Load = Callable[[str, "Placement"], Any]


@dataclass(frozen=True)
class Placement:
    """Where and how precisely a model is loaded, and whether the hub may be asked."""

    device: torch.device
    dtype: torch.dtype
    revision: str | None
    offline: bool


@dataclass(frozen=True)
class ModelSpec:
    """One model of the catalogue.

    Attributes:
        key: ``task/name``; the name that endpoints and the cache use.
        title: What the page shows.
        source: Hub repository, or None for a folder of ours under ``models/``.
        revision: Branch, tag or commit of a hub repository.
        licence: Licence of the weights.
        parameters: Number of weights.
        bytes: Expected size in memory, as float32.
        summary: One sentence: what it is and what it was trained on.
        load: Turns a folder or repository name into a model.
        defaults: Values that suit this model better than the room's own.
    """

    key: str
    title: str
    licence: str
    parameters: int
    summary: str
    load: Load
    source: str | None = None
    revision: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The room it belongs to: text, image, music or latent."""
        return self.key.split("/")[0]

    @property
    def bundled(self) -> bool:
        """Whether it comes with the repository."""
        return self.source is None

    @property
    def bytes(self) -> int:
        """Expected size in memory, as float32."""
        return 4 * self.parameters

    def folder(self, models_dir: Path) -> Path:
        """Where a bundled model lies."""
        return models_dir / self.key.replace("/", "-")


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model of transformers with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class TuneModel:
    """A causal transformer over note tokens with its miditok tokenizer."""

    model: PreTrainedModel
    tokenizer: MusicTokenizer


def load_language_model(name: str, placement: Placement) -> LanguageModel:
    """Load any causal language model in transformers format."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"revision": placement.revision, "local_files_only": placement.offline}
    tokenizer = AutoTokenizer.from_pretrained(name, **where)
    model = AutoModelForCausalLM.from_pretrained(
        name, dtype=placement.dtype, use_safetensors=True, **where
    )
    torch.nn.Module.to(model, placement.device)  # typed, unlike the override of transformers
    return LanguageModel(model.eval(), tokenizer)


def load_image_pipeline(name: str, placement: Placement) -> Any:
    """Load any text-to-image pipeline in diffusers format."""
    from diffusers import AutoPipelineForText2Image

    pipeline = AutoPipelineForText2Image.from_pretrained(
        name,
        dtype=placement.dtype,
        use_safetensors=True,
        revision=placement.revision,
        local_files_only=placement.offline,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(placement.device)


def load_tune_model(name: str, placement: Placement) -> TuneModel:
    """Load a model of ours that writes notes."""
    import torch
    from transformers import AutoModelForCausalLM

    from shared.tunes import load_tokenizer

    model = AutoModelForCausalLM.from_pretrained(
        name, dtype=placement.dtype, use_safetensors=True, local_files_only=placement.offline
    )
    torch.nn.Module.to(model, placement.device)
    return TuneModel(model.eval(), load_tokenizer(Path(name)))


def load_vae(name: str, placement: Placement) -> Any:
    """Load a convolutional VAE of ours."""
    from shared.nets import VAE

    return _load_net(VAE, name, placement)


def load_gan(name: str, placement: Placement) -> Any:
    """Load the generator of a GAN of ours."""
    from shared.nets import Generator

    return _load_net(Generator, name, placement)


def _load_net(net: Any, name: str, placement: Placement) -> Any:
    model = net.from_pretrained(
        name, revision=placement.revision, local_files_only=placement.offline
    )
    return model.to(placement.device, placement.dtype).eval()


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        key="text/storyteller",
        title="Storyteller",
        licence="Apache-2.0",
        parameters=4_262_144,
        summary="Our own, trained on fairy tales and children's poems. Old-fashioned English.",
        load=load_language_model,
    ),
    ModelSpec(
        key="text/smollm2-135m",
        title="SmolLM2 135M Instruct",
        licence="Apache-2.0",
        parameters=134_515_008,
        summary="Hugging Face's small assistant, trained on 2 trillion tokens of text and code.",
        load=load_language_model,
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="main",
    ),
    ModelSpec(
        key="image/critters",
        title="Critters",
        licence="Apache-2.0",
        parameters=6_924_403,
        summary="Our own, trained on drawn monsters. Knows monsters and nothing else.",
        load=load_image_pipeline,
    ),
    ModelSpec(
        key="image/sd-turbo",
        title="SD Turbo",
        licence="Stability AI Community",
        parameters=1_290_000_000,
        summary="Stability AI's one-step model, distilled from Stable Diffusion 2.1.",
        load=load_image_pipeline,
        source="stabilityai/sd-turbo",
        revision="main",
        defaults={"num_inference_steps": 1, "guidance_scale": 0.0},
    ),
    ModelSpec(
        key="music/tunes",
        title="Tunes",
        licence="Apache-2.0",
        parameters=2_718_384,
        summary="Our own, trained on Irish and Scottish tunes and Bach chorales. Writes notes.",
        load=load_tune_model,
    ),
    ModelSpec(
        key="latent/critters-vae",
        title="Critters VAE",
        licence="Apache-2.0",
        parameters=1_620_000,
        summary="Our own variational autoencoder, trained on drawn monsters.",
        load=load_vae,
    ),
    ModelSpec(
        key="latent/critters-gan",
        title="Critters GAN",
        licence="Apache-2.0",
        parameters=665_000,
        summary="Our own adversarial generator, trained on the same monsters.",
        load=load_gan,
    ),
)


class Catalog:
    """Finds models by key; also the loader that the cache works with."""

    def __init__(self, settings: Settings, specs: Iterable[ModelSpec] = SPECS) -> None:
        """Make a catalogue of ``specs`` for this process's ``settings``."""
        self._settings = settings
        self._specs = {spec.key: spec for spec in specs}

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def get(self, key: str, task: Task | None = None) -> ModelSpec:
        """Return the entry of ``key``, which must belong to ``task`` if one is named.

        Raises:
            UnknownModel: There is none; the message lists those there are.
        """
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

    def expected_bytes(self, key: str) -> int:
        """Memory to set aside before loading ``key``."""
        return self.get(key).bytes

    def load(self, key: str) -> Any:
        """Load ``key``.

        Raises:
            UnknownModel: There is no such key.
            ModelUnavailable: Its files are missing or damaged, or the hub cannot be reached.
        """
        spec = self.get(key)
        if spec.bundled:
            folder = spec.folder(self._settings.models_dir)
            if not folder.is_dir():
                raise ModelUnavailable(
                    f"{spec.title} is missing: there is no folder models/{folder.name}. "
                    f"Restore it with: git checkout -- models/{folder.name}"
                )
        device = pick_device(self._settings.device)
        placement = Placement(
            device=device,
            dtype=pick_dtype(device),
            revision=spec.revision,
            offline=spec.bundled or self._settings.offline or not _hub_answers(),
        )
        try:
            return spec.load(str(folder) if spec.bundled else str(spec.source), placement)
        except (GalleryError, MemoryError):
            raise
        except Exception as error:  # loaders raise dozens of types for a bad file
            raise ModelUnavailable(_why_not(spec)) from error

    def measure_bytes(self, model: Any) -> int:
        """Memory of all tensors of ``model``, shared ones once."""
        sizes = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for module in _modules(model)
            for tensor in (*module.parameters(), *module.buffers())
        }
        return sum(sizes.values())


def _modules(model: Any) -> Iterator[torch.nn.Module]:
    """Find the torch modules of a bare module, a diffusers pipeline or a dataclass of ours."""
    import torch

    if dataclasses.is_dataclass(model):
        parts = [getattr(model, field.name) for field in dataclasses.fields(model)]
    else:
        parts = list(getattr(model, "components", {"": model}).values())
    return (part for part in parts if isinstance(part, torch.nn.Module))


def _hub_answers() -> bool:
    """Whether the model hub can be reached. Its own client would retry for half a minute."""
    from huggingface_hub import constants

    if getproxies():  # what a proxy can reach is not ours to test
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((hub.hostname, hub.port or 443), timeout=3):
            return True
    except OSError:
        return False


def _why_not(spec: ModelSpec) -> str:
    if spec.bundled:
        folder = spec.key.replace("/", "-")
        return (
            f"{spec.title} cannot be loaded: a file in models/{folder} is damaged or missing. "
            f"Restore it with: git checkout -- models/{folder}"
        )
    return (
        f"{spec.title} needs a one-time download of about {spec.parameters * 2 / 1e6:,.0f} MB "
        "from the Hugging Face hub, which cannot be reached now. "
        "Bundled models work without a network."
    )
