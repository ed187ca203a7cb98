"""A damaged or missing model is explained, and everything else goes on working."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from shared.settings import ROOT
from tests.conftest import run_app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A gallery whose text model is damaged and whose music model is missing."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("text-storyteller", "latent-critters-vae", "latent-critters-gan"):
        ignore = shutil.ignore_patterns("checkpoint.pt*")
        shutil.copytree(ROOT / "models" / name, folder / name, ignore=ignore)
    weights = folder / "text-storyteller" / "model-00001-of-00002.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with run_app(folder / "log.txt", GALLERY_MODELS_DIR=str(folder)) as url:
        client = Client(url, verbose=False)
        yield client
        client.close()


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [("/generate_text", "damaged or missing"), ("/generate_music", "is missing")],
)
def test_the_message_says_how_to_restore_it(client: Client, endpoint: str, message: str) -> None:
    with pytest.raises(AppError, match=rf"{message}.*git checkout"):
        client.predict(api_name=endpoint)


def test_the_next_request_works(client: Client, tmp_path: Path) -> None:
    vae, gan, _ = client.predict(api_name="/sample_latent")
    assert Path(vae).is_file()
    assert Path(gan).is_file()
