"""The documented figures: each is measured by a command, and a command that fails is a row."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import __main__ as runner
from benchmarks.documented import COMMANDS, Command, Figure
from shared.settings import ROOT

SPEED = Figure("speed", "how fast it is", 10, "at least", 1)
ERRORS = Figure("errors", "what went wrong", 0, "at most")
PREPARE = "print('{\"speed\": 1}'); print('all is well'); "


def make_module(
    folder: Path, name: str, code: str, *figures: Figure, minutes: float = 1
) -> Command:
    """A command that runs ``code``."""
    (folder / f"{name}.py").write_text(code)
    return Command(name, figures or (SPEED, ERRORS), short=("--short",), minutes=minutes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules are found by the commands."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def states(command: Command) -> dict[str, str]:
    return {row.figure.key: row.state for row in runner.measure(command)}


def reason(command: Command) -> str:
    (one,) = {row.reason for row in runner.measure(command)}
    return one


def test_the_last_flat_line_is_compared(folder: Path) -> None:
    code = PREPARE + "print('{\"speed\": 9.5, \"errors\": 2}'); print('bye')"
    assert states(make_module(folder, "fine", code)) == {"speed": "holds", "errors": "broken"}


def test_the_short_form_is_run_and_json_asked_for(folder: Path) -> None:
    code = "import sys; assert sys.argv[1:] == ['--short', '--json']; print('{\"speed\": 10}')"
    assert states(make_module(folder, "asked", code, SPEED)) == {"speed": "holds"}


def test_a_crash_is_a_row_with_its_last_line(folder: Path) -> None:
    command = make_module(folder, "crash", PREPARE + "raise ValueError('no such model')")
    assert set(states(command).values()) == {"does not run"}
    assert reason(command) == "ValueError: no such model"


def test_a_program_without_figures_does_not_run(folder: Path) -> None:
    assert reason(make_module(folder, "silent", "print('[1]'); print('done')")) == (
        "it printed no figures"
    )
    one = make_module(folder, "half", "print('{\"errors\": 0}')", SPEED)
    assert reason(one) == "there is no speed among its figures"


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet collected by its new parent."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(folder: Path) -> None:
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        f"pathlib.Path({str(folder / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(100)\n"
    )
    began = time.monotonic()
    assert "it took more than 0.05 minutes" in reason(
        make_module(folder, "slow", code, minutes=0.05)
    )
    assert time.monotonic() - began < 60
    child = int((folder / "child").read_text())
    deadline = time.monotonic() + 10
    while not has_ended(child):
        assert time.monotonic() < deadline, "the child process is still running"


@pytest.mark.parametrize(
    ("direction", "good", "bad"),
    [
        ("at least", (9, 50), (8.9,)),
        ("at most", (11, -1), (11.1,)),
        ("about", (9, 11), (8.9, 11.1)),
    ],
)
def test_a_figure_holds_within_its_tolerance(
    direction: str, good: tuple[float, ...], bad: tuple[float, ...]
) -> None:
    figure = Figure("x", "x", 10, direction, 1)  # type: ignore[arg-type]
    assert all(figure.holds(value) for value in good)
    assert not any(figure.holds(value) for value in bad)


def test_the_others_go_on_and_all_is_counted_and_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only_full = Figure("slow", "what takes long", 1, "about", is_short=False)
    commands = (
        make_module(folder, "crash", "raise ValueError('a | b')", SPEED),
        make_module(folder, "fine", 'print(\'{"speed": 11.25, "errors": 3}\')'),
        make_module(folder, "long", "print('{\"speed\": 12}')", SPEED, only_full),
    )
    out = folder / "figures.md"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--json", "--out", str(out)])
    with pytest.raises(SystemExit, match="1"):
        runner.main(commands)
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"figures": 4, "hold": 2, "broken": 1, "failed": 1}
    page = out.read_text(encoding="utf-8")
    assert "| how fast it is | 10 | - | does not run: ValueError: a / b |" in page
    assert "| how fast it is | 10 | 11.25 | holds |" in page
    assert "| what went wrong | 0 | 3 | broken |" in page
    assert "| what takes long | 1 | - | not measured |" in page
    assert f"{psutil.cpu_count()} cores" in page
    assert "2 of 4 figures hold" in page


def test_one_command_may_be_asked_for_and_good_news_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = (
        make_module(folder, "crash", "raise ValueError", SPEED),
        make_module(folder, "fine", "print('{\"speed\": 11}')", SPEED),
    )
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "fine"])
    runner.main(commands)
    assert "crash" not in capsys.readouterr().out


def test_every_benchmark_and_evaluation_is_measured() -> None:
    programs = {
        f"{path.parent.name}.{path.stem}"
        for path in [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("training/evaluate_*.py")]
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert programs - {"benchmarks.__main__"} == {command.module for command in COMMANDS}
    assert all(command.figures for command in COMMANDS)
    assert all(importlib.util.find_spec(command.module) for command in COMMANDS)


def test_the_page_of_figures_says_what_is_documented() -> None:
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"`{' '.join(['python', *command.arguments(is_short=False)])}`" in page
        for figure in command.figures:
            documented = runner.write_value(figure.documented, figure.unit)
            assert f"| {figure.what} | {documented} |" in page


def test_the_readme_is_short_and_links_the_figures() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/figures.md)" in readme
    assert len(readme.splitlines()) <= 130
