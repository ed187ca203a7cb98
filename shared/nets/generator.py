"""The network that turns a latent vector into a picture.

The VAE uses it as decoder and the GAN as generator, with the same configuration: whatever differs
between their pictures comes from how they were trained and not from size.
"""

# No ``from __future__ import annotations`` in this package's model files: huggingface_hub reads the
# real type of ``config`` to rebuild the dataclass from config.json.

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SLOPE = 0.2
GROUPS = 8


@dataclass(frozen=True)
class GeneratorConfig:
    """Size of a generator.

    Attributes:
        z_dim: Numbers in a latent vector.
        channels: Feature channels at 4, 8, 16 and 32 pixels a side, each a multiple of 8.
    """

    z_dim: int = 64
    channels: tuple[int, ...] = (192, 128, 80, 40)

    def __post_init__(self) -> None:
        # JSON has no tuples.
        object.__setattr__(self, "channels", tuple(self.channels))

    @property
    def image_size(self) -> int:
        """Pixels a side of the pictures."""
        return 4 * 2 ** len(self.channels)


def use_channels_last(module: nn.Module) -> None:
    """Lay out weights so that convolutions of few channels run several times faster on CPUs."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class PretrainedModule(nn.Module, PyTorchModelHubMixin):
    """A module with ``save_pretrained`` and ``from_pretrained`` (a folder, or a hub id).

    Weights are float16 on disk, which halves the download and costs no visible quality, and float32
    once loaded, which is what CPUs are fast in.
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        weights = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, save_directory / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def _load_as_safetensor(
        cls, model: Any, model_file: str, map_location: str, strict: bool
    ) -> Any:
        # Always strict: the mixin's own would let missing weights pass unseen.
        model.load_state_dict(load_file(model_file))  # copies into the float32 that is there
        return model.to(map_location).eval()


class Generator(PretrainedModule):
    """Maps z ~ N(0, I) to pictures in [-1, 1].

    A stack of residual up-sampling blocks. Every block sees z again and scales and shifts its
    features by it (self-modulation, Chen et al. 2019, https://arxiv.org/abs/1810.01365), so that
    even a small network combines parts freely. The last doubling is a pixel shuffle (Shi et al.
    2016, https://arxiv.org/abs/1609.05158), because convolutions at full size are what costs time
    on a CPU. There is no batch normalisation, so a picture depends on its own z alone.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.channels[0], config.channels[-1]
        self.stem = nn.Linear(config.z_dim, first * 4 * 4)
        self.blocks = nn.ModuleList(
            [ModulatedBlock(first, first, config.z_dim, upsample=False)]
            + [
                ModulatedBlock(wide, narrow, config.z_dim, upsample=True)
                for wide, narrow in zip(config.channels, config.channels[1:], strict=False)
            ]
            + [ModulatedBlock(last, last, config.z_dim, upsample=False)]
        )
        self.head = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(last, 48, 3, padding=1),
            nn.PixelShuffle(2),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(12, 3, 3, padding=1),
            nn.Tanh(),
        )
        # The four pixels of a shuffled group start out equal, so that training does not start from
        # a checkerboard (Aitken et al. 2017, https://arxiv.org/abs/1707.02937).
        shuffled = self.head[1].weight
        with torch.no_grad():
            shuffled.copy_(shuffled[::4].repeat_interleave(4, dim=0))
        use_channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        """Draw one picture per latent vector.

        Args:
            z: (B, z_dim).

        Returns:
            (B, 3, 64, 64) in [-1, 1] with the default configuration.

        Raises:
            ValueError: ``z`` has another shape.
        """
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise ValueError(f"z must be (batch, {self.config.z_dim}), not {tuple(z.shape)}")
        x = self.stem(z).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)  # (B, C, 4, 4), channels last
        for block in self.blocks:
            x = block(x, z)
        return self.head(x)


class ModulatedBlock(nn.Module):
    """Residual convolution whose normalised input is scaled and shifted by z."""

    def __init__(self, wide: int, narrow: int, z_dim: int, *, upsample: bool) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm = nn.GroupNorm(GROUPS, wide, affine=False)
        self.modulation = nn.Linear(z_dim, 2 * wide)
        self.conv = nn.Conv2d(wide, narrow, 3, padding=1)
        self.shortcut = nn.Conv2d(wide, narrow, 1) if wide != narrow else nn.Identity()

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(B, wide, H, W) and (B, z_dim) to (B, narrow, H, W), or twice H and W."""
        scale, shift = self.modulation(z)[:, :, None, None].chunk(2, dim=1)
        h = F.leaky_relu(self.norm(x) * (1 + scale) + shift, SLOPE)
        x = self.shortcut(x)
        if self.upsample:
            h, x = F.interpolate(h, scale_factor=2), F.interpolate(x, scale_factor=2)
        return self.conv(h) + x
