"""HTML for codebook tokens: over time, in sampling order, and as players. No Gradio here."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import numpy as np
from PIL import Image

from demos.music.codebooks import Layer
from demos.music.musicgen import MusicGenStep
from shared.data_urls import to_data_url
from shared.musicgen.engine import delay

STEPS_SHOWN = 14  # of the sampling order
EMPTY = -1
CYCLE = 19  # token ids that differ by 1 are unrelated, so their hues are far apart
MISSING = (214, 209, 199)


def show_codes(step: MusicGenStep) -> str:
    """Show all tokens so far: a row per codebook, a column per frame, a colour per token."""
    books, frames = step.codes.shape
    shown = np.full((books, step.total), EMPTY)
    shown[:, :frames] = step.codes
    names = "".join(
        f'<span style="top: {(row + 0.5) / books:.2%}">{name}</span>'
        for row, name in enumerate(name_rows(books, step.layout.channels))
    )
    length = step.total / step.layout.frame_rate
    every = next(gap for gap in (1, 2, 5, 10, 20, 30) if length / gap <= 6)
    ticks = "".join(
        f'<span style="left: {second / length:.2%}">{second} s</span>'
        for second in takewhile(lambda second: second <= length, count(0, every))
    )
    given = step.given / step.total
    recording = (
        f'<i class="codes-given" style="width: {given:.2%}" title="Your recording"></i>'
        if given
        else ""
    )
    picture = _draw(shown, step.layout.codebook_size)
    said = f"{books} codebooks, {frames} of {step.total} frames, a colour for each token"
    return (
        f'<figure class="codes"><div class="codes-plot" style="--rows: {books}">'
        f'<img src="{picture}" alt="{said}">{recording}{names}</div>'
        f'<div class="codes-axis">{ticks}</div></figure>'
    )


def show_order(step: MusicGenStep) -> str:
    """Show the first tokens in sampling order: one column is one step."""
    frames = step.codes[:, step.given : step.given + STEPS_SHOWN]
    grid = delay(frames, step.layout.delays, EMPTY)[:, 1 : 1 + STEPS_SHOWN]
    cells = [
        [("", None) if token == EMPTY else (str(token), int(token)) for token in row]
        for row in grid.tolist()
    ]
    return _table(
        name_rows(len(grid), step.layout.channels),
        cells,
        step.layout.codebook_size,
        "The first tokens of your music. A column is drawn in one step.",
    )


def show_pattern(books: int = 4, frames: int = 6) -> str:
    """Show the delay pattern: the frame of each codebook at each step. Needs no model."""
    grid = delay(np.tile(np.arange(frames), (books, 1)), range(books), EMPTY)[:, 1:]
    cells = [
        [("", None) if frame == EMPTY else (f"{frame + 1}", frame) for frame in row]
        for row in grid.tolist()
    ]
    return _table(
        name_rows(books, 1),
        cells,
        frames,
        "The numbers are frames: follow one colour downwards. A column is drawn in one step.",
    )


def show_layers(layers: Sequence[Layer], files: Mapping[tuple[int, ...], Path]) -> str:
    """Return players: cumulative layers in one column, single codebooks in another."""
    together = [layer for layer in layers if layer.levels == tuple(range(len(layer.levels)))]
    alone = [layer for layer in layers if len(layer.levels) == 1]
    columns = (("Added up", together, _say_missing), ("Each alone", alone, _say_added))
    return (
        '<div class="layers">'
        + "".join(
            f"<section><h4>{title}</h4>"
            + "".join(_player(layer, say(layer), files[layer.levels]) for layer in part)
            + "</section>"
            for title, part, say in columns
        )
        + "</div>"
    )


def name_rows(books: int, channels: int) -> list[str]:
    """Return the names of the codebooks; with two channels, left and right alternate."""
    if channels == 1:
        return [str(book + 1) for book in range(books)]
    return [f"{book // 2 + 1} {'right' if book % 2 else 'left'}" for book in range(books)]


def _say_missing(layer: Layer) -> str:
    return f"{layer.error:.0%} still missing" if layer.error else "all of it"


def _say_added(layer: Layer) -> str:
    return "what it adds" if layer.levels[0] else "the rough idea"


def _player(layer: Layer, note: str, file: Path) -> str:
    first, last = layer.levels[0] + 1, layer.levels[-1] + 1
    name = f"Codebook {first}" if first == last else f"Codebooks {first}–{last}"
    source = html.escape(f"gradio_api/file={file.as_posix()}")
    return (
        f"<p>{name} <small>{note}</small></p>"
        f'<audio controls preload="none" aria-label="{name}" src="{source}"></audio>'
    )


def _table(
    names: Sequence[str], rows: Sequence[Sequence[tuple[str, int | None]]], size: int, caption: str
) -> str:
    steps = "".join(f"<th scope='col'>{number}</th>" for number in range(1, len(rows[0]) + 1))
    body = ""
    for name, row in zip(names, rows, strict=True):
        cells = "".join(
            "<td></td>"
            if token is None
            else f'<td style="background: {_css(token, size)}">{text}</td>'
            for text, token in row
        )
        body += f"<tr><th scope='row'>{name}</th>{cells}</tr>"
    return (
        '<div class="order"><div><table>'
        f'<thead><tr><th scope="col">Step</th>{steps}</tr></thead>'
        f"<tbody>{body}</tbody></table></div><p>{caption}</p></div>"
    )


def _draw(codes: np.ndarray, size: int) -> str:
    """Return a PNG with one pixel per token as a data URL."""
    palette = np.array([_color(token, size) for token in range(size)] + [MISSING], np.uint8)
    pixels = palette[np.where(codes == EMPTY, size, codes)]
    return to_data_url(Image.fromarray(pixels))


@cache
def _color(token: int, size: int) -> tuple[int, int, int]:
    hue = token * CYCLE % size / size
    lightness = 0.62 + 0.16 * (token * 7 % size / size)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.55)
    return round(255 * red), round(255 * green), round(255 * blue)


def _css(token: int, size: int) -> str:
    return "rgb({} {} {})".format(*_color(token, size))
