"""Directions of latent space: found where they were put, measured, and kept in a small file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from shared.critters.attributes import BARE, VALUES
from shared.nets import VAE, Generator, GeneratorConfig, VAEConfig
from shared.settings import ROOT
from training.evaluate_latent import measure_push
from training.find_directions import (
    FILE,
    RAREST,
    find_attributes,
    find_principal,
    load_generator,
    measure_success,
    read_pictures,
    write_directions,
)

Z_DIM = 8
COUNT = 2000


class PassOn(nn.Module):
    """Stands for a generator: its picture is z itself."""

    def __init__(self) -> None:
        super().__init__()
        self.config = GeneratorConfig(z_dim=Z_DIM)
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor) -> Tensor:
        return z


class ReadFirstNumber(nn.Module):
    """Stands for the judge: a red critter where the first number of z is positive, else orange.

    Whatever else, it sees the first value; and a top, so that the accent counts.
    """

    def __init__(self, *, smile_with_red: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        heads = {name: _Head(name) for name in VALUES}
        if smile_with_red:
            heads["mouth"] = _Head("color", len(VALUES["mouth"]))
        self.heads = nn.ModuleDict(heads)

    def extract_features(self, images: Tensor) -> Tensor:
        return images


class _Head(nn.Module):
    def __init__(self, name: str, count: int | None = None) -> None:
        super().__init__()
        self.name, self.count = name, count or len(VALUES[name])

    def forward(self, z: Tensor) -> Tensor:
        scores = torch.zeros(len(z), self.count)
        scores[:, 1 if self.name == "top" else 0] = 1
        if self.name == "color":
            scores[:, 0] = z[:, 0]
            scores[:, 1] = -z[:, 0]
            scores[:, 2:] = -100
        return scores


def some_answers(z: Tensor) -> dict[str, Tensor]:
    """A world in which z decides the colour; everything else is always the same."""
    answers = {name: torch.zeros(len(z), dtype=torch.long) for name in VALUES}
    answers["color"] = (z[:, 0] < 0).long()
    answers["top"] = torch.full((len(z),), (BARE + 1) % len(VALUES["top"]))
    return answers


def test_a_direction_points_to_where_its_value_is() -> None:
    z = torch.randn(COUNT, Z_DIM, generator=torch.Generator().manual_seed(0))
    colors = find_attributes(z, some_answers(z))["color"]
    assert set(colors) == set(VALUES["color"][:2])
    red, orange = (colors[word] for word in VALUES["color"][:2])
    torch.testing.assert_close(red, -orange)
    assert red[0] == pytest.approx(2 * (2 / torch.pi) ** 0.5, abs=0.1)  # of half a Gaussian
    assert red[1:].abs().max() < 0.2


def test_values_that_are_rare_or_everywhere_get_no_direction() -> None:
    z = torch.randn(COUNT, Z_DIM)
    answers = some_answers(z)
    answers["eyes"][: RAREST - 1] = 1
    answers["eyes"][RAREST : 2 * RAREST] = 2
    found = find_attributes(z, answers)
    assert set(found["eyes"]) == {VALUES["eyes"][0], VALUES["eyes"][2]}
    assert found["body"] == {}


def test_only_a_top_shows_the_accent() -> None:
    z = torch.randn(COUNT, Z_DIM)
    answers = some_answers(z)
    answers["accent"] = (z[:, 1] < 0).long()
    answers["top"][z[:, 0] > 0] = BARE
    first = find_attributes(z, answers)["accent"][VALUES["accent"][0]]
    seen = z[z[:, 0] <= 0]
    expected = seen[seen[:, 1] >= 0].mean(dim=0) - seen[seen[:, 1] < 0].mean(dim=0)
    torch.testing.assert_close(first, expected)


def test_success_is_the_share_of_pictures_that_change() -> None:
    far = torch.zeros(Z_DIM)
    far[0] = 10
    directions = {"color": {"red": far, "orange": -far}}
    shares = measure_success(PassOn(), ReadFirstNumber(), directions, count=400)  # type: ignore[arg-type]
    assert shares["color"]["before"] == pytest.approx(0.5, abs=0.1)
    assert shares["color"]["1x"] == shares["color"]["2x"] == 1.0
    away = {"color": {"red": -far}}
    assert measure_success(PassOn(), ReadFirstNumber(), away, count=50)["color"]["1x"] == 0  # type: ignore[arg-type]


def test_a_push_brings_along_what_z_has_mixed_and_nothing_else() -> None:
    z = torch.randn(COUNT, Z_DIM, generator=torch.Generator().manual_seed(0))
    judge, generator = ReadFirstNumber(smile_with_red=True), PassOn()
    pushed = measure_push(generator, judge, z, read_pictures(generator, judge, z))  # type: ignore[arg-type]
    assert pushed["cause"][0] == pushed["effect"][0] == pushed["elsewhere"][0] == 0
    assert pushed["cause"][-1] > 0.8
    assert pushed["effect"] == pushed["cause"]
    assert pushed["elsewhere"][-1] == 0
    assert pushed["count"] == 300


def test_principal_directions_are_those_of_the_first_layer() -> None:
    generator = Generator(GeneratorConfig(z_dim=Z_DIM, channels=(8, 8)))
    with torch.no_grad():
        generator.stem.weight.zero_()
        generator.stem.weight[0, 3] = -5
        generator.stem.weight[1, 6] = 2
    found = find_principal(generator, 2)
    assert found.argmax(dim=1).tolist() == [3, 6]
    torch.testing.assert_close(found @ found.T, torch.eye(2).double())


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_a_folder_says_which_generator_it_holds(kind: str, tmp_path: Path) -> None:
    small = {"z_dim": Z_DIM, "channels": (8, 8)}
    vae = VAE(VAEConfig(**small, encoder_channels=(8, 8)))  # type: ignore[arg-type]
    model = vae if kind == "vae" else Generator(GeneratorConfig(**small))  # type: ignore[arg-type]
    model.save_pretrained(tmp_path)
    assert load_generator(tmp_path).config.z_dim == Z_DIM


def test_the_file_is_json_with_a_line_for_each_direction(tmp_path: Path) -> None:
    directions = {
        "principal": [[0.1, 0.2], [0.3, 0.4]],
        "attributes": {"color": {"red": [1.0, 2.0], "blue": [3.0, 4.0]}},
        "count": 3,
    }
    write_directions(tmp_path, directions)
    text = (tmp_path / FILE).read_text()
    assert json.loads(text) == directions
    assert len(text.splitlines()) > 4


@pytest.mark.parametrize("folder", sorted((ROOT / "models").glob(f"latent-*/{FILE}")), ids=str)
def test_bundled_directions_fit_their_model_and_the_browser(folder: Path) -> None:
    assert folder.stat().st_size < 60_000
    found = json.loads(folder.read_text())
    config = json.loads((folder.parent / "config.json").read_text())
    principal = torch.tensor(found["principal"])
    assert principal.shape == (8, config["z_dim"])
    torch.testing.assert_close(principal @ principal.T, torch.eye(8), atol=2e-3, rtol=0)
    assert found["attributes"].keys() == VALUES.keys()
    for name, values in found["attributes"].items():
        assert set(values) <= set(VALUES[name])
        assert {len(direction) for direction in values.values()} <= {config["z_dim"]}
