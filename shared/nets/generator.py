"""The network that turns a latent vector into a picture.

The VAE uses it as decoder and the GAN as generator, with the same configuration: their pictures
differ because of the training, not the size.
"""

# No ``from __future__ import annotations`` in this package's model files: huggingface_hub needs the
# actual type of ``config`` to rebuild the dataclass from config.json.

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SLOPE = 0.2
GROUPS = 8


@dataclass(frozen=True)
class GeneratorConfig:
    """Size of a generator.

    Attributes:
        z_dim: Dimensions of a latent vector.
        channels: Feature channels at 4, 8, 16, 32 and 64 pixels a side.
    """

    z_dim: int = 64
    channels: tuple[int, ...] = (192, 160, 96, 48, 24)

    def __post_init__(self) -> None:
        # JSON has no tuples.
        object.__setattr__(self, "channels", tuple(self.channels))

    @property
    def image_size(self) -> int:
        """Pixels a side of the pictures."""
        return 4 * 2 ** (len(self.channels) - 1)


def use_channels_last(module: nn.Module) -> None:
    """Store weights as channels-last, which makes convolutions several times faster on CPUs."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class PretrainedModule(nn.Module, PyTorchModelHubMixin):
    """A module with ``save_pretrained`` and ``from_pretrained`` (a folder or a hub id).

    Weights are float16 on disk, which halves their size without visible loss, and float32 in
    memory, which is faster on CPUs.
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        weights = {
            name: (value.half() if value.is_floating_point() else value).contiguous()
            for name, value in self.state_dict().items()
        }
        save_file(weights, save_directory / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def _load_as_safetensor(
        cls, model: Any, model_file: str, map_location: str, strict: bool
    ) -> Any:
        # Always strict: the mixin's own would ignore missing weights.
        model.load_state_dict(load_file(model_file))  # converts to float32
        return model.to(map_location).eval()


class Generator(PretrainedModule):
    """Maps z ~ N(0, I) to pictures in [-1, 1].

    Convolutions with batch normalisation that double the size again and again (DCGAN, Radford et
    al. 2016, https://arxiv.org/abs/1511.06434). Nearest-neighbour upsampling avoids the
    checkerboard artefacts of transposed convolutions (Odena et al. 2016,
    https://distill.pub/2016/deconv-checkerboard).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        first, *later = config.channels
        self.stem = nn.Linear(config.z_dim, first * 4 * 4, bias=False)
        stages: list[nn.Module] = [nn.BatchNorm2d(first), nn.ReLU()]
        in_channels = first
        for out_channels in later:
            stages += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
            in_channels = out_channels
        self.body = nn.Sequential(*stages, nn.Conv2d(in_channels, 3, 3, padding=1), nn.Tanh())
        use_channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        """Generate one picture per latent vector.

        Args:
            z: (B, z_dim).

        Returns:
            (B, 3, 64, 64) in [-1, 1] with the default configuration.

        Raises:
            ValueError: ``z`` has another shape.
        """
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise ValueError(f"z must be (batch, {self.config.z_dim}), not {tuple(z.shape)}")
        x = self.stem(z).view(len(z), -1, 4, 4)  # (B, C, 4, 4)
        return self.body(x.contiguous(memory_format=torch.channels_last))
