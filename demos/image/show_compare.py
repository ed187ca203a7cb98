"""How a comparison looks: as HTML on the page, and as one labelled picture to keep. No Gradio."""

from __future__ import annotations

import html

from PIL import Image, ImageDraw, ImageFont

from demos.image.compare import Cell, CompareStep
from demos.image.noise import SCHEDULERS
from shared.data_urls import to_data_url

SHOWN_SIDE = 256  # pixels; larger pictures are shown, and kept in the grid, at this size
SHEET_SIDE = 192  # pixels, at least, of a picture of the labelled grid
SHEET_COLUMNS = 4
FEW = 6  # pictures that have room to be shown larger
CHART_WIDTH, CHART_HEIGHT = 320, 150
_INK, _PAPER, _FAINT, _TEXT_SIZE = "#1f1d1a", "#ffffff", "#5d5850", 16


def show_grid(step: CompareStep) -> str:
    """The grid so far: figures in a row, or a table of schedulers by steps."""
    if step.request.vary == "scheduler":
        return _show_race(step)
    figures = "".join(
        f"<figure>{_show_picture(step, cell)}<figcaption><b>{_name(step, cell)}</b>"
        f"{_show_figures(cell)}</figcaption></figure>"
        for cell in step.cells
    )
    few = " few" if len(step.cells) <= FEW else ""
    return f'<div class="sweep{few}">{figures}</div>'


def show_progress(step: CompareStep) -> str:
    """A line: how many pictures there are, of which seed, and what was left out."""
    parts = [
        f"{step.done} of {len(step.cells)} pictures",
        f"seed {step.request.seed}",
        *step.notes,
    ]
    return " · ".join(parts)


def _name(step: CompareStep, cell: Cell) -> str:
    """What sets a picture apart, such as "guidance 3" or "8 steps"."""
    if step.request.vary == "guidance_scale":
        return f"guidance {cell.column}"
    return "1 step" if cell.column == "1" else f"{cell.column} steps"


def _show_picture(step: CompareStep, cell: Cell) -> str:
    if cell.picture is None:
        return '<div class="to-come"></div>'
    state = "" if cell.seconds is not None else ' class="under-way"'
    who = f"{SCHEDULERS[cell.row]}, " if step.request.vary == "scheduler" else ""
    alt = html.escape(f"{who}{_name(step, cell)}")
    return f'<img src="{to_data_url(fit(cell.picture))}" alt="{alt}"{state}>'


def _show_figures(cell: Cell) -> str:
    if cell.seconds is None:
        return ""
    figures = f"<span>{cell.seconds:.2f} s</span>"
    if cell.gap is not None:
        figures += f"<span>{cell.gap:.1%} off</span>"
    return figures + ("<span>withheld by a safety checker</span>" if cell.withheld else "")


def _show_race(step: CompareStep) -> str:
    cells = {(cell.row, cell.column): cell for cell in step.cells}
    heads = "".join(f'<th scope="col">{column}</th>' for column in step.columns)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(SCHEDULERS[row])}</th>'
        + "".join(
            f"<td>{_show_picture(step, cells[row, column])}{_show_figures(cells[row, column])}</td>"
            for column in step.columns
        )
        + "</tr>"
        for row in step.rows
    )
    return (
        '<table class="race"><caption>Schedulers by numbers of steps</caption>'
        f'<thead><tr><th scope="col"><span>Steps</span></th>{heads}</tr></thead>'
        f'<tbody>{rows}</tbody></table><div class="finish">{_show_finish(step)}'
        f"{show_curves(step)}</div>"
    )


def _show_finish(step: CompareStep) -> str:
    if step.finish is None:
        return ""
    name, steps = html.escape(SCHEDULERS[step.finish.row]), step.finish.column
    return (
        f"<figure>{_show_picture(step, step.finish)}<figcaption><b>The finish</b><span>{name} in "
        f"{steps} steps. “Off” is how far a picture's colours are from these, on average.</span>"
        "</figcaption></figure>"
    )


