"""How the parts of a model look when each runs alone, as HTML. No Gradio and no torch here."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from PIL import Image

from demos.image.parts import Autoencoded, Denoised, measure_psnr
from demos.image.parts_text import Token, Tokens, Vectors, compare_words
from demos.image.show import enlarge
from shared.data_urls import to_data_url

# Hints where a result will be.
NO_TOKENS = '<p class="part-none">Your words, cut into tokens, will appear here.</p>'
NO_VECTORS = (
    '<p class="part-none">Each token will be a row of numbers here: blue below zero, orange above.'
    "</p>"
)
NO_PICTURES = '<p class="part-none">The picture and what becomes of it will hang here.</p>'
SHOWN_SIDE = 320
LOUD = 98  # the percentile of numbers that gets full colour
POSITIVE, NEGATIVE = (217, 72, 15), (37, 99, 235)
MOST_TILES = 64
# Of latents, whose deviation is 1: less than that cannot be seen.
LEAST_CHANGE = 0.05


def show_tokens(tokens: Tokens) -> str:
    """Show tokens as boxes, those of one word joined, and say what to notice."""
    boxes = []
    for word, group in groupby(tokens.tokens, key=lambda token: token.word):
        pieces = list(group)
        if word is None:
            boxes += [_show_token([piece], "mark") for piece in pieces]
        else:
            kind = "unread" if not pieces[-1].is_read else "strange" if len(pieces) > 1 else ""
            boxes.append(_show_token(pieces, kind))
    used = sum(token.is_read for token in tokens.tokens)
    spare = tokens.limit - used
    notes = [
        f"<b>{used}</b> of {tokens.limit} places are used, the two ends included; the vocabulary "
        f"has {tokens.vocabulary:,} tokens."
    ]
    if spare:
        filling = html.escape(tokens.padding)
        notes.append(f"The other {spare} are filled with <code>{filling}</code>.")
    if any(box.startswith('<span class="strange"') for box in boxes):
        notes.append(
            "A dashed frame: the vocabulary lacks this word, so it is spelled out in pieces."
        )
    if any(not token.is_read for token in tokens.tokens):
        notes.append("What is struck through did not fit: the model never reads it.")
    return f'<div class="part-tokens">{"".join(boxes)}</div><p>{" ".join(notes)}</p>'


def _show_token(pieces: Sequence[Token], kind: str) -> str:
    inner = "".join(
        f"<span>{html.escape(piece.text)}<small>{piece.number}</small></span>" for piece in pieces
    )
    return f'<span class="{kind}">{inner}</span>'


def show_vectors(one: Vectors, other: Vectors) -> str:
    """Show the first sentence as two matrices, and compare it with the other."""
    rows = "".join(
        f"<b>{html.escape(token.text)}</b>{_show_row(one.before, row)}{_show_row(one.after, row)}"
        for row, token in enumerate(one.tokens)
    )
    count = len(one.tokens)
    label = (
        f"{count} tokens, each a row of {one.before.shape[1]} numbers before the encoder and "
        f"{one.after.shape[1]} after it"
    )
    return (
        f'<div class="part-matrix" role="img" aria-label="{label}">'
        f"<i></i><i>Looked up: {count} × {one.before.shape[1]}</i>"
        f"<i>Encoded: {count} × {one.after.shape[1]}</i>{rows}</div>"
        f"{_show_shared(one, other)}"
    )


def _show_row(matrix: np.ndarray, row: int) -> str:
    scale = float(np.percentile(abs(matrix), LOUD)) or 1.0
    return f'<img alt="" src="{to_data_url(color_numbers(matrix[row : row + 1] / scale))}">'


def _show_shared(one: Vectors, other: Vectors) -> str:
    """How similar the words that both sentences have are, before and after the encoder."""
    lines = "".join(
        f"<b>{html.escape(word)}</b>{_show_bar(before)}{_show_bar(after)}"
        for word, before, after in compare_words(one, other)
    )
    if not lines:
        return "<p>The two sentences share no word that could be compared.</p>"
    return (
        "<p>Stripes that run down all rows are what all tokens have in common. Here are the words "
        "that both sentences have, and how alike they are: 1 is the same, 0 has nothing in common. "
        "Looked up by number, a word is always the same; the encoder adds where it is and what "
        "comes before it.</p>"
        f'<div class="part-alike"><i></i><i>Looked up</i><i>Encoded</i>{lines}</div>'
    )


def _show_bar(value: float) -> str:
    shown = f"{round(value, 2) + 0.0:.2f}"  # no zero has a sign
    return f'<span style="--share:{max(value, 0):.3f}">{shown}</span>'


def show_autoencoded(result: Autoencoded, factor: float) -> str:
    """Show the picture, its copy, and the copy with one channel changed."""
    exact = measure_psnr(result.original, result.decoded)
    figures = [
        _show_figure(result.original, "Given", "what went in"),
        _show_figure(result.decoded, "Decoded", f"{_decibels(exact)} from the one given"),
    ]
    if result.channel is not None:
        apart = measure_psnr(result.decoded, result.changed)
        how = f"× {factor:g}" if factor else "switched off"
        distance = "the same" if math.isinf(apart) else f"{_decibels(apart)} from the one decoded"
        figures.append(
            _show_figure(result.changed, f"Channel {result.channel + 1} {how}", distance)
        )
    return f'<div class="part-pictures">{"".join(figures)}</div>'


def describe_latents(result: Autoencoded) -> str:
    """Say how many numbers are in the picture and in its latents."""
    pixels, numbers = np.asarray(result.original).size, result.latents.size
    channels, height, width = result.latents.shape
    return (
        f"{pixels:,} numbers (three for each pixel) became <b>{numbers:,}</b>: {channels} channels "
        f"of {height} × {width}, {pixels / numbers:.0f} times fewer. More decibels are closer: "
        "above 30 it is hard to see a difference."
    )


def show_tiles(result: Autoencoded) -> str:
    """Show each channel of the latents as a grey tile, as buttons to choose one."""
    scale = 6 * float(result.latents.std()) or 1.0
    levels = (255 * (result.latents / scale + 0.5).clip(0, 1)).astype(np.uint8)
    tiles = "".join(
        f'<button type="button" data-index="{index}" aria-label="Channel {index + 1}" '
        f'aria-pressed="{str(index == result.channel).lower()}">'
        f'<img alt="" src="{to_data_url(Image.fromarray(tile))}"><span>{index + 1}</span></button>'
        for index, tile in enumerate(levels[:MOST_TILES])
    )
    return (
        f'<div class="part-tiles" role="group" aria-label="Channels of the latents">{tiles}</div>'
    )


def show_denoised(result: Denoised, guidance: float) -> str:
    """Show what the denoiser was given and what it believes, without words, with, and pushed."""
    close = {
        name: _decibels(measure_psnr(result.original, picture))
        for name, picture in (
            ("plain", result.plain),
            ("worded", result.worded),
            ("guided", result.guided),
        )
    }
    most = float(result.difference.max())
    moved = result.difference / max(most, LEAST_CHANGE)
    figures = [
        _show_figure(result.original, "Given", "the picture under the noise"),
        _show_figure(
            result.noisy, f"{result.noise:.0%} noise", "what the denoiser looks at, decoded"
        ),
        _show_figure(
            color_numbers(moved),
            "What the words changed",
            "strong: here they changed its mind" if most > LEAST_CHANGE else "next to nothing",
            smooth=True,
        ),
        _show_figure(result.plain, "Without words", f"{close['plain']} from the one given"),
        _show_figure(result.worded, "With your words", f"{close['worded']} from the one given"),
        _show_figure(result.guided, f"Guidance {guidance:g}", f"pushed further: {close['guided']}"),
    ]
    return f'<div class="part-pictures">{"".join(figures)}</div>'


def describe_denoised(result: Denoised) -> str:
    """Say what was done."""
    channels, height, width = result.latents.shape
    asked, nearest = f"{result.noise:.0%}", f"{result.nearest:.0%}"
    note = "" if nearest == asked else ", the nearest to it that it was trained on"
    return (
        f"The denoiser saw {channels} × {height} × {width} numbers, {asked} of them noise, and "
        f"time step {result.timestep}, which tells it how much: {nearest}{note}."
    )


def color_numbers(values: np.ndarray) -> Image.Image:
    """Paint (h, w) numbers from -1 to 1: blue below zero, orange above, clear at zero."""
    strength = (255 * abs(values).clip(0, 1)).astype(np.uint8)
    colors = np.where((values > 0)[..., None], POSITIVE, NEGATIVE).astype(np.uint8)
    return Image.fromarray(np.concatenate([colors, strength[..., None]], axis=-1))


def _show_figure(picture: Image.Image, name: str, label: str, *, smooth: bool = False) -> str:
    picture = picture if smooth else enlarge(picture, SHOWN_SIDE)
    return (
        f'<figure><img alt="{html.escape(name)}" src="{to_data_url(picture)}"'
        f"{' class=smooth' if smooth else ''}>"
        f"<figcaption><b>{html.escape(name)}</b> · {html.escape(label)}</figcaption></figure>"
    )


def _decibels(value: float) -> str:
    return "no difference" if math.isinf(value) else f"{value:.1f} dB"
