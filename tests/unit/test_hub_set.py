"""A checkpoint on the hub that refers to another repository, as audiocraft's refer to T5."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ModelUnavailable
from shared.hub import AUDIOCRAFT_FILES, MUSICGEN_FILES, Hub, HubSet, find_in_cache
from shared.settings import Settings
from tests.hub import COMMIT, use_hub

PART = Hub("someone/reader", COMMIT, 10**6, MUSICGEN_FILES)
WHOLE = HubSet("someone/music", COMMIT, 3 * 10**6, AUDIOCRAFT_FILES, (PART,))
OFFLINE = Settings(offline=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path)
    return tmp_path


def keep(cache: Path, repo: str, *names: str) -> Path:
    """Lay files where the hub's client keeps a finished download."""
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"weights")
    return folder


def test_it_is_here_when_all_of_it_is(cache: Path) -> None:
    music = keep(cache, "someone/music", *AUDIOCRAFT_FILES)
    assert not WHOLE.is_here(OFFLINE)
    with pytest.raises(ModelUnavailable, match="one-time download of about 1 MB"):
        WHOLE.fetch(OFFLINE, lambda *_: None)
    reader = keep(cache, "someone/reader", "model.safetensors")
    assert WHOLE.is_here(OFFLINE)
    assert WHOLE.fetch(OFFLINE, lambda *_: None) == music
    assert find_in_cache("someone/reader", COMMIT) == reader


def test_pickles_count_only_where_they_are_asked_for(cache: Path) -> None:
    keep(cache, "someone/reader", "pytorch_model.bin", "config.json")
    assert not PART.is_here(OFFLINE)


def test_what_a_checkpoint_refers_to_and_is_not_here_is_named(cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match="hf download someone/reader"):
        find_in_cache("someone/reader")
