"""Files carry their recipe, and nothing of the picture they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from symusic import Score

from shared.film import save_gif, save_mp4
from shared.recipe_files import (
    CHANGED,
    MADE,
    WAV_BYTES,
    add_to_score,
    add_to_sound,
    read_recipe,
    save_png,
)
from shared.sounds import Sound, save_wav

RECIPE = {"model": "image/critters", "seed": 7, "settings": {"prompt": "a “blue” 怪物 <b>"}}

LONG = {**RECIPE, "settings": {"prompt": "Füchse, 狐, “foxes” and <b>. " * 200}}
FRAMES = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
SILENCE = np.zeros((1, 80), np.float32)


def write_film(save: Callable[..., None], **options: int) -> Callable[[Path, dict[str, Any]], None]:
    return lambda path, recipe: save(FRAMES, path, recipe, seconds=[0.1, 0.1], height=16, **options)


def write_midi(path: Path, recipe: dict[str, Any]) -> None:
    score = Score(480)
    add_to_score(score, recipe)
    score.dump_midi(path)


def write_flac(path: Path, recipe: dict[str, Any]) -> None:
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16", format="FLAC") as file:
        add_to_sound(file, recipe)
        file.write(SILENCE[0])


def write_json(path: Path, recipe: dict[str, Any]) -> None:
    path.write_text(json.dumps(recipe), "utf-8")


WRITERS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "png": lambda path, recipe: save_png(FRAMES[0], path, recipe),
    "wav": lambda path, recipe: save_wav(Sound(SILENCE, 8000), path, recipe),
    "flac": write_flac,
    "gif": write_film(save_gif),
    "mp4": write_film(save_mp4, frames_per_second=10),
    "mid": write_midi,
    "json": write_json,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_its_recipe_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"file.{kind}"
    WRITERS[kind](path, RECIPE)
    assert read_recipe(path) == RECIPE
    renamed = path.rename(tmp_path / "renamed.dat")
    assert read_recipe(renamed) == RECIPE, "the name does not matter"
    if kind != "wav":
        WRITERS[kind](path, LONG)
        assert read_recipe(path) == LONG


def test_a_wav_file_keeps_no_more_than_other_programs_read(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    for length in range(1900, 2100):
        recipe = {"seed": 7, "settings": {"description": "a" * length, "style": "waltz"}}
        save_wav(Sound(SILENCE, 8000), path, recipe)
        with soundfile.SoundFile(path) as file:
            comment = json.loads(file.comment)
        assert read_recipe(path) == comment
        assert (comment["seed"], comment["settings"]["style"]) == (7, "waltz")
        whole = len(json.dumps(recipe)) <= WAV_BYTES
        assert (comment == recipe) == whole, "what fits stays whole"


def test_a_longer_comment_in_an_old_wav_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16", format="WAV") as file:
        file.comment = json.dumps(LONG, ensure_ascii=False)
        file.write(SILENCE[0])
    assert read_recipe(path) == LONG


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).with_name("old_recipes").iterdir()), ids=lambda path: path.name
)
def test_files_of_version_0_1_are_still_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe
    assert recipe["settings"] == {"prompt": "a “blue” 怪物 <b>"}
    assert (recipe["model"], recipe["seed"]) == ("image/critters", 7)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_damaged_file_has_no_recipe_and_raises_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"file.{kind}"
    WRITERS[kind](path, RECIPE)
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        assert read_recipe(path) in (None, RECIPE)


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


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"[]", b"{}"])
def test_files_without_a_recipe_have_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.png").write_bytes(content)
    assert read_recipe(tmp_path / "file.png") is None
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert read_recipe(tmp_path / "plain.png") is None
    assert read_recipe(tmp_path / "missing.png") is None
    assert read_recipe(tmp_path) is None
