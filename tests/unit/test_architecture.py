"""The tree keeps its shape: imports point down, and the page is up before the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import ROOT

# What each layer may import of ours, lowest first.
GROUND = {"shared.settings", "shared.errors", "shared.devices"}
RULES = {
    "shared/settings.py": {"shared.errors", "shared.devices"},
    "shared/errors.py": set(),
    "shared/devices.py": {"shared.errors"},
    "shared/requests.py": GROUND,
    "shared/temporary_files.py": {"shared.errors"},
    "shared/uploads.py": {"shared.errors"},
    "shared/sounds.py": {"shared.errors", "shared.recipe_files"},
    "shared/musicgen/engine.py": {"shared.sampling", "shared.sounds"},
    "shared/musicgen/with_transformers.py": {"shared.musicgen.engine", "shared.sounds"},
    "shared/musicgen/with_audiocraft.py": {
        "shared.musicgen.engine",
        "shared.musicgen.with_transformers",
        "shared.sounds",
    },
    "shared/loader.py": set(),
    "shared/processes.py": {"shared.errors"},
    "shared/residents.py": {"shared.loader"},
    "shared/model_cache.py": {"shared.errors", "shared.loader", "shared.residents"},
    "shared/metrics.py": {"shared.model_cache"},
    "shared/live/process.py": {"shared.errors", "shared.settings"},
    "shared/data_urls.py": set(),
    "shared/live/film.py": {"shared.data_urls"},
    "shared/live/story.py": {
        "shared.data_urls",
        "shared.live.process",
        "shared.requests",
        "shared.live.film",
    },
    "shared/guests.py": GROUND | {"shared.catalog", "shared.model_cache", "shared.sources"},
    "shared/film.py": {"shared.recipe_files"},
    "shared/recipe_files.py": set(),
    "shared/recipes.py": GROUND | {"shared.catalog", "shared.requests"},
    "shared/sources.py": GROUND | {"shared.loader"},
    "shared/hub.py": GROUND | {"shared.loader", "shared.sources"},
    "shared/catalog.py": GROUND
    | {"shared.loader", "shared.hub", "shared.sources", "shared.nets"}
    | {"shared.batching", "shared.llamacpp", "shared.sampling"}
    | {"shared.musicgen", "shared.musicgen.engine", "shared.musicgen.with_transformers"}
    | {"shared.tunes.compose", "shared.tunes.copying", "shared.tunes.tokens"},
    "shared/sampling.py": set(),
    "shared/decoder.py": set(),
    "shared/batching.py": {"shared.decoder", "shared.sampling"},
    "shared/llamacpp.py": {"shared.sampling"},
    "shared/tunes/controls.py": set(),
    "shared/tunes/loudness.py": set(),
    "shared/tunes/soundfont.py": {"shared.errors"},
    "shared/tunes/sound.py": {"shared.errors", "shared.tunes.loudness", "shared.tunes.soundfont"},
    "shared/tunes/measures.py": {
        "shared.errors",
        "shared.tunes.controls",
        "shared.tunes.tokens",
    },
    "shared/tunes/chords.py": {"shared.tunes.controls", "shared.tunes.measures"},
    "shared/tunes/arrangement.py": {
        "shared.tunes.chords",
        "shared.tunes.controls",
        "shared.tunes.measures",
        "shared.tunes.sound",
    },
    "shared/tunes/tokens.py": {"shared.tunes.controls", "shared.tunes.sound"},
    "shared/tunes/grammar.py": {"shared.tunes.tokens"},
    "shared/tunes/foresight.py": {"shared.tunes.tokens"},
    "shared/tunes/copying.py": set(),
    "shared/tunes/compose.py": {
        "shared.sampling",
        "shared.tunes.controls",
        "shared.tunes.copying",
        "shared.tunes.foresight",
        "shared.tunes.grammar",
        "shared.tunes.sound",
        "shared.tunes.tokens",
    },
    "shared/assets.py": GROUND | {"shared.catalog"},
    "shared/zero_gpu.py": GROUND | {"shared.catalog", "shared.model_cache"},
}
SOURCES = sorted(
    path
    for folder in ("demos", "shared", "training", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)


def imports_of(path: Path) -> set[str]:
    """Modules that ``path`` imports, late imports inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def ours(path: Path) -> set[str]:
    tops = ("app", "demos", "shared", "training", "benchmarks", "tests")
    return {name for name in imports_of(path) if name.split(".")[0] in tops}


@pytest.mark.parametrize("path", sorted(RULES))
def test_shared_modules_import_only_what_lies_below(path: str) -> None:
    assert ours(ROOT / path) <= RULES[path]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upwards(path: Path) -> None:
    layer, *rest = path.relative_to(ROOT).parts
    for name in ours(path):
        top = name.split(".")[0]
        if layer in ("demos", "shared", "training"):
            assert top not in ("app", "benchmarks", "tests")
        if layer in ("shared", "training"):
            assert top != "demos"
        if layer in ("shared", "demos"):
            assert top != "training"  # "Train one" starts its scripts as processes
        if layer == "demos" and top == "demos" and len(rest) > 1:
            assert name.split(".")[1] == rest[0], "rooms never import each other"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_gradio_stays_in_the_page(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    pages = path.name in ("app.py", "page.py", "cache_panel.py", "serve.py") or "tabs" in parts
    pages = pages or "ui" in parts or path.name == "tab.py"
    allowed = pages or parts[0] == "benchmarks"
    assert allowed or "gradio" not in {name.split(".")[0] for name in imports_of(path)}


def test_a_script_may_use_a_room_without_the_page() -> None:
    code = "import sys, demos.image.generate; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


FIRST_PAGE = """
import sys, urllib.request
import app
from shared.settings import Settings
from shared.serve import create_cache, launch
settings = Settings()
gallery = app.build_app(settings, create_cache(settings))
_, url, _ = launch(gallery, settings, prevent_thread_lock=True, quiet=True)
assert urllib.request.urlopen(url).status == 200
early = {"torch", "transformers", "diffusers", "audiocraft"} & set(sys.modules)
sys.exit(f"imported before the first page: {early}" if early else 0)
"""


def test_the_first_page_is_answered_without_heavy_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_cache_is_small_and_needs_only_the_standard_library() -> None:
    path = ROOT / "shared" / "model_cache.py"
    outside = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names)
    assert outside == {"shared"}
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400
