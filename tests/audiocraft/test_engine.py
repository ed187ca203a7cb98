"""MusicGen through audiocraft, from checkpoints in its own format, loaded through the catalogue.

They run where audiocraft is installed: ``make test-audiocraft``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from demos.music.codebooks import decode_layers
from demos.music.musicgen import MusicGenJob, MusicGenRequest, MusicGenStep, generate_musicgen
from demos.music.tabs.musicgen import answer_musicgen
from shared.catalog import Catalog, GalleryLoader
from shared.errors import ModelUnavailable
from shared.model_cache import ModelCache
from shared.musicgen.engine import Conditions, Passage, render, write_codes
from shared.musicgen.with_transformers import N_FFT, extract_chroma
from shared.room import Room
from shared.sampling import Sampling
from shared.settings import Settings
from shared.sounds import Sound
from tests.musicgen_models import RATE, make_audiocraft_checkpoint

pytestmark = [
    pytest.mark.skipif(not find_spec("audiocraft"), reason="audiocraft is not installed"),
    pytest.mark.filterwarnings("ignore"),  # audiocraft's own, of which there are dozens
]
WORDS, KEY, STRIDE, GREEDY = "a calm piano", "music/musicgen-small", 8.0, Sampling(0)
KINDS: dict[str, dict[str, Any]] = {
    "mono": {},
    "stereo": {"channels": 2},
    "melody": {"melody": True},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        kind: make_audiocraft_checkpoint(tmp_path_factory.mktemp(kind), **options)
        for kind, options in KINDS.items()
    }


@pytest.fixture(scope="module")
def engines(folders: dict[str, Path]) -> dict[str, Any]:
    """Loaded from folders that an operator names, one of them in place of a known model."""
    keys = {"mono": KEY, "stereo": "music/own-stereo", "melody": "music/own-melody"}
    models = tuple((key, folders[kind]) for kind, key in keys.items())
    loader = GalleryLoader(Catalog(Settings(device="cpu", local_models=models)))
    return {
        kind: loader.load(key, loader.fetch(key, print), "cpu", lambda *_: None)
        for kind, key in keys.items()
    }


def borrow_musicgen(engine: Any, **params: Any) -> Any:
    """The library's own front on the same networks."""
    from audiocraft.models import MusicGen

    codec = engine.codec.model if engine.layout.channels == 2 else engine.codec
    own = MusicGen("tiny", codec, engine.lm)
    own.set_generation_params(use_sampling=False, extend_stride=STRIDE, **params)
    return own


def write(engine: Any, seconds: float, **values: Any) -> np.ndarray:
    fields: dict[str, Any] = {
        "conditions": Conditions(WORDS),
        "frames": round(seconds * 50),
        "stride": round(STRIDE * 50),
        "sampling": GREEDY,
        "seed": 1,
    }
    *_, codes = write_codes(engine, Passage(**{**fields, **values}), Event())
    return codes


def make_tone(seconds: float, hertz: float = 330) -> Sound:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return Sound(wave[None].astype(np.float32), RATE)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [*((kind, 1.0) for kind in KINDS), ("mono", 21.0)],  # the last slides the window
)
def test_the_loop_writes_what_audiocraft_writes(
    engines: dict[str, Any], kind: str, seconds: float
) -> None:
    own = borrow_musicgen(engines[kind], duration=seconds)
    expected, tokens = own.generate([WORDS], return_tokens=True)
    codes = write(engines[kind], seconds)
    assert len(np.unique(codes)) > 3
    np.testing.assert_array_equal(codes, tokens[0].numpy())
    np.testing.assert_array_equal(render(engines[kind], codes).samples, expected[0].numpy())


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_it_goes_on_as_audiocraft_goes_on(engines: dict[str, Any], kind: str) -> None:
    engine = engines[kind]
    sound = Sound(np.repeat(make_tone(2).samples, engine.layout.channels, axis=0), RATE)
    own = borrow_musicgen(engine, duration=3.0)
    samples = torch.from_numpy(sound.samples)
    _, tokens = own.generate_continuation(samples, RATE, [WORDS], return_tokens=True)
    prompt = engine.encode(sound)
    codes = write(engine, 3.0 - prompt.shape[1] / 50, prompt=prompt)
    np.testing.assert_array_equal(codes, tokens[0].numpy())


