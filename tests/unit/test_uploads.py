"""Reading visitors' pictures: real files of every kind, whole and damaged."""

from __future__ import annotations

import base64
import contextlib
import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from shared.errors import InvalidRequest
from shared.settings import ROOT
from shared.uploads import LONGEST_DRAWING, read_data_url, read_picture

GREY = (127, 127, 127)
LOSSLESS = {"WEBP": {"lossless": True}}


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"]
)
def test_pictures_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tiff"
    if mode == "I;16":
        Image.fromarray(np.full((20, 30), 32768, np.uint16)).save(path)
    else:
        Image.new(mode, (30, 20)).save(path, format="PNG" if mode == "LA" else "TIFF")
    picture = read_picture(path)
    assert (picture.mode, picture.size) == ("RGB", (30, 20))
    if mode == "I;16":
        assert picture.getpixel((0, 0)) == GREY


def test_sixteen_bits_keep_their_shades(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 100 * 20).reshape(20, 100).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    shades = np.asarray(read_picture(tmp_path / "deep.png"))[..., 0]
    np.testing.assert_allclose(shades, ramp / 257, atol=1)


@pytest.mark.parametrize("peak", [1.0, 800.0])
def test_floating_point_pictures_are_scaled_and_holes_become_black(
    tmp_path: Path, peak: float
) -> None:
    values = np.full((10, 10), peak, np.float32)
    values[0, :3] = np.nan, np.inf, -5
    values[1] = peak / 2
    Image.fromarray(values).save(tmp_path / "float.tiff")
    picture = read_picture(tmp_path / "float.tiff")
    assert [picture.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0)] * 3
    assert picture.getpixel((5, 1)) == GREY
    assert picture.getpixel((5, 5)) == (255, 255, 255)


def test_colours_survive_printing_inks_and_palettes(tmp_path: Path) -> None:
    picture = Image.new("RGB", (16, 16), (200, 30, 90))
    picture.convert("CMYK").save(tmp_path / "inks.jpg", quality=100)
    picture.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    for name in ("inks.jpg", "palette.png"):
        read = np.asarray(read_picture(tmp_path / name)).astype(int)
        assert abs(read - [200, 30, 90]).max() <= 3


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clear.png"
    if kind == "P":
        Image.new("RGB", (10, 10), "red").quantize().save(path, transparency=0)
    else:
        Image.new("RGBA", (10, 10), (255, 0, 0, 0)).convert(kind).save(path)
    assert read_picture(path).getpixel((5, 5)) == (255, 255, 255)


def test_a_photograph_is_turned_upright_and_forgets_where_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 20), "red").save(path, exif=exif, icc_profile=b"profile", comment=b"hi")
    picture = read_picture(path)
    assert picture.size == (20, 40)
    assert picture.info == {}
    assert not picture.getexif()


def test_no_text_and_no_profile_survive(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<name>Ada</name>")
    info.add_text("Author", "Ada", zip=True)
    path = tmp_path / "text.png"
    Image.new("RGB", (20, 20)).save(path, pnginfo=info, icc_profile=b"profile", dpi=(72, 72))
    picture = read_picture(path)
    assert picture.info == {}
    file = io.BytesIO()
    picture.save(file, "PNG")
    assert b"Ada" not in file.getvalue()
    assert b"profile" not in file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    path = tmp_path / f"film.{kind.lower()}"
    first.save(path, kind, save_all=True, append_images=[second], **LOSSLESS.get(kind, {}))
    assert read_picture(path).getpixel((8, 8)) == (255, 0, 0)


def test_unusable_files_are_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "vector.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGB", (7, 200)).save(tmp_path / "tiny.png")
    Image.effect_noise((100, 100), 50).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (20, 20)).save(tmp_path / "print.png", "EPS")  # would start Ghostscript

    for name, words in [
        ("note", "cannot be read as a picture. Try a PNG"),
        ("empty", "cannot be read as a picture"),
        ("vector", "cannot be read as a picture"),
        ("print", "cannot be read as a picture"),
        ("missing", "cannot be read as a picture"),
        ("dot", "too small: 1 × 1"),
        ("tiny", "too small: 7 × 200"),
        ("cut", "cannot be read: the file is damaged or cut short"),
    ]:
        with pytest.raises(InvalidRequest, match=words):
            read_picture(tmp_path / f"{name}.png")


def make_png(width: int, height: int, depth: int, kind: int, data: bytes) -> bytes:
    """A PNG file; ``kind`` is PNG's own number for grey (0), RGB (2) or RGBA (6)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    pixels = chunk(b"IDAT", data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def bomb(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it has ``width`` by ``height`` pixels."""
    return make_png(width, height, 8, 2, zlib.compress(bytes(1000)))


