"""Pictures carry their recipe, and nothing of the picture they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from shared.provenance import CHANGED, MADE, read_recipe, save_png

RECIPE = {"model": "image/critters", "seed": 7, "settings": {"prompt": "a “blue” 怪物 <b>"}}


def test_a_recipe_survives_the_file(tmp_path: Path) -> None:
    save_png(Image.new("RGB", (8, 8), "red"), tmp_path / "picture.png", RECIPE)
    assert read_recipe(tmp_path / "picture.png") == RECIPE
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("source", [MADE, CHANGED])
def test_the_file_says_that_a_model_made_it(tmp_path: Path, source: str) -> None:
    save_png(Image.new("RGB", (8, 8)), tmp_path / "picture.png", RECIPE, source=source)
    term = f"http://cv.iptc.org/newscodes/digitalsourcetype/{source}"
    assert term.encode() in (tmp_path / "picture.png").read_bytes()


def test_metadata_of_another_picture_are_left_out(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    exif = picture.getexif()
    exif[0x010E] = "taken at home"
    picture.save(tmp_path / "photo.jpg", exif=exif, comment=b"secret")
    with Image.open(tmp_path / "photo.jpg") as photo:
        save_png(photo, tmp_path / "picture.png", RECIPE)
    data = (tmp_path / "picture.png").read_bytes()
    assert b"taken at home" not in data
    assert b"secret" not in data


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_files_without_a_recipe_have_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.png").write_bytes(content)
    assert read_recipe(tmp_path / "file.png") is None
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert read_recipe(tmp_path / "plain.png") is None
