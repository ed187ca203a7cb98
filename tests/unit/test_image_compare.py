"""One seed across values: each picture is the one that the room's first tab would draw."""

from __future__ import annotations

import html
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from diffusers import FlowMatchEulerDiscreteScheduler, PNDMScheduler
from PIL import Image

from demos.image.compare import (
    Cell,
    CompareRequest,
    CompareStep,
    compare_images,
    pick_schedulers,
    read_values,
)
from demos.image.generate import ImageRequest, generate_image
from demos.image.noise import SCHEDULERS
from demos.image.show_compare import draw_sheet, show_grid, show_progress
from shared.errors import InvalidRequest
from shared.recipe_files import read_recipe, save_png

pytestmark = pytest.mark.usefixtures("drawings")

# Schedulers of diffusers still turn tensors into arrays in the old way.


def ask(**values: Any) -> CompareRequest:
    return CompareRequest.parse(**{"num_inference_steps": 2, "seed": 1, "values": (1, 3), **values})


def compare(pipeline: Any, **values: Any) -> list[CompareStep]:
    return list(compare_images(pipeline, ask(**values), Event()))


def draw(pipeline: Any, **values: Any) -> bytes:
    request = ImageRequest.parse(**{"num_inference_steps": 2, "seed": 1, **values})
    *_, last = generate_image(pipeline, request, Event())
    return last.images[0].tobytes()


def pixels(cell: Cell) -> bytes:
    assert cell.picture
    return cell.picture.tobytes()


def test_the_grid_fills_one_picture_after_the_other(tiny_pipeline: Any) -> None:
    steps = compare(tiny_pipeline)
    assert [step.done for step in steps] == [0, 0, 0, 1, 1, 1, 2]
    shown = [[cell.picture is not None for cell in step.cells] for step in steps]
    assert shown == [[False, False], *[[True, False]] * 3, *[[True, True]] * 3]
    assert all(cell.seconds and cell.gap is None for cell in steps[-1].cells)


def test_each_cell_is_what_draw_gives(tiny_pipeline: Any) -> None:
    one, three = compare(tiny_pipeline, prompt="a red beast", negative_prompt="blue")[-1].cells
    same = {"prompt": "a red beast", "negative_prompt": "blue"}
    assert pixels(one) == draw(tiny_pipeline, guidance_scale=1, **same)
    assert pixels(three) == draw(tiny_pipeline, guidance_scale=3, **same) != pixels(one)


def test_steps_differ_and_the_rest_stays(tiny_pipeline: Any) -> None:
    cells = compare(tiny_pipeline, vary="num_inference_steps", guidance_scale=2, scheduler="euler")[
        -1
    ].cells
    for cell, count in zip(cells, (1, 3), strict=True):
        settings = {"num_inference_steps": count, "guidance_scale": 2, "scheduler": "euler"}
        assert pixels(cell) == draw(tiny_pipeline, **settings)


def test_a_race_draws_every_scheduler_with_every_number_of_steps(tiny_pipeline: Any) -> None:
    last = compare(tiny_pipeline, vary="scheduler", finish=True)[-1]
    assert last.rows == ["ddim", "euler", "dpm++"]
    assert last.columns == ["1", "3"]
    for cell in last.cells:
        settings = {"num_inference_steps": int(cell.column), "scheduler": cell.row}
        assert pixels(cell) == draw(tiny_pipeline, **settings)
        assert cell.gap is not None
        assert 0 < cell.gap < 1
    assert last.finish
    assert pixels(last.finish) == draw(tiny_pipeline, num_inference_steps=50, scheduler="dpm++")
    assert [(name, len(shares)) for name, shares in last.curves] == [(row, 4) for row in last.rows]
    assert last.notes == ("The model's own is DDIM here.",)


def test_what_does_not_suit_a_model_is_left_out(
    tiny_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_pipeline, "scheduler", FlowMatchEulerDiscreteScheduler())
    names, notes = pick_schedulers(tiny_pipeline, tuple(SCHEDULERS))
    assert names == ["euler", "dpm++"]
    assert notes[0] == "DDIM does not suit this model and is left out."
    with pytest.raises(InvalidRequest, match="Nobody is left to race"):
        pick_schedulers(tiny_pipeline, ("ddim",))


