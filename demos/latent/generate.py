"""One latent vector through two decoders, a VAE's and a GAN's. No Gradio here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from PIL import Image
from pydantic import Field, field_validator

from demos.latent.directions import Directions
from shared.errors import InvalidRequest
from shared.requests import Request

if TYPE_CHECKING:
    import torch

    from shared.nets import VAE, Generator

Z_DIM = 64
# Limits of the page's sliders: factors on attribute directions, and units of z.
MOST_AMOUNT, MOST_STEP = 3.0, 6.0
MOST_NUMBER = 12.0
MOST_CELLS = 128

Number = Annotated[float, Field(ge=-MOST_NUMBER, le=MOST_NUMBER)]
Amount = Annotated[float, Field(ge=-MOST_AMOUNT, le=MOST_AMOUNT)]
Step = Annotated[float, Field(ge=-MOST_STEP, le=MOST_STEP)]


class LatentRequest(Request):
    """Which pair of models to use, and how far from the average to draw z.

    Attributes:
        dataset: What both models were trained on.
        truncation: Factor on z. 1 draws z as in training, 0 is the same average picture for every
            seed, above 1 leaves the distribution of training. (BigGAN, Brock et al. 2019,
            redraws numbers beyond a threshold instead, which also trades variety for quality.)
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    truncation: float = Field(1.0, ge=0.0, le=2.0)


class PairRequest(LatentRequest):
    """One z for both models, and how far to move it along each model's own directions.

    Attributes:
        point: z before truncation if a visitor set its numbers by hand or chose a point on the map:
            all 64 numbers, or none to draw them from the seed.
        attributes: Attribute -> value -> factor on its direction, such as
            ``{"top": {"horns": 1.5}}``.
        principal: How far to move along each principal direction; those left out are 0.
    """

    point: tuple[Number, ...] = ()
    attributes: dict[str, dict[str, Amount]] = Field(default_factory=dict)
    principal: tuple[Step, ...] = ()

    @field_validator("point")
    @classmethod
    def _all_or_none(cls, point: tuple[float, ...]) -> tuple[float, ...]:
        if len(point) not in (0, Z_DIM):
            raise ValueError(f"must have all {Z_DIM} numbers of z, or none, not {len(point)}")
        return point


class SeedsRequest(Request):
    """Several z at once, for a plane through them.

    Attributes:
        seed: The first; the others are drawn.
        count: How many.
    """

    count: int = Field(1, ge=1, le=8)

    @property
    def seeds(self) -> list[int]:
        """The seed of each; every access draws all but the first anew."""
        return [self.seed, *(Request.parse().seed for _ in range(1, self.count))]


Vector = Annotated[tuple[float, ...], Field(min_length=Z_DIM, max_length=Z_DIM)]


class DecodeRequest(Request):
    """The z to decode with each model, for a browser that cannot decode them itself.

    Attributes:
        dataset: What both models were trained on.
        vae: z for the VAE, at most ``MOST_CELLS`` of 64 numbers each.
        gan: The same for the GAN.
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    vae: tuple[Vector, ...] = Field((), max_length=MOST_CELLS)
    gan: tuple[Vector, ...] = Field((), max_length=MOST_CELLS)


@dataclass(frozen=True)
class Pair:
    """The pictures of both models for the same z.

    Attributes:
        z: The latent vector, z_dim numbers, before moves along directions of one model.
        vae: The VAE's picture, RGB.
        gan: The GAN's picture, RGB.
    """

    z: tuple[float, ...]
    vae: Image.Image
    gan: Image.Image


def sample(
    vae: VAE,
    gan: Generator,
    request: PairRequest,
    directions: tuple[Directions | None, Directions | None] = (None, None),
) -> Pair:
    """Compute the z of ``request`` and decode it with both models.

    Args:
        vae: The VAE.
        gan: The GAN's generator.
        request: Which z.
        directions: Those of the VAE and of the GAN; needed only if ``request`` moves along them.

    Raises:
        InvalidRequest: It moves along directions that a model does not have.
    """
    z, z_vae, z_gan = compute_z(request, directions)
    (vae_picture,), (gan_picture,) = decode_each(vae, gan, [z_vae], [z_gan])
    return Pair(tuple(z.tolist()), vae_picture, gan_picture)


def compute_z(
    request: PairRequest,
    directions: tuple[Directions | None, Directions | None] = (None, None),
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the shared z (z_dim,), the VAE's and the GAN's, which include their moves.

    browser/vectors.js computes the same while a slider moves.

    Raises:
        InvalidRequest: ``request`` moves along directions that a model does not have.
    """
    import torch

    if request.point:
        z = request.truncation * torch.tensor(request.point, dtype=torch.float32)
    else:
        z = draw_z(request.seed, Z_DIM, request.truncation)
    moved = []
    for own in directions:
        if not (request.attributes or any(request.principal)):
            moved.append(z)
        elif own is None:
            raise InvalidRequest(
                "Nobody has looked for directions in these models yet: leave the attributes and "
                "the principal moves empty."
            )
        else:
            moved.append(z + z.new_tensor(own.move(request.attributes, request.principal)))
    return z, moved[0], moved[1]


def draw_z(seed: int, z_dim: int, truncation: float = 1.0) -> torch.Tensor:
    """Draw z ~ N(0, I) times ``truncation``: (z_dim,), on the CPU, so the same on every device."""
    import torch

    rng = torch.Generator("cpu").manual_seed(seed)
    return truncation * torch.randn(z_dim, generator=rng)


def decode(vae: VAE, gan: Generator, z: torch.Tensor) -> Pair:
    """Draw z (z_dim,) with both models."""
    (vae_picture,), (gan_picture,) = decode_each(vae, gan, [z], [z])
    return Pair(tuple(z.tolist()), vae_picture, gan_picture)


def decode_each(
    vae: VAE,
    gan: Generator,
    vae_z: Sequence[torch.Tensor | Sequence[float]],
    gan_z: Sequence[torch.Tensor | Sequence[float]],
) -> tuple[list[Image.Image], list[Image.Image]]:
    """Decode several z (z_dim,) with each model; either sequence may be empty."""
    import torch

    def draw(model: torch.nn.Module, decoder: torch.nn.Module, many: Sequence) -> list[Image.Image]:
        if not many:
            return []
        batch = torch.stack([torch.as_tensor(z, dtype=torch.float32) for z in many])  # (B, z_dim)
        return [to_image(image) for image in decoder(batch.to(next(model.parameters())))]

    with torch.inference_mode():
        return draw(vae, vae.decoder, vae_z), draw(gan, gan, gan_z)


def count_parameters(module: torch.nn.Module) -> int:
    """Count the weights of ``module``."""
    return sum(parameter.numel() for parameter in module.parameters())


def to_image(image: torch.Tensor) -> Image.Image:
    """Convert (3, H, W) in [-1, 1] to a picture."""
    pixels = (image.float().clamp(-1, 1) + 1) * 127.5
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).cpu().numpy())
