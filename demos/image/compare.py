"""One seed across values of one setting: what guidance, steps and schedulers do. No Gradio here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from demos.image.generate import MAX_STEPS, DiffusionRequest, ImageRequest, Word, generate_image
from demos.image.noise import OWN, SCHEDULERS, make_scheduler, noise_curve
from demos.image.preview import fit_linear_decoder
from shared.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

STEPS = "num_inference_steps"
MOST_VALUES = 12
MOST_COLUMNS = 4  # numbers of steps in a race, which draws each with every scheduler
MOST_EXACT = "dpm++"  # with many steps
Vary = Literal["guidance_scale", "num_inference_steps", "scheduler"]


class CompareRequest(DiffusionRequest):
    """Pictures that differ in one setting only; a race of schedulers also in the steps.

    What is varied overrides the setting of the same name.

    Attributes:
        vary: The setting.
        values: Of guidance, or numbers of steps; those of a race, too. Given twice counts once.
        schedulers: Who takes part in a race.
        finish: Whether a race begins with a picture of very many steps, where the road ends; each
            picture is then compared with it.
    """

    vary: Vary = "guidance_scale"
    values: tuple[float, ...] = Field((1, 2, 3, 5, 8, 12), min_length=1)
    schedulers: tuple[str, ...] = tuple(SCHEDULERS)
    finish: bool = False

    @property
    def unused(self) -> frozenset[str]:
        """What is varied, and what belongs to a race only."""
        if self.vary == "scheduler":
            return frozenset({"scheduler", STEPS})
        return frozenset({self.vary, "schedulers", "finish"})

    @field_validator("values")
    @classmethod
    def _usable(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        name = "guidance_scale" if info.data.get("vary") == "guidance_scale" else STEPS
        least, greatest, _ = cls.limits(name)
        for value in values:
            if not least <= value <= greatest:
                raise ValueError(f"must lie between {least:g} and {greatest:g}, not {value:.10g}")
            if name == STEPS and value != int(value):
                raise ValueError(f"must be whole numbers of steps, not {value:.10g}")
        values = tuple(dict.fromkeys(round(value, 3) for value in values))
        most = MOST_COLUMNS if info.data.get("vary") == "scheduler" else MOST_VALUES
        if len(values) > most:
            raise ValueError(f"are {len(values)}, at most {most} can be compared at once")
        return values

    @field_validator("schedulers")
    @classmethod
    def _all_known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("vary") == "scheduler" and not names:
            raise ValueError("are missing. Choose at least one for the race")
        for name in names:
            cls._known(name)
        return tuple(name for name in SCHEDULERS if name in names)


@dataclass(frozen=True)
class Cell:
    """A picture of the grid.

    Attributes:
        row: Its scheduler, which is the same for all but in a race.
        column: The guidance or the number of steps that is its own.
        picture: Finished, or what can be seen of it so far; None before.
        seconds: How long it took; None until it is finished.
        gap: Mean difference of its colours from those at the finish, 0 to 1; None without one.
        withheld: Whether a safety checker found it unfit to show; it is black then.
    """

    row: str
    column: str
    picture: Image | None = None
    seconds: float | None = None
    gap: float | None = None
    withheld: bool = False


@dataclass(frozen=True)
class CompareStep:
    """The grid after one more denoising step of one of its pictures.

    Attributes:
        request: What was asked for.
        cells: In order, row by row.
        finish: Of a race: where the road ends, unless nobody asked.
        words: How the prompt was read.
        curves: Of a race: scheduler -> share of noise before each step, and 0 at the end.
        notes: Sentences on what was left out.
    """

    request: CompareRequest
    cells: tuple[Cell, ...]
    finish: Cell | None = None
    words: tuple[Word, ...] = ()
    curves: tuple[tuple[str, tuple[float, ...]], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """How many pictures are finished."""
        return sum(cell.seconds is not None for cell in self.cells)

    @property
    def rows(self) -> list[str]:
        """The names of the rows."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(dict.fromkeys(cell.column for cell in self.cells))


def read_values(text: str) -> tuple[float, ...]:
    """Read numbers such as "1, 2.5, 4".

    Raises:
        InvalidRequest: It is no list of numbers.
    """
    words = re.split(r"[\s,;]+", str(text or "").strip(" \t\r\n,;"))
    if words == [""]:
        raise InvalidRequest(
            "There are no values. Write some with commas between, such as 1, 2, 4."
        )
    for word in words:
        if not re.fullmatch(r"[+-]?[0-9]{1,6}([.][0-9]{0,3})?", word):
            shown = word if len(word) <= 20 else word[:17] + "..."
            raise InvalidRequest(
                f"“{shown}” is no number that can be used. Write some with commas between, such as "
                "1, 2, 4."
            )
    return tuple(float(word) for word in words)