def show_curves(step: CompareStep) -> str:
    """An SVG chart of the share of noise before each step, one line for each scheduler."""
    names = [SCHEDULERS[name] for name, _ in step.curves]
    left, bottom = 42, CHART_HEIGHT - 18
    lines, legend = "", ""
    for number, (_, shares) in enumerate(step.curves):
        last = max(1, len(shares) - 1)
        places = [
            (left + (CHART_WIDTH - left - 6) * i / last, 6 + (bottom - 6) * (1 - share))
            for i, share in enumerate(shares)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines += f'<polyline class="line-{number}" points="{points}"/>'
        legend += (
            f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><polyline class="line-{number}" '
            f'points="0,4 24,4"/></svg>{html.escape(names[number])}</li>'
        )
    axes = "".join(
        f'<line x1="{left}" x2="{CHART_WIDTH - 6}" y1="{y}" y2="{y}"/>'
        f'<text x="{left - 4}" y="{y + 4}" text-anchor="end">{label}</text>'
        for y, label in ((6, "100 %"), (bottom, "0 %"))
    )
    steps = max(len(shares) for _, shares in step.curves) - 1
    return (
        f'<figure class="curves"><svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" '
        f'aria-label="Share of noise before each of {steps} steps: {", ".join(names)}">{axes}'
        f'<text x="{left}" y="{CHART_HEIGHT - 4}">first step</text><text x="{CHART_WIDTH - 6}" '
        f'y="{CHART_HEIGHT - 4}" text-anchor="end">end</text>{lines}</svg>'
        f"<ul>{legend}</ul><figcaption>How much noise is left before each of {steps} steps. Lines "
        "that lie on each other stop at the same places; they differ in how they get from one to "
        "the next.</figcaption></figure>"
    )


def fit(picture: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
    """Make a picture that is larger than ``side`` as small as that."""
    smaller = picture.copy()
    smaller.thumbnail((side, side))
    return smaller


def draw_sheet(step: CompareStep, title: str) -> Image.Image:
    """Draw the whole grid with its labels as one picture: a sheet to keep.

    Args:
        step: With all pictures finished.
        title: One line at the top; what does not fit is cut.
    """
    race = step.request.vary == "scheduler"
    font = ImageFont.load_default(_TEXT_SIZE)
    pictures = [_enlarge(fit(cell.picture)) for cell in step.cells if cell.picture]
    width, height = pictures[0].size
    columns = len(step.columns) if race else min(SHEET_COLUMNS, len(pictures))
    gap, line = 12, _TEXT_SIZE + 6
    each, tall = width + gap, height + gap + (2 if race else 1) * line
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * each + gap, rows * tall + line + 2 * gap), _PAPER)
    draw = ImageDraw.Draw(sheet)
    while title and draw.textlength(title, font) > sheet.width - 2 * gap:
        title = title[:-2].rstrip() + "…" if len(title) > 2 else ""
    draw.text((gap, gap), title, _INK, font)
    for number, (cell, picture) in enumerate(zip(step.cells, pictures, strict=True)):
        x, y = gap + number % columns * each, 2 * gap + line + number // columns * tall
        sheet.paste(picture, (x, y))
        labels = [_name(step, cell)]
        if race:
            labels = [f"{SCHEDULERS[cell.row]} · {labels[0]}", _say_figures(cell)]
        for place, label in enumerate(labels):
            draw.text((x, y + height + 3 + place * line), label, (_INK, _FAINT)[place], font)
    return sheet


def _say_figures(cell: Cell) -> str:
    figures = f"{cell.seconds or 0:.2f} s"
    return figures if cell.gap is None else f"{figures}, {cell.gap:.1%} off"


def _enlarge(picture: Image.Image) -> Image.Image:
    factor = -(-SHEET_SIDE // picture.height)
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )
