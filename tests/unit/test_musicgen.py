"""MusicGen through transformers: to the token what the library itself writes, and well-behaved."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from demos.music.codebooks import decode_layers
from demos.music.musicgen import MusicGenJob, MusicGenRequest, MusicGenStep, generate_musicgen
from demos.music.show_codebooks import show_codes, show_order
from demos.music.show_musicgen import show_engine
from demos.music.tabs.musicgen import answer_musicgen
from shared.catalog import Catalog, GalleryLoader, Placement, is_musicgen
from shared.errors import GalleryError, InvalidRequest, ModelUnavailable
from shared.model_cache import ModelCache
from shared.musicgen.engine import (
    Conditions,
    MusicGenEngine,
    Passage,
    delay,
    draw,
    render,
    write_codes,
)
from shared.musicgen.with_transformers import extract_chroma
from shared.recipe_files import read_recipe
from shared.room import Room
from shared.sampling import Sampling
from shared.settings import Settings
from shared.sounds import Sound
from tests.musicgen_models import RATE, make_transformers_checkpoint

CPU = Placement(torch.device("cpu"), torch.float32)
WORDS, GREEDY, STRIDE = "a calm piano", Sampling(temperature=0), 100
KINDS: dict[str, dict[str, Any]] = {
    "mono": {},
    "stereo": {"channels": 2},
    "melody": {"melody": True},
}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Loaded through the catalogue, from folders that an operator names."""
    folders = tuple(
        (f"music/{kind}", make_transformers_checkpoint(tmp_path_factory.mktemp(kind), **options))
        for kind, options in KINDS.items()
    )
    catalog = Catalog(Settings(device="cpu", local_models=folders))
    loader = GalleryLoader(catalog)
    assert all(is_musicgen(catalog.get(key)) for key, _ in folders)
    return {
        key.split("/")[1]: loader.load(key, loader.fetch(key, ignore), "cpu", ignore)
        for key, _ in folders
    }


@pytest.fixture(scope="module")
def engine(engines: dict[str, Any]) -> Any:
    return engines["mono"]


def ignore(*_: Any) -> None:
    pass


def make_passage(frames: int, **values: Any) -> Passage:
    conditions = Conditions(values.pop("description", WORDS), values.pop("cfg_coef", 3.0))
    return Passage(
        **{
            "conditions": conditions,
            "frames": frames,
            "stride": STRIDE,
            "sampling": Sampling(),
            "seed": 1,
            **values,
        }
    )


def write(engine: MusicGenEngine, passage: Passage) -> np.ndarray:
    *_, codes = write_codes(engine, passage, Event())
    return codes


def generate(engine: Any, frames: int, **options: Any) -> np.ndarray:
    """What the library itself makes of it: samples, (channels, T)."""
    words = engine.tokenizer(WORDS, return_tensors="pt")
    samples = engine.model.generate(
        input_ids=words.input_ids,
        attention_mask=words.attention_mask,
        do_sample=False,
        max_new_tokens=frames + max(engine.layout.delays),
        **options,
    )
    array: np.ndarray = samples[0].numpy()
    return array


