"""Reading visitors' pictures, and squeezing them through a tiny random VAE."""

from __future__ import annotations

import base64
import contextlib
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demos.latent.reconstruct import (
    _held_out_rows,
    draw_real_critters,
    read_drawing,
    read_picture,
    reconstruct,
)
from demos.latent.show_reconstruct import show_numbers, show_whiskers
from shared.errors import InvalidRequest
from shared.nets import VAE, kl_divergence
from training.critter_data import VALUES, sample_attributes


def test_reconstruction_measures_its_own_error(vae: VAE) -> None:
    result = reconstruct(vae, Image.new("RGB", (90, 70), "orange"))
    before, after = (np.asarray(image) / 255 for image in (result.original, result.picture))

    assert result.original.size == result.picture.size == (64, 64)
    assert result.mu.shape == result.logvar.shape == (64,)
    assert result.closeness.l1 == pytest.approx(np.abs(after - before).mean(), abs=0.01)
    psnr = -10 * np.log10(((after - before) ** 2).mean())
    assert result.closeness.psnr_db == pytest.approx(psnr, abs=0.2)


def test_what_each_number_says_adds_up_to_the_divergence(vae: VAE) -> None:
    result = reconstruct(vae, Image.new("RGB", (64, 64), "orange"))
    mu, logvar = torch.tensor(result.mu)[None], torch.tensor(result.logvar)[None]

    assert result.kl.sum() == pytest.approx(float(kl_divergence(mu, logvar)), rel=1e-4)
    assert (result.kl >= -1e-6).all()
    np.testing.assert_allclose(result.sigma**2, np.exp(result.logvar), rtol=1e-5)


def test_the_chart_has_a_bar_a_whisker_and_a_tooltip_for_each_number(vae: VAE) -> None:
    chart = show_numbers(reconstruct(vae, Image.new("RGB", (64, 64), "orange")))
    assert chart.count("<title>") == 64

    # 0 is in the middle of 72 units, 3 is at its edge less 2.
    chart = show_whiskers([1.5, -9.0], [0.3, 1.0], [1.0, 0.0])
    assert 'y="19.0" width="4" height="17.0"' in chart
    assert 'y1="15.6" y2="22.4"' in chart
    assert 'y="36.0" width="4" height="34.0"' in chart, "what is far off ends at the edge"
    assert chart.count('class="quiet"') == 1


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"]
)
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


def test_unusable_files_are_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "vector.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGB", (7, 200)).save(tmp_path / "tiny.png")
    Image.effect_noise((100, 100), 50).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])

    for name, words in [
        ("note", "cannot be read"),
        ("empty", "cannot be read"),
        ("vector", "cannot be read"),
        ("dot", "too small: 1 × 1"),
        ("tiny", "too small: 7 × 200"),
        ("cut", "cannot be read"),
        ("missing", "cannot be read"),
    ]:
        with pytest.raises(InvalidRequest, match=words):
            read_picture(tmp_path / f"{name}.png")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)

    with pytest.raises(InvalidRequest, match="too large: it has more than 50 million"):
        read_picture(tmp_path / "bomb.png")


def test_damaged_files_give_a_picture_or_a_plain_message(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "damaged"
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        buffer = io.BytesIO()
        Image.effect_noise((40, 30), 60).convert("RGB").save(buffer, kind)
        for _ in range(40):
            data = bytearray(buffer.getvalue())
            for _ in range(5):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(data[: rng.randrange(1, len(data) + 1)])
            with contextlib.suppress(InvalidRequest):
                assert read_picture(path).mode == "RGB"


def url_of(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_a_drawing_is_read() -> None:
    drawing = Image.new("RGB", (32, 32), "white")
    drawing.putpixel((3, 4), (59, 130, 246))

    assert read_drawing(url_of(drawing)).tobytes() == drawing.tobytes()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (url_of(Image.new("RGB", (32, 32), "white")), "one colour only"),
        ("", "cannot be read"),
        ("https://example.org/a.png", "cannot be read"),
        ("file:///etc/passwd", "cannot be read"),
        ("data:image/png;base64,????", "cannot be read"),
        ("data:image/png;base64,é", "cannot be read"),
        ("data:image/png;base64,aGVsbG8=", "cannot be read"),
        ("data:image/png;base64," + "A" * 3_000_000, "cannot be read"),
    ],
)
def test_what_is_no_drawing_is_refused(url: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_drawing(url)


def test_real_critters_are_ones_that_no_model_was_trained_on() -> None:
    trained = sample_attributes(50_000, seed=0)
    seen = set(zip(*(trained[name].tolist() for name in VALUES), strict=True))
    rows = _held_out_rows()

    assert 9_000 < len(rows) < 10_000, "a few are drawn twice by chance, and left out"
    assert not seen & {tuple(row) for row in rows.tolist()}


def test_real_critters_differ_and_come_again_with_their_seed() -> None:
    first, again, others = (draw_real_critters(seed, 12) for seed in (1, 1, 2))

    assert len({picture.tobytes() for picture, _ in first}) == 12
    assert first == again
    assert first != others
    assert all(picture.size == (64, 64) for picture, _ in first)
