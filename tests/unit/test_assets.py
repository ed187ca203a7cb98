"""What the page fetches: the right file with the right type, and nothing else of the disk."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from shared.assets import create_asset_routes
from shared.catalog import Catalog
from shared.settings import ROOT, Settings

VAE, GAN = "weights/latent/critters-vae", "weights/latent/critters-gan"


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """A room with a script, and a secret beside it."""
    folder = tmp_path / "rooms" / "latent" / "browser"
    folder.mkdir(parents=True)
    (folder / "tab.js").write_text("export const answer = 42;")
    (folder.parent / "secret.js").write_text("secret")
    (tmp_path / "browser").mkdir()  # what "the room .." would be
    (tmp_path / "browser" / "tab.js").write_text("secret")
    return tmp_path / "rooms"


def serve(rooms: Path = ROOT / "demos", path: str = "", **settings: Any) -> TestClient:
    routes = create_asset_routes(Catalog(Settings(**settings)), rooms)
    app = Starlette(routes=[Mount(path, routes=routes)] if path else routes)
    return TestClient(app, raise_server_exceptions=True)


@pytest.mark.parametrize(
    ("file", "media_type"),
    [
        ("decoder.js", "text/javascript; charset=utf-8"),
        ("decoder-worker.js", "text/javascript; charset=utf-8"),
        ("generator.wasm", "application/wasm"),
    ],
)
@pytest.mark.parametrize("path", ["", "/some/space"])
def test_scripts_have_the_type_that_browsers_ask_for(file: str, media_type: str, path: str) -> None:
    answer = serve(path=path).get(f"{path}/rooms/latent/{file}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.content == (ROOT / "demos" / "latent" / "browser" / file).read_bytes()


@pytest.mark.parametrize("model", [VAE, GAN])
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_weights_are_those_that_torch_loads(model: str, file: str) -> None:
    answer = serve().get(f"/{model}/{file}")
    folder = ROOT / "models" / model.removeprefix("weights/").replace("/", "-")
    assert answer.content == (folder / file).read_bytes()


def test_a_file_is_kept_but_asked_for_and_sent_again_once_it_changes(rooms: Path) -> None:
    client, url = serve(rooms), "/rooms/latent/tab.js"
    first = client.get(url)
    assert first.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    again = client.get(url, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    (rooms / "latent" / "browser" / "tab.js").write_text("export const answer = 43;!")
    changed = client.get(url, headers=known)
    assert (changed.status_code, changed.text) == (200, "export const answer = 43;!")


@pytest.mark.parametrize(
    "url",
    [
        "rooms/latent/secret.js",
        "rooms/latent/%2e%2e/secret.js",
        "rooms/latent/..%2fsecret.js",
        "rooms/latent/..%5csecret.js",
        "rooms/latent/%2fetc%2fpasswd",
        "rooms/latent/",
        "rooms/latent/none.js",
        "rooms/latent/tab.js%00",
        "rooms/latent/%00.js",
        f"rooms/latent/{'a' * 5000}.js",
        "rooms/latent/link.js",
        "rooms/latent/folder.js",
        "rooms/latent/notes.txt",
        "rooms/%2e%2e/tab.js",
        "rooms/..%2frooms%2flatent/tab.js",
        "rooms/nowhere/tab.js",
        "rooms/__pycache__/tab.js",
        f"{GAN}/training.json",
        f"{GAN}/README.md",
        f"{GAN}/..%2flatent-critters-vae%2fconfig.json",
        "weights/latent/%2e%2e/config.json",
        "weights/latent/nobody/config.json",
        "weights/text/storyteller/model.safetensors",
        "weights/image/critters/config.json",
        "weights/%2e%2e/%2e%2e/config.json",
    ],
)
def test_all_else_is_not_there(rooms: Path, url: str) -> None:
    browser = rooms / "latent" / "browser"
    (browser / "link.js").symlink_to(rooms / "latent" / "secret.js")
    (browser / "folder.js").mkdir()
    (browser / "notes.txt").write_text("not for the page")
    answer = serve(rooms).get(f"/{url}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_nothing_can_be_written(rooms: Path) -> None:
    client = serve(rooms)
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, "/rooms/latent/tab.js").status_code == 405


def test_models_come_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    client = serve(models_dir=tmp_path)
    assert client.get(f"/{GAN}/config.json").status_code == 404  # no folder
    (tmp_path / "latent-critters-gan").mkdir()
    assert client.get(f"/{GAN}/config.json").status_code == 404  # no file
    (tmp_path / "latent-critters-gan" / "config.json").write_text("{}")
    assert client.get(f"/{GAN}/config.json").text == "{}"


def test_an_operators_folder_takes_the_place_of_ours(tmp_path: Path) -> None:
    ours = ROOT / "models" / "latent-critters-gan"
    store, mine = tmp_path / "store", tmp_path / "mine"
    store.mkdir()
    mine.mkdir()
    shutil.copyfile(ours / "model.safetensors", store / "blob")
    # Hub caches keep a checkpoint as links to files elsewhere.
    os.symlink(store / "blob", mine / "model.safetensors")
    (mine / "config.json").write_text('{"mine": true}')
    client = serve(local_models=(("latent/critters-gan", mine), ("latent/mine-gan", mine)))
    for url in (GAN, "weights/latent/mine-gan"):
        assert client.get(f"/{url}/config.json").json() == {"mine": True}
        assert len(client.get(f"/{url}/model.safetensors").content) > 1e6
    shutil.rmtree(mine)
    assert client.get(f"/{GAN}/config.json").json()["z_dim"] == 64  # as torch: ours again
    assert client.get("/weights/latent/mine-gan/config.json").status_code == 404


def test_no_comment_of_a_style_sheet_ends_before_its_end() -> None:
    # "demos/*/room.css" in a comment ends it, and the browser drops the rule that follows.
    for path in [ROOT / "shared/gallery.css", *(ROOT / "demos").glob("*/room.css")]:
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "*/" not in rules, path