def make_large_png(path: Path, depth: int, kind: int, channels: int, side: int = 7000) -> None:
    packer = zlib.compressobj(1)
    row = b"\0" + bytes(range(256)) * (side * channels * depth // 8 // 256 + 1)
    row = row[: 1 + side * channels * depth // 8]
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    path.write_bytes(make_png(side, side, depth, kind, data))


def make_photo(path: Path, megapixels: int, **options: bool) -> None:
    width, height = {12: (4000, 3000), 24: (6000, 4000), 48: (8000, 6000)}[megapixels]
    colours = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(colours).resize((width, height)).save(path, "JPEG", **options)


MEASURE = """
import resource, sys
from PIL import Image
from shared.uploads import read_picture
Image.new("RGB", (16, 16)).save(sys.argv[2], "PNG")
read_picture(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = read_picture(sys.argv[1])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024, *picture.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Memory is counted in other ways elsewhere.")
@pytest.mark.parametrize(
    ("write", "most", "size"),
    [
        (lambda path: make_large_png(path, 16, 2, 3), 300, (1750, 1750)),
        (lambda path: make_large_png(path, 16, 0, 1), 300, (1750, 1750)),
        (lambda path: make_large_png(path, 16, 6, 4), 300, (1750, 1750)),
        (lambda path: make_photo(path, 12), 100, (2000, 1500)),
        (lambda path: make_photo(path, 24), 100, (1500, 1000)),
        (lambda path: make_photo(path, 48, progressive=True), 300, (2000, 1500)),
    ],
    ids=["RGB 16", "grey 16", "RGBA 16", "photo 12", "photo 24", "progressive 48"],
)
def test_a_large_picture_takes_little_memory(
    tmp_path: Path, write: Callable[[Path], None], most: int, size: tuple[int, int]
) -> None:
    write(tmp_path / "large")
    assert (tmp_path / "large").stat().st_size < 10_000_000, "or it would not be accepted"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "large", tmp_path / "small"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    grown, *seen = map(int, done.stdout.split())
    assert tuple(seen) == size
    assert grown < most, "megabytes"


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_formats_that_take_much_memory_may_have_fewer_pixels(tmp_path: Path, kind: str) -> None:
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {"method": 0}
    Image.new("RGB", (8000, 2001)).save(tmp_path / "large", kind, **options)
    with pytest.raises(InvalidRequest, match=f"{kind} files of more than 16 million"):
        read_picture(tmp_path / "large")


def test_a_large_picture_shows_the_same_when_it_is_smaller(tmp_path: Path) -> None:
    corners = np.zeros((2, 2, 4), np.uint8)
    corners[0, 0], corners[0, 1], corners[1, 0] = (
        (255, 0, 0, 255),
        (0, 255, 0, 255),
        (0, 0, 255, 255),
    )
    large = Image.fromarray(corners).resize((3001, 2401), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    large.save(tmp_path / "large.png", exif=exif, compress_level=1)
    picture = read_picture(tmp_path / "large.png")
    assert picture.size == (1501, 1201)
    seen = [picture.getpixel(place) for place in ((1490, 1190), (10, 1190), (1490, 10), (10, 10))]
    assert seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_large_floating_point_pictures_have_one_white(tmp_path: Path) -> None:
    values = np.full((2500, 2500), 1.0, np.float32)
    values[2400:] = 4.0  # in another band than most
    Image.fromarray(values).save(tmp_path / "large.tiff")
    picture = read_picture(tmp_path / "large.tiff")
    assert picture.getpixel((5, 5)) == (63, 63, 63)
    assert picture.getpixel((5, 1240)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(10_000, 5_001), (12_000, 12_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    # Were it unpacked, it would be found to be cut short.
    (tmp_path / "bomb.png").write_bytes(bomb(*size))
    with pytest.raises(InvalidRequest, match="too large: it has more than 50 million"):
        read_picture(tmp_path / "bomb.png")


def to_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_what_a_pad_sends_is_read() -> None:
    drawing = Image.new("RGBA", (32, 32))
    drawing.putpixel((3, 4), (59, 130, 246, 255))
    file = io.BytesIO()
    drawing.save(file, "PNG")
    read = read_data_url(to_url(file.getvalue()))
    assert (read.mode, read.size) == ("RGB", (32, 32))
    assert read.getpixel((3, 4)) == (59, 130, 246)
    assert read.getpixel((9, 9)) == (255, 255, 255)


def test_what_a_pad_cannot_have_sent_is_refused() -> None:
    noise = random.Random(0).randbytes(LONGEST_DRAWING)
    for url, words in [
        ("", "drawing cannot be read"),
        ("/etc/passwd", "drawing cannot be read"),
        ("data:image/svg+xml;base64,AAAA", "drawing cannot be read"),
        ("data:image/png;base64,@@@", "drawing cannot be read"),
        (to_url(noise), "cannot be read"),
        (to_url(b"GIF89a"), "cannot be read"),
        (to_url(bomb(20_000, 20_000)), "too large"),
    ]:
        with pytest.raises(InvalidRequest, match=words):
            read_data_url(url)


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
