"""The generators in the browser: torch's pictures, in order, and plain words where that fails."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from demos.latent.generate import to_image
from shared.assets import create_asset_routes
from shared.catalog import Catalog
from shared.nets import VAE, Generator, GeneratorConfig
from shared.serve import launch
from shared.settings import ROOT, Settings
from tests.browser.conftest import OpenPage

# Gradio runs in this process here, and its own warnings are none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")
BROWSER_FILES = ROOT / "demos" / "latent" / "browser"
MODELS = ROOT / "models"
MOST_LEVELS_OFF = 2  # of 255

DRAW = """async ([key, many]) => {
  const { loadDecoder } = await import(new URL("rooms/latent/decoder.js", document.baseURI));
  const decoder = await loadDecoder(key);
  const pictures = await Promise.all(many.map((z) => decoder.decode(z)));
  decoder.dispose();
  return pictures.map(({ data }) => btoa(String.fromCharCode(...data)));
}"""
FAIL = """async (key) => {
  const { loadDecoder } = await import(new URL("rooms/latent/decoder.js", document.baseURI));
  return loadDecoder(key).then(() => "no error", (error) => error.message);
}"""
Serve = Callable[..., Page]


def draw(page: Page, key: str, many: torch.Tensor) -> np.ndarray:
    """What the browser draws for latent vectors (B, z_dim): (B, side, side, 4)."""
    pictures = page.evaluate(DRAW, [key, many.tolist()])
    pixels = np.stack([np.frombuffer(base64.b64decode(one), np.uint8) for one in pictures])
    side = round((pixels.shape[1] / 4) ** 0.5)
    return pixels.reshape(-1, side, side, 4)


def draw_with_torch(generator: Any, many: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return np.stack([np.asarray(to_image(image)) for image in generator(many)])


def assert_equal(drawn: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(drawn[..., :3].astype(int) - expected).max() <= MOST_LEVELS_OFF
    assert (drawn[..., 3] == 255).all()
    assert expected.std() > 10  # or anything would do


@pytest.fixture
def serve(browser: Browser) -> Iterator[Serve]:
    """Opens a page of its own over ``settings``; the console may hold errors here."""
    apps, pages = [], []

    def start(settings: Settings, **options: Any) -> Page:
        with gr.Blocks() as app:
            gr.Markdown("A page")
        _, url, _ = launch(app, Catalog(settings), prevent_thread_lock=True, quiet=True, **options)
        apps.append(app)
        pages.append(browser.new_page())
        pages[-1].goto(url)
        return pages[-1]

    yield start
    for page in pages:
        page.close()
    for app in apps:
        app.close(verbose=False)


@pytest.mark.parametrize(("name", "model"), [("critters-vae", VAE), ("critters-gan", Generator)])
def test_the_browser_draws_what_torch_draws(
    open_page: OpenPage, app_url: str, name: str, model: Any
) -> None:
    many = torch.randn(100, 64, generator=torch.Generator().manual_seed(4))
    many[90:] *= 2  # the largest truncation that the page offers
    many[0] = 0
    net = model.from_pretrained(MODELS / f"latent-{name}")
    with open_page(app_url) as page:
        drawn = draw(page, f"latent/{name}", many)

    assert drawn.shape == (100, 64, 64, 4)
    assert_equal(drawn, draw_with_torch(getattr(net, "decoder", net), many))


@pytest.mark.parametrize("channels", [(12, 20, 9, 5), (3,), (16, 8)])
def test_any_size_of_generator_is_drawn(
    serve: Serve, tmp_path: Path, channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    net = Generator(GeneratorConfig(z_dim=10, channels=channels))
    net.train()(torch.randn(64, 10))  # moves the batch norms away from where they begin
    for name, value in net.named_parameters():
        if value.ndim == 1:  # their factors and shifts, and the last bias
            torch.nn.init.normal_(value, mean=float("weight" in name), std=0.3)
    net.save_pretrained(tmp_path / "latent-critters-gan")
    net = Generator.from_pretrained(tmp_path / "latent-critters-gan")
    many = torch.randn(4, 10)
    page = serve(Settings(models_dir=tmp_path))

    assert_equal(draw(page, "latent/critters-gan", many), draw_with_torch(net, many))


def test_what_is_wanted_now_overtakes_what_can_wait(open_page: OpenPage, app_url: str) -> None:
    order = """async () => {
      const { loadDecoder } = await import(new URL("rooms/latent/decoder.js", document.baseURI));
      const decoder = await loadDecoder("latent/critters-gan");
      const z = new Float32Array(decoder.zDim);
      const order = [];
      const note = (name) => () => order.push(name);
      await Promise.all([
        ...[1, 2, 3].map((number) => decoder.decodeLater(z).then(note(`later ${number}`))),
        ...[1, 2].map((number) => decoder.decode(z).then(note(`now ${number}`))),
      ]);
      return order;
    }"""
    with open_page(app_url) as page:
        # The first was under way before anything else was asked for.
        assert page.evaluate(order) == ["later 1", "now 1", "now 2", "later 2", "later 3"]


def test_only_the_newest_call_waits(open_page: OpenPage, app_url: str) -> None:
    calls = """async () => {
      const { newest } = await import(new URL("rooms/latent/decoder.js", document.baseURI));
      const ran = [];
      const double = newest(async (number) => {
        ran.push(number);
        await Promise.resolve();
        if (number === 9) throw new Error("nine");
        return 2 * number;
      });
      const answers = await Promise.all([1, 2, 3, 4].map(double));
      const failed = await double(9).catch((error) => error.message);
      const then = await double(5);
      return { ran, answers: answers.map((answer) => answer ?? "overtaken"), failed, then };
    }"""
    with open_page(app_url) as page:
        assert page.evaluate(calls) == {
            "ran": [1, 4, 9, 5],
            "answers": [2, "overtaken", "overtaken", 8],
            "failed": "nine",
            "then": 10,
        }


def test_bad_vectors_and_closed_models_are_refused(open_page: OpenPage, app_url: str) -> None:
    refusals = """async () => {
      const { loadDecoder } = await import(new URL("rooms/latent/decoder.js", document.baseURI));
      const decoder = await loadDecoder("latent/critters-gan");
      const say = (promise) => promise.then(() => "no error", (error) => error.message);
      const z = new Float32Array(decoder.zDim);
      const words = [await say(decoder.decode([1, 2])), await say(decoder.decode(z.fill(NaN)))];
      const waiting = [decoder.decode(z.fill(0)), decoder.decodeLater(z)].map(say);
      decoder.dispose();
      return [...words, ...(await Promise.all(waiting)), await say(decoder.decode(z))];
    }"""
    with open_page(app_url) as page:
        words = page.evaluate(refusals)
    assert words[:2] == ["A latent vector of this model has 64 finite numbers."] * 2
    assert words[2:] == ["This model was closed."] * 3


def test_missing_and_damaged_models_are_explained(serve: Serve, tmp_path: Path) -> None:
    gan, vae = (tmp_path / f"latent-critters-{name}" for name in ("gan", "vae"))
    page = serve(Settings(models_dir=tmp_path))
    refused = "latent/critters-gan cannot be drawn by the browser: "
    damaged = f"{refused}its files are damaged or of another kind of model"

    assert page.evaluate(FAIL, "latent/critters-gan") == f"{refused}config.json is missing"
    for model in (gan, vae):
        shutil.copytree(MODELS / model.name, model, ignore=shutil.ignore_patterns("checkpoint*"))
    weights = gan / "model.safetensors"
    whole = weights.read_bytes()
    for content in (b"", b"nothing", b"\xff" * 40, whole[:9000], whole[:-1]):
        weights.write_bytes(content)
        assert page.evaluate(FAIL, "latent/critters-gan").startswith(damaged)
    shutil.copyfile(MODELS / "music-tunes" / "model.safetensors", weights)
    assert page.evaluate(FAIL, "latent/critters-gan").startswith(damaged)
    weights.unlink()
    assert page.evaluate(FAIL, "latent/critters-gan") == f"{refused}model.safetensors is missing"
    weights.write_bytes(whole)
    for config in ("{", "[]", '{"z_dim": 64}', '{"z_dim": 64, "channels": [192, 8]}'):
        (gan / "config.json").write_text(config)
        assert page.evaluate(FAIL, "latent/critters-gan").startswith(damaged)
    assert page.evaluate(FAIL, "latent/critters-vae") == "no error"


def test_a_browser_without_simd_is_told_so(serve: Serve, tmp_path: Path) -> None:
    rooms = tmp_path / "rooms"
    shutil.copytree(BROWSER_FILES, rooms / "latent" / "browser")
    # To a browser without them, SIMD's instructions are as unknown as these bytes.
    program = rooms / "latent" / "browser" / "generator.wasm"
    program.write_bytes(program.read_bytes()[:-40] + bytes([0xFD, 0xFF, 0x7F] * 13 + [0x0B]))
    routes = create_asset_routes(Catalog(Settings()), rooms)
    page = serve(Settings(), app_kwargs={"routes": routes})

    assert "no WebAssembly SIMD" in page.evaluate(FAIL, "latent/critters-gan")


def test_the_program_was_built_from_its_source(open_page: OpenPage, app_url: str) -> None:
    fingerprint = """async () => {
      const url = new URL("rooms/latent/generator.wasm", document.baseURI);
      const { instance } = await WebAssembly.instantiateStreaming(fetch(url));
      return instance.exports.source() >>> 0;
    }"""
    source = (BROWSER_FILES / "generator.c").read_bytes().replace(b"\r\n", b"\n")
    with open_page(app_url) as page:
        built_from = page.evaluate(fingerprint)
    message = "generator.c was changed: run `make wasm`"
    assert built_from == int(hashlib.sha256(source).hexdigest()[:8], 16), message
