"""How a training that one watches looks: a film of what was drawn, and curves. No Gradio here.

The film is a component whose page keeps the frames: each update brings only what is new, so that a
training of twenty minutes sends each picture once. Its value is

    {"run": "a name", "first": 12, "frames": [frame, ...], "reference": frame or null}

where a frame is ``{"source": data URL, "label": HTML, "time": "1:05"}``, ``first`` is the number of
the first of them, and another ``run`` clears what was there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from shared.data_urls import make_data_url

FILM = """
<div class="pair training-pair">
  <figure class="mine"><img alt="" hidden><figcaption></figcaption></figure>
  <figure class="reference"><img alt="" hidden><figcaption></figcaption></figure>
</div>
<div class="training-strip" role="group" aria-label="How it learned: choose a moment"></div>
<label class="training-time"><span>Look back</span>
  <input type="range" min="0" max="0" step="1" aria-label="Moment of the training"></label>
"""
# The template holds no value, so Gradio never patches what is built here.
BEHAVIOUR = """
const THUMBNAILS = 8;
const strip = element.querySelector(".training-strip");
const slider = element.querySelector("input");
let run, frames = [];

const put = (figure, frame, text) => {
  const image = figure.querySelector("img");
  image.hidden = !frame;
  if (!frame) return;
  image.src = frame.source;
  image.alt = text;
  figure.querySelector("figcaption").innerHTML = frame.label;
};
const show = (index) => {
  const frame = frames[index];
  if (!frame) return;
  slider.value = index;
  slider.setAttribute("aria-valuetext", `after ${frame.time}`);
  put(element.querySelector(".mine"), frame, `Pictures after ${frame.time} of training`);
  const at = [...strip.children].findLast((button) => button.dataset.index <= index);
  for (const button of strip.children) button.setAttribute("aria-pressed", button === at);
};
const lay = () => {
  const last = frames.length - 1, count = Math.min(THUMBNAILS, frames.length);
  const chosen = Array.from({ length: count }, (_, i) => Math.round(i * last / (count - 1 || 1)));
  while (strip.children.length > count) strip.lastChild.remove();
  while (strip.children.length < count) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(document.createElement("img"), document.createElement("span"));
    strip.append(button);
  }
  chosen.forEach((index, i) => {
    const button = strip.children[i], frame = frames[index];
    button.dataset.index = index;
    button.setAttribute("aria-label", `after ${frame.time}`);
    if (button.firstChild.src !== frame.source) button.firstChild.src = frame.source;
    button.firstChild.alt = "";
    button.lastChild.textContent = frame.time;
  });
  slider.max = last;
};
const take = () => {
  const film = props.value;
  if (!film) return;
  // Who looks back goes on doing so while new frames come.
  const following = film.run !== run || Number(slider.value) >= frames.length - 1;
  if (film.run !== run) frames = [];
  run = film.run;
  film.frames.forEach((frame, i) => { frames[film.first + i] = frame; });
  frames = frames.filter(Boolean);
  lay();
  show(following ? frames.length - 1 : Number(slider.value));
  put(element.querySelector(".reference"), film.reference, "Pictures by the bundled model");
};
slider.addEventListener("input", () => show(Number(slider.value)));
strip.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) show(Number(button.dataset.index));
});
watch("value", take);
take();
"""

LABEL_HEIGHT = 18  # percent of a chart's height


@dataclass(frozen=True)
class Curve:
    """A figure over the time of a training.

    Attributes:
        title: What it is, in a few words.
        note: What a small or a large value means.
        points: (minutes, value) in order; values that are not finite are left out.
        unit: Written after the value.
        reference: Value of the model that this one is compared with.
        logarithmic: Whether equal ratios are equally high; such values are above 0.
    """

    title: str
    note: str
    points: Sequence[tuple[float, float]]
    unit: str = ""
    reference: float | None = None
    logarithmic: bool = False


def make_frame(png: bytes, label: str, minutes: float = 0.0) -> dict[str, str]:
    """Make a frame of the film; ``label`` is HTML."""
    source = make_data_url(png, "image/png")
    return {"source": source, "label": label, "time": format_minutes(minutes)}


def make_film(
    run: str,
    frames: Sequence[dict[str, str]],
    reference: dict[str, str] | None,
    *,
    first: int = 0,
) -> dict[str, Any]:
    """Make a value of the film; the module's docstring says what the fields are."""
    return {"run": run, "first": first, "frames": list(frames), "reference": reference}


def show_curves(curves: Sequence[Curve], minutes: float) -> str:
    """Draw the curves side by side, each over the same time."""
    return f'<div class="training-curves">{"".join(show_curve(c, minutes) for c in curves)}</div>'


def show_curve(curve: Curve, minutes: float) -> str:
    """Draw one curve over ``minutes``, with its last value beside the title.

    Its first and last value stand at the left, each at its height, and the minutes below.
    """

    def scale(value: float) -> float:
        return math.log10(max(value, 1e-9)) if curve.logarithmic else value

    points = [(x, scale(y)) for x, y in curve.points if math.isfinite(y)]
    value = format_value(curve.points[-1][1]) + curve.unit if points else "not yet"
    references = [] if curve.reference is None else [scale(curve.reference)]
    heights = [y for _, y in points] + references
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    # A flat line lies in the middle; a little air keeps every line off the edge.
    air = 0.08 * (high - low) or 1.0
    low, high = low - air, high + air
    longest = max([minutes, *(x for x, _ in points), 1e-6])

    def place(x: float, y: float) -> str:
        return f"{100 * x / longest:.2f},{40 * (high - y) / (high - low):.2f}"

    lines = "".join(
        f'<line class="reference" x1="0" x2="100" y1="{place(0, y).split(",")[1]}" '
        f'y2="{place(0, y).split(",")[1]}"/>'
        for y in references
    )
    if points:
        lines += f'<polyline points="{" ".join(place(x, y) for x, y in points)}"/>'
    marks = ""
    if points:
        shown = [format_value(y) + curve.unit for _, y in curve.points if math.isfinite(y)]
        tops = [100 * (high - y) / (high - low) for y in (points[0][1], points[-1][1])]
        labels = zip(_part(*tops), (shown[0], shown[-1]), strict=True)
        marks = "".join(
            f'<span style="top:{top:.1f}%">{escape(label)}</span>' for top, label in labels
        )
    compared = (
        ""
        if curve.reference is None
        else f" · <i>bundled: {format_value(curve.reference)}{escape(curve.unit)}</i>"
    )
    text = f"{curve.title}: {value}, over {format_minutes(longest)} minutes"
    return (
        f"<figure><figcaption><b>{escape(curve.title)}</b> <span>{escape(value)}</span>{compared}"
        f'</figcaption><div class="training-plot"><div class="values" aria-hidden="true">{marks}'
        f'</div><svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(text)}">{lines}</svg><div class="minutes" aria-hidden="true">'
        f"<span>0:00</span><span>{format_minutes(longest)} minutes</span></div></div>"
        f"<p>{escape(curve.note)}</p></figure>"
    )


def _part(first: float, last: float) -> tuple[float, float]:
    """Move two labels at these heights, in percent, so far apart that both can be read."""
    middle, half = (first + last) / 2, max(abs(first - last), LABEL_HEIGHT) / 2
    middle = min(max(middle, half), 100 - half)
    return (middle - half, middle + half) if first <= last else (middle + half, middle - half)


def format_value(value: float) -> str:
    """Write a number of any size in about three digits."""
    if not math.isfinite(value):
        return "no number"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_minutes(minutes: float) -> str:
    """Write minutes as ``4:05``."""
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02}"