def test_an_own_scheduler_of_another_kind_takes_part(
    tiny_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = PNDMScheduler.from_config(tiny_pipeline.scheduler.config)
    monkeypatch.setattr(tiny_pipeline, "scheduler", own)
    assert pick_schedulers(tiny_pipeline, tuple(SCHEDULERS)) == (
        ["ddim", "euler", "dpm++", "own"],
        [],
    )


def test_stop_ends_it_within_a_step_and_keeps_what_there_is(tiny_pipeline: Any) -> None:
    stop, last, calls = Event(), None, list[bool]()
    hook = tiny_pipeline.unet.register_forward_hook(lambda *_: calls.append(stop.is_set()))
    request = ask(num_inference_steps=9, values=range(5))
    for last in compare_images(tiny_pipeline, request, stop):
        if last.done == 1 and last.cells[1].picture:
            stop.set()
    hook.remove()
    assert last
    assert last.done == 1
    assert last.cells[1].seconds is None
    assert sum(calls) <= 1


def test_closing_it_ends_the_drawing(tiny_pipeline: Any, drawings: list[Future[Any]]) -> None:
    steps: Any = compare_images(tiny_pipeline, ask(num_inference_steps=50), Event())
    next(steps)
    next(steps)
    assert not drawings[-1].done()
    steps.close()  # the fixture sees that it is done


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There are no values"),
        ("abc", "“abc” is no number"),
        ("1, <b>, 3", "“<b>” is no number"),
        ("1e3", "“1e3” is no number"),
        ("nan", "“nan” is no number"),
        ("9" * 5000, "“99999999999999999...” is no number"),
    ],
)
def test_what_is_no_list_of_numbers_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_values(text)


def test_values_are_read_with_commas_or_without() -> None:
    assert read_values(" 1, 2.5;4  8,") == (1, 2.5, 4, 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"values": range(13)}, "The values are 13, at most 12"),
        ({"values": (3, 16)}, "The values must lie between 0 and 15, not 16"),
        ({"values": (0,), "vary": "num_inference_steps"}, "must lie between 1 and 50, not 0"),
        ({"values": (2.5,), "vary": "num_inference_steps"}, "whole numbers of steps, not 2.5"),
        ({"values": (1, 2, 3, 4, 5), "vary": "scheduler"}, "The values are 5, at most 4"),
        ({"schedulers": (), "vary": "scheduler"}, "Choose at least one"),
        ({"schedulers": ("magic",)}, "The schedulers is unknown|unknown"),
        ({"prompt": ""}, "The prompt is empty"),
        ({"vary": "colour"}, "The vary must be"),
    ],
)
def test_bad_values_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(**values)


def test_the_grid_says_in_words_what_is_shown(tiny_pipeline: Any) -> None:
    steps = compare(tiny_pipeline, vary="scheduler", finish=True)
    assert show_grid(steps[0]).count("to-come") == 7
    shown = show_grid(steps[-1])
    assert shown.count('<th scope="row">') == 3
    assert 'alt="DPM-Solver++, 1 step"' in shown
    assert "Share of noise before each of 3 steps: DDIM, Euler, DPM-Solver++" in html.unescape(
        shown
    )
    assert show_progress(steps[-1]) == ("6 of 6 pictures · seed 1 · The model's own is DDIM here.")
    assert "guidance 3" in show_grid(compare(tiny_pipeline)[-1])


@pytest.mark.parametrize(("vary", "rows"), [("guidance_scale", 1), ("scheduler", 3)])
def test_the_sheet_holds_all_pictures_and_the_recipe(
    tiny_pipeline: Any, tmp_path: Path, vary: str, rows: int
) -> None:
    last = compare(tiny_pipeline, vary=vary)[-1]
    sheet = draw_sheet(last, "a title that is much too long for a sheet of two columns " * 3)
    assert sheet.width == 2 * 192 + 3 * 12
    assert sheet.height > rows * 192
    first = last.cells[0].picture
    assert first
    large = first.resize((192, 192), Image.Resampling.NEAREST)
    assert sheet.crop((12, 46, 204, 238)).tobytes() == large.tobytes()
    save_png(sheet, tmp_path / "sheet.png", {"seed": 1})
    assert read_recipe(tmp_path / "sheet.png") == {"seed": 1}


def test_large_pictures_become_smaller_on_the_page_and_in_the_sheet() -> None:
    cells = (Cell("own", "1", Image.new("RGB", (512, 256), "red"), 1.0),)
    step = CompareStep(ask(values=(1,)), cells)
    assert draw_sheet(step, "").width == 2 * 256 + 24  # enlarged again to be tall enough
    assert len(show_grid(step)) < 5000
    assert "withheld" in show_grid(replace(step, cells=(replace(cells[0], withheld=True),)))
