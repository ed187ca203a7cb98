"""How the attention of words looks: for each, where in the picture it was looked up. No Gradio.

For one component:

    heat = gr.HTML(NO_MAPS, js_on_load=BEHAVIOUR, padding=False)
    ...
    yield show_attention(step.maps, picture)    # its value

The value holds all steps. The page shows one by moving a sheet of masks, so that the slider asks
nobody; the look is in room.css.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

import numpy as np
from PIL import Image

from demos.image.attention import AttentionMaps
from shared.data_urls import to_data_url

NO_MAPS = (
    '<p class="attention-none">Here each word gets a copy of the picture, coloured where the '
    "network looked that word up.</p>"
)
# The slider works on whatever value is there; a new value keeps the step one looks at.
BEHAVIOUR = """
const show = () => {
  const sheet = element.querySelector(".attention");
  if (!sheet) return;
  const slider = sheet.querySelector("input");
  const step = Number(slider.value);
  const text = step ? `step ${step} of ${slider.max}` : "all steps together";
  sheet.style.setProperty("--frame", step);
  sheet.querySelector("output").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  for (const figure of sheet.querySelectorAll("figure")) {
    const { word, where } = JSON.parse(figure.dataset.looks);
    const label = `“${word}”, ${text}: ${where[step]}`;
    figure.querySelector("[role=img]").setAttribute("aria-label", label);
    figure.querySelector("i").textContent = where[step];
  }
};
element.addEventListener("input", show);
watch("value", () => requestAnimationFrame(show));
show();
"""
SHOWN_SIDE = 192  # pixels of the picture under the masks
MASK_SIDE = 32  # pixels of a mask; the page enlarges it smoothly
# What is coloured has a place if it covers no more than so much of the picture, and a band of a
# third of the picture is named if at least so much of the colour lies in it.
SPREAD, MOSTLY = 0.4, 0.55
_ROWS = {"upper": "in the upper third", "": "at half height", "lower": "in the lower third"}
_COLUMNS = {"left": "at the left", "middle": "halfway across", "right": "at the right"}


def show_attention(maps: AttentionMaps, picture: Image.Image) -> str:
    """Show each word's share of the attention over the picture that the maps belong to.

    The colour is full where the word's share is greatest in that step and fades with its square,
    for each word on its own scale: compare places, not words.
    """
    words, shares = maps.of_words()
    if not words:
        return '<p class="attention-none">The network could read no word of this prompt.</p>'
    among = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6)
    frames = np.concatenate([among.mean(axis=0, keepdims=True), among])  # all steps, then each
    marks = 1 - shares.sum(axis=1).mean()
    small = picture.convert("RGB")
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    figures = "".join(_show_word(word, frames[:, index]) for index, word in enumerate(words))
    steps = len(frames) - 1
    second = (
        " In this model all words together also reach every place at once, which no map shows."
        if maps.pooled
        else ""
    )
    return (
        f'<div class="attention" style="--picture:url({to_data_url(small)});'
        f'--shape:{small.width}/{small.height};--frame:0;--frames:{steps + 1}">'
        f'<label class="attention-step"><span>Step</span><input type="range" min="0" max="{steps}" '
        f'value="0" step="1" aria-label="Step to look at" aria-valuetext="all steps together">'
        f"<output>all steps together</output></label>"
        f'<div class="attention-words">{figures}</div>'
        f"<p>Strong colour: here the network looked this word up more than elsewhere. Each word "
        f"has its own scale, up to its greatest share, and fades quickly below it. {marks:.0%} of "
        f"all attention went not to words but to the marks at the start and the end of the prompt "
        f"and to commas, which is usual: networks look there when they need no word.{second}</p>"
        f"</div>"
    )


def describe_place(share: np.ndarray) -> str:
    """Say in a few words where (h, w) shares are great, such as "mostly upper middle".

    A place is named only where there is one: how much of the picture the colour covers is its
    participation ratio, 1 if it is even and 1 / n if it is all in one of n places.
    """
    color = _shade(share.astype(float))
    if color.sum() ** 2 >= SPREAD * color.size * (color**2).sum():
        return "spread widely"
    match _find_band(color, 0, _ROWS), _find_band(color, 1, _COLUMNS):
        case None, None:
            return "in several places"
        case str(row), None:
            return f"mostly {_ROWS[row]}"
        case None, str(column):
            return f"mostly {_COLUMNS[column]}"
        case "", "middle":
            return "mostly in the middle"
        case row, column:
            return " ".join(filter(None, ("mostly", row, column)))


def _find_band(color: np.ndarray, axis: int, names: Iterable[str]) -> str | None:
    """Return the third along ``axis`` that most of the colour lies in, if there is one."""
    sums = [band.sum() / color.sum() for band in np.array_split(color, 3, axis=axis)]
    return next((name for name, part in zip(names, sums, strict=True) if part >= MOSTLY), None)


def _shade(share: np.ndarray) -> np.ndarray:
    """Return how strong the colour is: squared, or all of the picture would be veiled."""
    return (share / max(share.max(), 1e-6)) ** 2


def _show_word(word: str, frames: np.ndarray) -> str:
    """Make the figure of a word of (frames, h, w) shares."""
    places = [describe_place(frame) for frame in frames]
    looks = html.escape(json.dumps({"word": word, "where": places}), quote=True)
    label = html.escape(f"“{word}”, all steps together: {places[0]}", quote=True)
    return (
        f'<figure data-looks="{looks}"><div role="img" aria-label="{label}">'
        f'<span style="--mask:url({to_data_url(_make_sheet(frames))})"></span></div>'
        f"<figcaption><b>{html.escape(word)}</b> <i>{places[0]}</i></figcaption></figure>"
    )


def _make_sheet(frames: np.ndarray) -> Image.Image:
    """Put the masks of all frames one under the other; the page takes how opaque they are."""
    height, width = frames.shape[1:]
    scale = MASK_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    masks = []
    for frame in frames:
        mask = Image.fromarray((255 * _shade(frame)).astype(np.uint8))
        masks.append(np.asarray(mask.resize(size, Image.Resampling.BICUBIC)))
    opaque = Image.fromarray(np.concatenate(masks))
    return Image.merge("LA", [Image.new("L", opaque.size), opaque])