def make_tone(seconds: float, hertz: float = 440) -> Sound:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return Sound(wave[None].astype(np.float32), RATE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cfg_coef", [3.0, 1.0])
def test_the_loop_writes_what_transformers_writes(
    engines: dict[str, Any], kind: str, cfg_coef: float
) -> None:
    codes = write(engines[kind], make_passage(40, sampling=GREEDY, cfg_coef=cfg_coef))
    expected = generate(engines[kind], 40, guidance_scale=cfg_coef)
    assert len(np.unique(codes)) > 3
    np.testing.assert_array_equal(render(engines[kind], codes).samples, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_as_transformers_goes_on(engines: dict[str, Any], kind: str) -> None:
    prompt = write(engines[kind], make_passage(15))
    codes = write(engines[kind], make_passage(20, sampling=GREEDY, prompt=prompt))
    expected = generate(
        engines[kind], 20, guidance_scale=3.0, decoder_input_ids=torch.from_numpy(prompt)
    )
    np.testing.assert_array_equal(codes[:, :15], prompt)
    np.testing.assert_array_equal(render(engines[kind], codes).samples, expected)


def test_beyond_the_window_it_goes_on_from_the_end_of_the_window(engine: Any) -> None:
    window, kept = engine.layout.window, engine.layout.window - STRIDE
    codes = write(engine, make_passage(window + STRIDE, sampling=GREEDY))
    assert codes.shape == (4, window + STRIDE)
    again = write(engine, make_passage(STRIDE, sampling=GREEDY, prompt=codes[:, STRIDE:window]))
    np.testing.assert_array_equal(codes[:, STRIDE:], again)
    assert again.shape[1] == kept + STRIDE


def test_a_seed_gives_the_same_tokens_and_another_one_others(engine: Any) -> None:
    first, second, other = (write(engine, make_passage(30, seed=seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_visitors_at_once_get_what_they_would_get_alone(engine: Any) -> None:
    passages = [
        make_passage(60, seed=1, cfg_coef=1.0, sampling=Sampling(0.5, top_k=3)),
        make_passage(60, seed=2, cfg_coef=6.0, description="a loud drum"),
        make_passage(60, seed=3, sampling=Sampling(1.5, top_p=0.6), description=""),
    ]
    alone = [write(engine, passage) for passage in passages]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda passage: write(engine, passage), passages))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (alone[0] != alone[1]).any()


def test_what_it_is_told_makes_a_difference(engine: Any) -> None:
    told = [write(engine, make_passage(30, description=text)) for text in ("piano", "drum", "")]
    assert (told[0] != told[1]).any()
    assert (told[0] != told[2]).any()


def test_a_melody_makes_a_difference(engines: dict[str, Any]) -> None:
    engine = engines["melody"]

    def follow(melody: Sound | None) -> np.ndarray:
        conditions = Conditions(WORDS, 3.0, melody)
        return write(engine, make_passage(40, conditions=conditions, sampling=GREEDY))

    low, high = make_tone(2, 330), make_tone(2, 392)  # E and G; C counts as silence
    assert (follow(low) != follow(None)).any()
    assert (follow(low) != follow(high)).any()


def test_chroma_names_the_pitch_class() -> None:
    for hertz, pitch_class in ((261.63, 0), (440.0, 9), (880.0, 9)):
        melody = Sound(
            np.sin(2 * np.pi * hertz * np.arange(64_000) / 32_000)[None].astype(np.float32), 32_000
        )
        chroma = extract_chroma(melody, 12)
        assert chroma.shape == (1 + 64_000 // 4096, 12)
        assert (chroma.argmax(1) == pitch_class).all()
        assert (chroma.sum(1) == 1).all()


def test_stop_ends_it_within_a_step(engine: Any) -> None:
    stop, steps = Event(), 0
    for codes in write_codes(engine, make_passage(10_000), stop):
        steps += 1
        if codes.shape[1] == 5:
            stop.set()
    assert steps == 5, "what was complete has been handed over, and no more"


def test_closing_it_ends_it(engine: Any) -> None:
    with contextlib.closing(write_codes(engine, make_passage(10_000), Event())) as steps:
        assert next(steps).shape == (4, 1)
    with pytest.raises(StopIteration):
        next(steps)


def test_top_k_may_be_larger_than_a_codebook() -> None:
    logits = torch.tensor([[0.0, 5.0, 0.0], [9.0, 0.0, 0.0]])
    rng = torch.Generator().manual_seed(0)
    assert draw(logits, Sampling(top_k=250), rng).shape == (2,)
    assert draw(logits, Sampling(top_k=1), rng).tolist() == [1, 0]


def test_the_delay_shifts_every_codebook() -> None:
    grid = delay(np.arange(6).reshape(2, 3), (0, 1), 9)
    assert grid.tolist() == [[9, 0, 1, 2, 9], [9, 9, 3, 4, 5]]


def make_steps(engine: Any, **values: Any) -> Generator[MusicGenStep, None, None]:
    wishes = {name: values.pop(name) for name in ("prompt", "melody") if name in values}
    request = MusicGenRequest.parse(**{"duration": 1, "seed": 1, "description": WORDS, **values})
    return generate_musicgen(engine, MusicGenJob(request, **wishes), Event())


def test_steps_tell_how_far_it_is(engine: Any) -> None:
    steps = list(make_steps(engine))
    assert [step.codes.shape[1] for step in steps] == list(range(1, 51))
    assert steps[-1].seconds == steps[-1].duration == 1
    assert steps[-1].left == 0
    assert steps[0].left > 0
    assert steps[0].engine.startswith("transformers 5")


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_a_recording_comes_first_and_its_end_counts(engines: dict[str, Any], kind: str) -> None:
    engine = engines[kind]
    *_, last = make_steps(engine, prompt=make_tone(3))
    assert last.given == 150
    assert last.seconds == 1
    assert last.codes.shape == (4 * engine.layout.channels, 200)
    *_, cut = make_steps(engine, prompt=make_tone(25))
    assert cut.given == engine.layout.window - 18 * 50, "no more than is kept of a window"


def test_a_model_that_cannot_follow_a_melody_says_so(engine: Any) -> None:
    with pytest.raises(InvalidRequest, match="Choose MusicGen Melody"):
        next(make_steps(engine, melody=make_tone(3)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration": 0}, "duration must be at least 1"),
        ({"duration": 9000}, "duration must be at most 120"),
        ({"duration": float("nan")}, "duration must be a number"),
        ({"top_k": 9999}, "top k must be at most 2048"),
        ({"cfg_coef": 0}, "cfg coef must be at least 1"),
        ({"description": "x" * 501}, "description is too long"),
    ],
)
def test_values_that_cannot_be_used_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        MusicGenRequest.parse(**values)


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_codebooks_add_up(engines: dict[str, Any], kind: str) -> None:
    engine = engines[kind]
    codes = write(engine, make_passage(60))
    layers = {layer.levels: layer for layer in decode_layers(engine, codes, Event())}
    assert set(layers) == {(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (1,), (2,), (3,)}
    whole = layers[0, 1, 2, 3]
    np.testing.assert_array_equal(whole.sound.samples, render(engine, codes).samples)
    errors = [layers[tuple(range(count))].error for count in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0 < errors[0]
    assert len({layer.sound.samples.tobytes() for layer in layers.values()}) == 7


def test_all_of_its_memory_is_counted(engine: Any) -> None:
    weights = sum(p.nbytes for p in engine.model.parameters())
    assert sum(GalleryLoader(Catalog(Settings())).measure(engine).values()) >= weights


def make_room(folder: Path, key: str = "music/musicgen-small") -> Room:
    settings = Settings(device="cpu", local_models=((key, folder),))
    catalog = Catalog(settings)
    return Room("music", ModelCache(10**10, GalleryLoader(catalog)), catalog)


def test_the_endpoint_answers_with_a_wav_that_repeats(tmp_path: Path) -> None:
    room = make_room(make_transformers_checkpoint(tmp_path))
    key = "music/musicgen-small"
    wav, midi, recipe = answer_musicgen(room, WORDS, key, 2, 1.0, seed=-1)
    assert midi is None
    samples, rate = soundfile.read(wav)
    assert (len(samples), rate) == (2 * RATE, RATE)
    assert recipe["settings"]["engine"].startswith("transformers")
    assert read_recipe(Path(wav)) == recipe
    again, *_ = answer_musicgen(room, WORDS, key, 2, 1.0, recipe["seed"])
    assert soundfile.read(again)[0].tolist() == samples.tolist()
    with pytest.raises(InvalidRequest, match="writes notes"):
        answer_musicgen(room, WORDS, "music/tunes", 2, 1.0, 1)


def test_a_checkpoint_of_audiocraft_asks_for_audiocraft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.musicgen.with_audiocraft.is_available", lambda: False)
    for name in ("state_dict.bin", "compression_state_dict.bin"):
        (tmp_path / name).write_bytes(b"a pickle")
    room = make_room(tmp_path, "music/own")
    with pytest.raises(ModelUnavailable, match="make audiocraft"):
        answer_musicgen(room, WORDS, "music/own", 1, 1.0, 1)


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    folder = make_transformers_checkpoint(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(GalleryError, match="cannot be loaded: a file is damaged"):
        answer_musicgen(make_room(folder), WORDS, "music/musicgen-small", 1, 1.0, 1)


def test_models_that_are_not_here_say_how_they_come() -> None:
    settings = Settings(device="cpu", offline=True)
    catalog = Catalog(settings)
    room = Room("music", ModelCache(10**10, GalleryLoader(catalog)), catalog)
    with pytest.raises(ModelUnavailable, match=r"one-time download of about [\d,]+ MB"):
        answer_musicgen(room, WORDS, "music/musicgen-small", 1, 1.0, 1)
    with pytest.raises(ModelUnavailable, match="hf download facebook/musicgen-melody"):
        answer_musicgen(room, WORDS, "music/musicgen-melody", 1, 1.0, 1)


def test_the_tab_says_what_runs_a_model_and_what_it_takes(tmp_path: Path) -> None:
    settings = Settings(device="cpu")
    specs = {spec.key: spec for spec in Catalog(settings)}
    small = show_engine(settings, specs["music/musicgen-small"])
    assert "CC-BY-NC-4.0: not for commercial use" in small
    assert re.search(r"a download of \d\.\d GB, once", small)
    melody = show_engine(settings, specs["music/musicgen-melody"])
    assert "GALLERY_LOCAL_MODELS=music/musicgen-melody=FOLDER" in melody
    offline = show_engine(Settings(offline=True), specs["music/musicgen-small"])
    assert "stays offline" in offline
    own = make_room(make_transformers_checkpoint(tmp_path))
    here = show_engine(own.settings, own.spec("music/musicgen-small"))
    assert "On this computer" in here
    assert "<b>transformers</b>" in here


def test_tokens_have_a_column_for_every_frame_and_the_delay_can_be_seen(engine: Any) -> None:
    *_, last = make_steps(engine)
    halfway = next(step for step in make_steps(engine) if step.codes.shape[1] == 25)
    picture = re.search(r"base64,([^\"]+)", show_codes(halfway))
    assert picture
    with Image.open(io.BytesIO(base64.b64decode(picture[1]))) as image:
        assert image.size == (50, 4)
        colors = [[image.getpixel((x, y)) for x in range(50)] for y in range(4)]
    assert len({row[49] for row in colors}) == 1, "what is to come has the colour of nothing"
    assert len(set(colors[0][:25])) == len(set(last.codes[0, :25].tolist()))
    rows = re.findall(r"<tr><th scope='row'>(.*?)</tr>", show_order(last))
    for book, row in enumerate(rows):
        assert row.count("<td></td>") == book, "each codebook begins a step later"
