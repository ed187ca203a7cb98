"""The latent-space room's model code, on tiny random networks of the genuine classes."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demos.latent.generate import (
    DIRECTIONS,
    PairRequest,
    WalkRequest,
    draw_z,
    find_directions,
    generate_walk,
    interpolate,
    read_picture,
    reconstruct,
    sample,
)
from shared.errors import InvalidRequest
from shared.nets import VAE, Generator, GeneratorConfig, VAEConfig

CHANNELS = (8, 8, 8, 8)


@pytest.fixture(scope="module")
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(channels=(8, *CHANNELS), encoder_channels=CHANNELS)).eval()


@pytest.fixture(scope="module")
def gan() -> Generator:
    torch.manual_seed(1)
    return Generator(GeneratorConfig(channels=(8, *CHANNELS))).eval()


def test_a_seed_gives_the_same_pair_and_another_seed_another(vae: VAE, gan: Generator) -> None:
    first, again, other = (sample(vae, gan, PairRequest.parse(seed=seed)) for seed in (5, 5, 6))

    assert first == again
    assert first.vae != other.vae
    assert first.gan != other.gan
    assert first.vae.size == first.gan.size == (64, 64)


def test_without_truncation_left_all_seeds_look_alike(vae: VAE, gan: Generator) -> None:
    pairs = [sample(vae, gan, PairRequest.parse(seed=seed, truncation=0)) for seed in (1, 2)]

    assert pairs[0] == pairs[1]
    assert not any(pairs[0].z)


def test_a_slider_moves_both_pictures_by_its_distance(vae: VAE, gan: Generator) -> None:
    still = sample(vae, gan, PairRequest.parse(seed=3))
    moved = sample(vae, gan, PairRequest.parse(seed=3, offsets=[0, 0, 0, 0, 2.0]))

    assert np.linalg.norm(np.subtract(moved.z, still.z)) == pytest.approx(2, rel=1e-4)
    assert moved.vae != still.vae
    assert moved.gan != still.gan


def test_directions_are_orthonormal_and_strongest_first(gan: Generator) -> None:
    directions = find_directions(gan, DIRECTIONS)
    readers = [value for value in gan.state_dict().values() if value.shape[-1:] == (64,)]
    weights = np.concatenate([value.numpy() for value in readers if value.ndim == 2])
    effects = np.linalg.norm(weights @ directions.T, axis=0)

    np.testing.assert_allclose(directions @ directions.T, np.eye(DIRECTIONS), atol=1e-5)
    assert list(effects) == sorted(effects, reverse=True)


@pytest.mark.parametrize("path", ["spherical", "linear"])
def test_a_walk_ends_exactly_on_its_seeds(vae: VAE, gan: Generator, path: str) -> None:
    request = WalkRequest.parse(seed=1, end_seed=2, frames=8, path=path)
    steps = list(generate_walk(vae, gan, request, threading.Event()))

    assert len(steps) == 8
    assert steps[0].pair == sample(vae, gan, PairRequest.parse(seed=1))
    assert steps[-1].pair == sample(vae, gan, PairRequest.parse(seed=2))


def test_only_the_spherical_way_keeps_the_length() -> None:
    start, end = (10 * vector / vector.norm() for vector in (draw_z(1, 64), draw_z(2, 64)))

    assert float(interpolate(start, end, 0.5, "spherical").norm()) == pytest.approx(10, rel=1e-4)
    assert float(interpolate(start, end, 0.5, "linear").norm()) < 8.5


def test_a_spherical_walk_survives_vectors_that_span_no_arc() -> None:
    nothing, z = torch.zeros(64), draw_z(1, 64)

    for start, end in [(nothing, nothing), (nothing, z), (z, z), (z, -z)]:
        assert torch.isfinite(interpolate(start, end, 0.5, "spherical")).all()


def test_stop_ends_a_walk_within_one_step(vae: VAE, gan: Generator) -> None:
    stop = threading.Event()
    steps = generate_walk(vae, gan, WalkRequest.parse(frames=64), stop)
    next(steps)
    stop.set()

    assert list(steps) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"truncation": 2.5}, "truncation"),
        ({"frames": 7}, "frames"),
        ({"path": "scenic"}, "path"),
        ({"end_seed": -2}, "end seed"),
        ({"dataset": ""}, "dataset"),
    ],
)
def test_a_bad_value_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        WalkRequest.parse(**values)


def test_reconstruction_measures_its_own_error(vae: VAE) -> None:
    result = reconstruct(vae, Image.new("RGB", (90, 70), "orange"))
    before, after = (np.asarray(image) / 255 for image in (result.original, result.picture))

    assert result.original.size == result.picture.size == (64, 64)
    assert result.mu.shape == result.logvar.shape == (64,)
    assert result.l1 == pytest.approx(np.abs(after - before).mean(), abs=0.01)
    assert result.psnr_db == pytest.approx(-10 * np.log10(((after - before) ** 2).mean()), abs=0.2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_every_mode_are_read(vae: VAE, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tiff"
    if mode == "I;16":
        Image.fromarray(np.full((20, 30), 32768, np.uint16)).save(path)
    else:
        Image.new(mode, (30, 20)).save(path, format="PNG" if mode == "LA" else "TIFF")

    picture = read_picture(path)

    assert (picture.mode, picture.size) == ("RGB", (30, 20))
    if mode == "I;16":
        assert picture.getpixel((0, 0)) == (127, 127, 127)
    assert reconstruct(vae, picture).original.size == (64, 64)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(tmp_path / "clear.png")

    assert read_picture(tmp_path / "clear.png").getpixel((5, 5)) == (255, 255, 255)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.new("RGB", (40, 20), "red").save(tmp_path / "photo.jpg", exif=exif)

    assert read_picture(tmp_path / "photo.jpg").size == (20, 40)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    first.save(tmp_path / "film.gif", save_all=True, append_images=[second])

    assert read_picture(tmp_path / "film.gif").getpixel((8, 8)) == (255, 0, 0)


def test_unusable_files_are_refused_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    Image.new("RGB", (7, 200)).save(tmp_path / "tiny.png")
    Image.effect_noise((100, 100), 50).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])

    for name, words in [("note", "cannot be read"), ("tiny", "small"), ("cut", "cannot be read")]:
        with pytest.raises(InvalidRequest, match=words):
            read_picture(tmp_path / f"{name}.png")

    Image.new("RGB", (100, 100)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.raises(InvalidRequest, match="too large"):
        read_picture(tmp_path / "huge.png")
