"""Animations: at its stops, one shows the pictures that the room's first tab would draw."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest
import torch
from PIL import Image, ImageSequence

from demos.image.between import (
    BetweenRequest,
    BetweenStep,
    draw_noise,
    generate_between,
    plan_batches,
    turn,
)
from demos.image.generate import ImageRequest, borrow_pipeline, generate_image
from demos.image.show_between import describe, save_films, show_frames, show_progress
from shared.errors import InvalidRequest

pytestmark = pytest.mark.usefixtures("drawings")

# Schedulers of diffusers still turn tensors into arrays in the old way.


def ask(**values: Any) -> BetweenRequest:
    small = {"num_inference_steps": 2, "seed": 1, "frames": 8, "prompt": "a red beast"}
    return BetweenRequest.parse(**{**small, **values})


def animate(pipeline: Any, **values: Any) -> list[BetweenStep]:
    return list(generate_between(pipeline, ask(**values), Event()))


def draw(pipeline: Any, **values: Any) -> bytes:
    request = ImageRequest.parse(**{"num_inference_steps": 2, "prompt": "a red beast", **values})
    *_, last = generate_image(pipeline, request, Event())
    return last.images[0].tobytes()


def pixels(step: BetweenStep) -> list[bytes]:
    return [frame.tobytes() for frame in step.frames if frame]


@pytest.mark.parametrize("scheduler", ["own", "euler", "dpm++"])
@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_at_a_seed_it_is_what_draw_gives(tiny_pipeline: Any, scheduler: str, way: str) -> None:
    frames = pixels(animate(tiny_pipeline, scheduler=scheduler, way=way)[-1])
    for frame, seed in ((0, 1), (3, 2), (5, 3)):
        assert frames[frame] == draw(tiny_pipeline, seed=seed, scheduler=scheduler)
    assert len(set(frames)) == 8


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_at_both_sentences_it_is_what_draw_gives(tiny_pipeline: Any, guidance: float) -> None:
    same = {"guidance_scale": guidance, "negative_prompt": "horns"}
    last = animate(tiny_pipeline, what="words", second_prompt="a blue alien", **same)[-1]
    frames = pixels(last)
    assert frames[0] == draw(tiny_pipeline, seed=1, **same)
    assert frames[-1] == draw(tiny_pipeline, seed=1, prompt="a blue alien", **same)
    assert frames[0] != frames[-1]


def test_a_batch_draws_what_each_frame_alone_would(tiny_pipeline: Any) -> None:
    frames = animate(tiny_pipeline, guidance_scale=3.0)[-1].frames
    first, second = (draw_noise(borrow_pipeline(tiny_pipeline), seed) for seed in (1, 2))
    alone = tiny_pipeline(
        "a red beast",
        num_inference_steps=2,
        guidance_scale=3.0,
        latents=turn(first, second, 1 / 3, "spherical"),
    ).images[0]
    assert frames[1]
    pairs = zip(frames[1].tobytes(), alone.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 1


def test_stops_come_first_and_the_rest_in_batches() -> None:
    assert plan_batches(ask(), 3) == [[0], [3], [5], [1, 2, 4], [6, 7]]
    words = ask(what="words", second_prompt="x", frames=9)
    assert plan_batches(words, 8) == [[0], [8], [1, 2, 3, 4, 5, 6, 7]]


def test_turning_keeps_the_strength_of_the_noise(tiny_pipeline: Any) -> None:
    own = borrow_pipeline(tiny_pipeline)
    first, second = draw_noise(own, 1), draw_noise(own, 2)
    for share in (0.0, 0.25, 0.5, 1.0):
        assert turn(first, second, share, "spherical").std() == pytest.approx(1, abs=0.1)
    assert turn(first, second, 0.5, "linear").std() == pytest.approx(0.5**0.5, abs=0.1)
    assert torch.equal(turn(first, second, 0, "spherical"), first)
    assert torch.equal(turn(first, second, 1, "spherical"), second)
    assert torch.equal(turn(first, first, 0.3, "spherical"), first)


def test_a_short_distance_stays_near_the_first_seed(tiny_pipeline: Any) -> None:
    near = pixels(animate(tiny_pipeline, distance=0.05, num_inference_steps=1)[-1])
    far = pixels(animate(tiny_pipeline, num_inference_steps=1)[-1])

    def change(frames: list[bytes]) -> int:
        return sum(abs(a - b) for a, b in zip(frames[0], frames[3], strict=True))

    assert near[0] == far[0]
    assert 0 < change(near) < change(far) / 2


def test_stop_ends_it_within_a_step_and_keeps_what_there_is(tiny_pipeline: Any) -> None:
    stop, last = Event(), None
    for last in generate_between(tiny_pipeline, ask(), stop):
        if last.finished == {0, 3}:
            stop.set()
    assert last
    assert last.finished == {0, 3}
    assert not last.is_done


def test_closing_it_ends_the_drawing(tiny_pipeline: Any, drawings: list[Future[Any]]) -> None:
    steps: Any = generate_between(tiny_pipeline, ask(num_inference_steps=50), Event())
    next(steps)
    next(steps)
    assert not drawings[-1].done()
    steps.close()  # the fixture sees that it is done


def test_a_model_that_takes_no_prompts_as_numbers_says_so(tiny_pipeline: Any) -> None:
    class Plain:
        unet = tiny_pipeline.unet
        _execution_device = torch.device("cpu")

        def __call__(self, prompt: str, latents: Any = None) -> None: ...

    class Packed(Plain):
        def _pack_latents(self) -> None: ...

    from demos.image.between import encode_prompt, find_noise_shape

    assert find_noise_shape(Plain()) == (4, 8, 8)
    with pytest.raises(InvalidRequest, match="cannot be mixed"):
        encode_prompt(Plain(), "a", ask())
    with pytest.raises(InvalidRequest, match="takes no noise"):
        find_noise_shape(Packed())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": " "}, "The prompt is empty"),
        ({"what": "words"}, "The second prompt is empty. Write a few words first"),
        ({"frames": 49}, "The frames must be at most 48"),
        ({"frames": 7}, "The frames must be at least 8"),
        ({"distance": 0}, "The distance must be at least 0.05"),
        ({"what": "cats"}, "The what must be"),
    ],
)
def test_bad_values_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(**values)


def test_the_page_shows_frames_as_they_come(tiny_pipeline: Any) -> None:
    steps = animate(tiny_pipeline)
    assert show_frames(steps[0]).count("to-come") == 8
    assert show_frames(steps[1]).count("under-way") == 1
    assert "1 of 8 frames · seed 1" in show_progress(steps[3])
    assert " s left</span>" in show_progress(steps[3])
    assert show_progress(steps[-1]) == "8 of 8 frames · seed 1"
    assert "seed 3</figcaption>" in show_frames(steps[-1])
    assert describe(steps[-1].request) == "“a red beast”: seed 1, seed 2, seed 3 and back"
    assert describe(ask(distance=0.4)).count("40% towards seed") == 2


@pytest.mark.parametrize(("what", "length"), [("noise", 8), ("words", 14)])
def test_the_films_rest_at_stops_and_keep_the_recipe(
    tmp_path: Path, what: str, length: int
) -> None:
    request = ask(what=what, second_prompt="b")
    frames = [Image.new("RGB", (64, 64), (30 * number, 0, 90)) for number in range(8)]
    step = BetweenStep(request, tuple(frames), frozenset(range(8)))
    gif, mp4 = save_films(step, tmp_path / "film", {"seed": 1})
    with Image.open(gif) as film:
        assert film.size == (256, 256)
        assert json.loads(film.info["comment"]) == {"seed": 1}
        shown = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]
    rests = {0, 3, 5} if what == "noise" else {0, 7}
    assert shown == [500 if number in rests else 120 for number in range(length)]
    with av.open(str(mp4)) as film:
        assert film.metadata["comment"] == '{"seed": 1}'
        (stream,) = film.streams.video
        assert (stream.width, stream.height) == (512, 512)
        assert sum(1 for _ in film.decode(stream)) == length + 3 * len(rests)


def test_films_of_large_or_odd_pictures_can_be_played(tmp_path: Path) -> None:
    frames = tuple(Image.new("RGB", (1001, 601), (30 * n, 0, 0)) for n in range(8))
    step = BetweenStep(ask(), frames, frozenset(range(8)))
    gif, mp4 = save_films(step, tmp_path / "film", {})
    with Image.open(gif) as film:
        assert film.size == (256, 154)
    with av.open(str(mp4)) as film:
        (stream,) = film.streams.video
        assert (stream.width, stream.height) == (998, 600)
