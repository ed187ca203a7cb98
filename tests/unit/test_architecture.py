"""The page is up before the heavy libraries. Which imports are allowed, pyproject.toml says."""

from __future__ import annotations

import re
import subprocess
import sys

from shared.settings import ROOT


def test_a_script_may_use_a_room_without_the_page() -> None:
    code = "import sys, demos.image.generate; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


FIRST_PAGE = """
import sys, urllib.request
import app
from shared.catalog import Catalog
from shared.settings import Settings
from shared.serve import create_cache, launch
catalog = Catalog(Settings())
gallery = app.build_app(create_cache(catalog), catalog)
_, url, _ = launch(gallery, catalog, prevent_thread_lock=True, quiet=True)
assert urllib.request.urlopen(url).status == 200
early = {"torch", "transformers", "diffusers", "audiocraft"} & set(sys.modules)
sys.exit(f"imported before the first page: {early}" if early else 0)
"""


def test_the_first_page_is_answered_without_heavy_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


THIRD_PARTY = """
import sys
before = set(sys.modules)
import shared.model_cache
tops = {name.split(".")[0] for name in set(sys.modules) - before}
sys.exit(" ".join(tops - {"shared"} - sys.stdlib_module_names))
"""


def test_the_cache_needs_only_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THIRD_PARTY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not done.stderr.strip()


def test_the_walks_through_the_code_lead_somewhere() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walks = text.split("## Four walks")[1].split("\n## ")[0]
    steps = re.findall(r"^(\d)\. `(\S+\.py)` `(\w+)`", walks, re.MULTILINE)
    assert [number for number, *_ in steps].count("1") == 4
    assert max(int(number) for number, *_ in steps) <= 5
    for _, file, name in steps:
        code = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"\b(def|class) {name}\b|^{name}\b", code, re.MULTILINE), (file, name)