@pytest.mark.parametrize("seconds", [1.0, 21.0])
def test_it_follows_a_melody_as_audiocraft_does(engines: dict[str, Any], seconds: float) -> None:
    engine, melody = engines["melody"], make_tone(3)
    own = borrow_musicgen(engine, duration=seconds)
    samples = torch.from_numpy(melody.samples)[None]
    _, tokens = own.generate_with_chroma([WORDS], samples, RATE, return_tokens=True)
    codes = write(engine, seconds, conditions=Conditions(WORDS, 3.0, melody))
    np.testing.assert_array_equal(codes, tokens[0].numpy())
    assert (codes != write(engine, seconds)).any()


def test_visitors_at_once_get_what_they_would_get_alone(engines: dict[str, Any]) -> None:
    wishes: list[dict[str, Any]] = [
        {"conditions": Conditions(WORDS, 1.0), "sampling": Sampling(0.5, top_k=3), "seed": 1},
        {"conditions": Conditions("a loud drum", 6.0), "sampling": Sampling(1.0), "seed": 2},
        {"conditions": Conditions(""), "sampling": Sampling(1.5, top_p=0.6), "seed": 3},
    ]

    def visit(job: dict[str, Any]) -> np.ndarray:
        return write(engines["mono"], 2, **job)

    alone = list(map(visit, wishes))
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(visit, wishes))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (alone[0] != alone[1]).any()


def test_a_call_leaves_nothing_on_the_shared_model(engines: dict[str, Any]) -> None:
    lm = engines["mono"].lm
    write(engines["mono"], 1, sampling=Sampling(1.0))
    assert not lm._is_streaming
    assert not lm.get_streaming_state()


def make_steps(engine: Any, stop: Event, **values: Any) -> list[MusicGenStep]:
    request = MusicGenRequest.parse(**{"duration": 1, "seed": 1, "description": WORDS, **values})
    steps = []
    for step in generate_musicgen(engine, MusicGenJob(request), stop):
        steps.append(step)
        if len(steps) == values.get("duration", 0) * 5:  # a tenth of it
            stop.set()
    return steps


def test_steps_tell_how_far_it_is_and_stop_ends_them(engines: dict[str, Any]) -> None:
    steps = make_steps(engines["mono"], Event())
    assert [step.codes.shape[1] for step in steps] == list(range(1, 51))
    assert steps[-1].left == 0
    assert steps[0].engine == "audiocraft 1.4.0a2"
    stopped = make_steps(engines["mono"], Event(), duration=10)
    assert len(stopped) == 50
    sound = render(engines["mono"], stopped[-1].codes)
    assert sound.seconds == 1, "what is there can be heard"


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_codebooks_add_up(engines: dict[str, Any], kind: str) -> None:
    codes = write(engines[kind], 1, sampling=Sampling(1.0))
    layers = {layer.levels: layer for layer in decode_layers(engines[kind], codes, Event())}
    assert len(layers) == 7
    whole = render(engines[kind], codes).samples
    np.testing.assert_array_equal(layers[0, 1, 2, 3].sound.samples, whole)


def test_our_chroma_is_that_of_transformers() -> None:
    """Its own needs torchaudio, which is here and not in the light environment."""
    from transformers import MusicgenMelodyFeatureExtractor

    rng = np.random.default_rng(0)
    samples = rng.standard_normal((1, 4 * N_FFT)).astype(np.float32)
    features = MusicgenMelodyFeatureExtractor()(samples[0], sampling_rate=32_000)
    ours = extract_chroma(Sound(samples, 32_000), 12)
    np.testing.assert_array_equal(ours, features["input_features"][0])


def test_the_endpoint_answers(folders: dict[str, Path]) -> None:
    settings = Settings(device="cpu", local_models=((KEY, folders["mono"]),))
    catalog = Catalog(settings)
    room = Room("music", ModelCache(10**10, GalleryLoader(catalog)), catalog)
    wav, _, recipe = answer_musicgen(room, WORDS, KEY, 2, 1.0, seed=3)
    samples, rate = soundfile.read(wav)
    assert len(samples) == 2 * rate == 2 * RATE
    assert recipe["settings"]["engine"] == "audiocraft 1.4.0a2"


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path(tmp_path, "sprung").touch, ()

    folder = make_audiocraft_checkpoint(tmp_path / "model")
    torch.save({"best_state": Trap(), "xp.cfg": ""}, folder / "state_dict.bin")
    settings = Settings(device="cpu", local_models=((KEY, folder),))
    loader = GalleryLoader(Catalog(settings))
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        loader.load(KEY, loader.fetch(KEY, print), "cpu", lambda *_: None)
    assert not Path(tmp_path, "sprung").exists()
