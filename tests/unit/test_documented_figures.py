from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import check, show_markdown
from benchmarks.documented import FIGURES, Command, Direction, Figure
from shared.settings import ROOT

PROGRAMS = {
    "good": "print('on the way')\nprint('{\"speed\": 9.5}')",
    "crash": "raise SystemExit('out of order')",
    "slow": "import time\ntime.sleep(60)",
    "silent": "print('no figures')",
}


def figure(module: str, direction: Direction = "at least", documented: float = 10) -> Figure:
    return Figure("speed", Command(module, timeout=3), "speed", documented, direction, 0.1)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in PROGRAMS.items():
        (tmp_path / f"fake_{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("programs")
def test_a_command_that_fails_is_a_row_and_the_others_still_run() -> None:
    rows = check([figure(f"fake_{name}") for name in ("crash", "slow", "silent", "good")])
    assert [row.state for row in rows] == [
        "does not run: out of order",
        "does not run: longer than 3 s",
        "does not run: no JSON at the end",
        "holds",
    ]
    assert rows[-1].today == 9.5
    assert "out of order" in show_markdown(rows)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("direction", "documented", "state"),
    [
        ("at least", 10, "holds"),
        ("at least", 11, "broken"),
        ("at most", 9, "holds"),
        ("at most", 8, "broken"),
        ("about", 9, "holds"),
        ("about", 8, "broken"),
        ("about", 11, "broken"),
    ],
)
def test_a_figure_holds_within_its_tolerance(
    direction: Direction, documented: float, state: str
) -> None:
    assert check([figure("fake_good", direction, documented)])[0].state == state


def test_every_benchmark_and_evaluation_measures_a_documented_figure() -> None:
    files = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "training").glob("evaluate_*.py")]
    # music_tunes is the part of benchmarks.music that measures the bundled model.
    helpers = {"__init__", "__main__", "documented", "measure", "music_tunes"}
    modules = {f"{path.parent.name}.{path.stem}" for path in files if path.stem not in helpers}
    assert modules == {figure.command.module for figure in FIGURES}


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []
