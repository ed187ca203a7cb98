"""Drawing a picture: a stock pipeline with tiny networks, but all its genuine parts."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
import torch

from demos.image.generate import ImageRequest, ImageStep, generate_image, read_prompt
from shared.catalog import Catalog
from shared.errors import InvalidRequest
from shared.settings import Settings

pytestmark = pytest.mark.usefixtures("drawings")


def draw(pipeline: Any, **values: Any) -> list[ImageStep]:
    request = ImageRequest.parse(**{"num_inference_steps": 3, "seed": 1, **values})
    return list(generate_image(pipeline, request, Event()))


def pixels(steps: list[ImageStep]) -> bytes:
    return steps[-1].images[0].tobytes()


def test_every_step_shows_a_preview_and_the_last_brings_the_picture(tiny_pipeline: Any) -> None:
    steps = draw(tiny_pipeline)
    assert [step.index for step in steps] == [1, 2, 3, 3]
    assert [len(step.previews) for step in steps] == [1, 1, 1, 1]
    assert [len(step.images) for step in steps] == [0, 0, 0, 1]
    assert steps[-1].pictures is steps[-1].images
    assert {step.pictures[0].size for step in steps} == {(16, 16)}


def test_same_seed_same_picture_and_another_seed_another(tiny_pipeline: Any) -> None:
    first = pixels(draw(tiny_pipeline, seed=5))
    assert first == pixels(draw(tiny_pipeline, seed=5))
    assert first != pixels(draw(tiny_pipeline, seed=6))


def test_it_draws_what_the_stock_pipeline_draws(tiny_pipeline: Any) -> None:
    rng = torch.Generator().manual_seed(1)
    stock = tiny_pipeline("a red beast", num_inference_steps=3, guidance_scale=2.0, generator=rng)
    assert pixels(draw(tiny_pipeline, prompt="a red beast", guidance_scale=2)) == (
        stock.images[0].tobytes()
    )


def test_visitors_at_the_same_time_do_not_disturb_each_other(tiny_pipeline: Any) -> None:
    wishes = [
        {"seed": seed, "guidance_scale": guidance, "num_inference_steps": steps}
        for seed, guidance, steps in [(1, 0, 2), (2, 5, 6), (3, 9, 4)]
    ]
    alone = [pixels(draw(tiny_pipeline, **wish)) for wish in wishes]
    with ThreadPoolExecutor() as visitors:
        together = visitors.map(lambda wish: pixels(draw(tiny_pipeline, **wish)), wishes)
    assert alone == list(together)


def test_stop_ends_it_within_a_step(tiny_pipeline: Any) -> None:
    stop = Event()
    seen = []
    for step in generate_image(tiny_pipeline, ImageRequest.parse(num_inference_steps=50), stop):
        seen.append(step)
        stop.set()
    assert seen[-1].index < 50
    assert not seen[-1].images


def test_closing_it_ends_the_drawing(tiny_pipeline: Any, drawings: list[Future[Any]]) -> None:
    request = ImageRequest.parse(num_inference_steps=50)
    steps: Any = generate_image(tiny_pipeline, request, Event())
    next(steps)
    assert not drawings[-1].done()
    steps.close()  # the fixture sees that it is done


def test_errors_of_the_pipeline_come_out(
    tiny_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(tiny_pipeline.unet, "forward", fail)
    with pytest.raises(MemoryError, match="no room"):
        draw(tiny_pipeline)


def test_large_pictures_get_small_previews(
    tiny_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_pipeline.unet.config, "sample_size", 64, raising=False)
    last = draw(tiny_pipeline, num_inference_steps=1)[-1]
    assert last.images[0].size == (128, 128)
    assert last.previews[0].size == (128, 128)


def test_words_are_found_again_in_the_prompt(tiny_pipeline: Any) -> None:
    words = read_prompt(tiny_pipeline.tokenizer, "A green Dragon" + " smile" * 40)
    assert [word.text for word in words[:4]] == ["A", "green", "Dragon", "smile"]
    assert [word.pieces > 1 for word in words[:4]] == [False, False, True, False]
    assert words[0].is_read
    assert not words[-1].is_read


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "  "}, "The prompt is empty"),
        ({"prompt": "x" * 1001}, "The prompt is too long"),
        ({"num_inference_steps": 51}, "num inference steps must be at most 50"),
        ({"guidance_scale": -1}, "guidance scale must be at least 0"),
        ({"negative_prompt": "x" * 1001}, "The negative prompt is too long"),
    ],
)
def test_bad_values_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ImageRequest.parse(**values)


def test_the_room_opens_with_what_suits_its_own_model() -> None:
    spec = Catalog(Settings(device="cpu")).get("image/critters")
    assert spec.defaults.items() <= ImageRequest.numbers().items()
