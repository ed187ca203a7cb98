"""The gallery runs without the folder ``training``, apart from "Train one", which says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from shared.settings import ROOT
from tests.conftest import run_app

IMPORT_ALL = """
import importlib, pkgutil, demos, shared
for package in (demos, shared):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if "audiocraft" not in module.name:
            importlib.import_module(module.name)
"""
TRAIN_ONE = """
from shared.errors import GalleryError
from shared.live.process import follow_training
try:
    next(follow_training("train_vae", []))
except GalleryError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the gallery, without ``training``."""
    root = tmp_path_factory.mktemp("tree")
    for folder in ("demos", "shared"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
    shutil.copy(ROOT / "app.py", root)
    return root


def run(tree: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_the_rooms_is_imported(tree: Path) -> None:
    run(tree, IMPORT_ALL)


def test_every_room_works(tree: Path) -> None:
    with run_app(tree / "log.txt", root=tree, GALLERY_MODELS_DIR=str(ROOT / "models")) as url:
        client = Client(url, verbose=False)
        text, _ = client.predict("The owl", max_new_tokens=3, api_name="/generate_text")
        assert text
        picture, *_ = client.predict(
            "a blue critter", num_inference_steps=1, api_name="/generate_image"
        )
        assert Path(picture).is_file()
        sound, *_ = client.predict("a jig", duration=5, api_name="/generate_music")
        assert Path(sound).is_file()
        drawn, *_ = client.predict(seed=1, api_name="/sample_latent")
        rebuilt, *_ = client.predict(image=handle_file(drawn), api_name="/reconstruct")
        assert Path(rebuilt).is_file()
        client.close()


def test_train_one_says_that_the_scripts_are_missing(tree: Path) -> None:
    assert "training scripts are not here" in run(tree, TRAIN_ONE)