def pick_schedulers(pipeline: Any, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return those of ``names`` that make a race of ``pipeline``, and why others do not.

    Raises:
        InvalidRequest: None is left.
    """
    picked: dict[str, str] = {}  # class in diffusers -> its first name
    notes = []
    # The model's own goes last: it is left out if it is listed under its own name already.
    for name in sorted(names, key=lambda name: name == OWN):
        try:
            kind = type(make_scheduler(pipeline, name)).__name__
        except InvalidRequest:
            notes.append(f"{SCHEDULERS[name]} does not suit this model and is left out.")
            continue
        if kind in picked:
            notes.append(f"{SCHEDULERS[name]} is {SCHEDULERS[picked[kind]]} here.")
        else:
            picked[kind] = name
    if not picked:
        raise InvalidRequest(
            f"{' '.join(notes)} Nobody is left to race: choose {SCHEDULERS[OWN].lower()}, too."
        )
    return list(picked.values()), notes


def compare_images(pipeline: Any, request: CompareRequest, stop: Event) -> Iterator[CompareStep]:
    """Draw the grid picture by picture, each as if it were drawn alone.

    A race is between solvers of one equation: without fresh noise on the way, a diffusion model
    turns noise into a picture along the path of an ordinary differential equation (Song et al.
    2020, https://arxiv.org/abs/2011.13456). DDIM (https://arxiv.org/abs/2010.02502) and Euler
    (https://arxiv.org/abs/2206.00364) are solvers of first order, DPM-Solver++
    (https://arxiv.org/abs/2211.01095) is of second.

    Args:
        pipeline: A text-to-image pipeline of diffusers. It is not changed.
        request: What to compare; its seed must be drawn.
        stop: Ends it within a denoising step.

    Raises:
        InvalidRequest: A scheduler does not suit the model; in a race, none does.
        Exception: Whatever the pipeline raises.
    """
    step = _lay_out(pipeline, request)
    yield step
    fit_linear_decoder(pipeline)  # what is done once is not counted against the first picture
    if step.finish:
        for cell, words in _draw(pipeline, request, step.finish, stop):
            step = replace(step, finish=cell, words=words)
            yield step
    for number in range(len(step.cells)):
        if stop.is_set():
            return
        for cell, words in _draw(pipeline, request, step.cells[number], stop):
            if cell.seconds is not None and step.finish and step.finish.picture:
                cell = replace(cell, gap=measure_gap(cell.picture, step.finish.picture))
            cells = (*step.cells[:number], cell, *step.cells[number + 1 :])
            step = replace(step, cells=cells, words=words)
            yield step


def _lay_out(pipeline: Any, request: CompareRequest) -> CompareStep:
    """The grid before anything is drawn."""
    columns = [f"{value:g}" for value in request.values]
    if request.vary != "scheduler":
        return CompareStep(request, tuple(Cell(request.scheduler, column) for column in columns))
    rows, notes = pick_schedulers(pipeline, request.schedulers)
    most = int(max(request.values))
    return CompareStep(
        request,
        tuple(Cell(row, column) for row in rows for column in columns),
        finish=Cell(MOST_EXACT if MOST_EXACT in rows else rows[0], str(MAX_STEPS))
        if request.finish
        else None,
        curves=tuple((row, tuple(noise_curve(pipeline, row, most))) for row in rows),
        notes=tuple(notes),
    )


def _draw(
    pipeline: Any, request: CompareRequest, cell: Cell, stop: Event
) -> Iterator[tuple[Cell, tuple[Word, ...]]]:
    start = time.perf_counter()
    for step in generate_image(pipeline, plan_cell(request, cell), stop):
        drawn = replace(
            cell,
            picture=step.pictures[0] if step.pictures else None,
            seconds=time.perf_counter() - start if step.images else None,
            withheld=any(step.withheld),
        )
        yield drawn, step.words


def plan_cell(request: CompareRequest, cell: Cell) -> ImageRequest:
    """Return the drawing of one cell, as the room's first tab would have it."""
    settings = request.model_dump(include=set(DiffusionRequest.model_fields))
    if request.vary == "guidance_scale":
        settings["guidance_scale"] = float(cell.column)
    else:
        settings |= {STEPS: int(cell.column), "scheduler": cell.row}
    return ImageRequest(**settings)


def measure_gap(picture: Any, other: Any) -> float:
    """Return the mean difference of two pictures' colours, 0 to 1."""
    one, two = (np.asarray(each, dtype=np.float32) / 255 for each in (picture, other))
    return float(np.abs(one - two).mean())
