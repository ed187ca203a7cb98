"""The view of a running training: a film of its sample pictures, and curves. No Gradio here.

The page keeps the frames of the film: each update sends only the new ones, so that a training of
twenty minutes sends each picture once. The component's value is

    {"run": "a name", "first": 12, "frames": [frame, ...], "reference": frame or null}

where a frame is ``{"source": data URL, "label": HTML, "time": "1:05"}``, ``first`` is the index of
the first new frame, and another ``run`` clears the film.
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
# The template contains no value, so Gradio never re-renders what this script builds.
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
const layThumbnails = () => {
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
const update = () => {
  const film = props.value;
  if (!film) return;
  // A visitor who looks at an earlier frame stays there while new frames arrive.
  const following = film.run !== run || Number(slider.value) >= frames.length - 1;
  if (film.run !== run) frames = [];
  run = film.run;
  film.frames.forEach((frame, i) => { frames[film.first + i] = frame; });
  frames = frames.filter(Boolean);
  layThumbnails();
  show(following ? frames.length - 1 : Number(slider.value));
  put(element.querySelector(".reference"), film.reference, "Pictures by the bundled model");
};
slider.addEventListener("input", () => show(Number(slider.value)));
strip.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) show(Number(button.dataset.index));
});
watch("value", update);
update();
"""

LABEL_HEIGHT = 18  # percent of the chart's height


@dataclass(frozen=True)
class Curve:
    """A metric over the time of a training.

    Attributes:
        title: Name of the metric.
        note: What a small or a large value means.
        points: (minutes, value) in order; values that are not finite are left out.
        unit: Written after the value.
        reference: Value of the model that this one is compared with.
        logarithmic: Whether the axis is logarithmic; the values must be above 0.
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
    """Make a value of the film; the module's docstring explains the fields."""
    return {"run": run, "first": first, "frames": list(frames), "reference": reference}


def show_curves(curves: Sequence[Curve], minutes: float) -> str:
    """Draw the curves side by side, with the same time axis."""
    return f'<div class="training-curves">{"".join(show_curve(c, minutes) for c in curves)}</div>'


def show_curve(curve: Curve, minutes: float) -> str:
    """Draw one curve over ``minutes``, with its last value beside the title.

    The axis at the left has two labels, the first and the last value.
    """

    def scale(value: float) -> float:
        return math.log10(max(value, 1e-9)) if curve.logarithmic else value

    points = [(x, scale(y)) for x, y in curve.points if math.isfinite(y)]
    value = format_value(curve.points[-1][1]) + curve.unit if points else "not yet"
    references = [] if curve.reference is None else [scale(curve.reference)]
    heights = [y for _, y in points] + references
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    # A margin of 8 % keeps lines off the edges; a flat line is drawn in the middle.
    margin = 0.08 * (high - low) or 1.0
    low, high = low - margin, high + margin
    longest = max([minutes, *(x for x, _ in points), 1e-6])

    def to_svg(x: float, y: float) -> str:
        return f"{100 * x / longest:.2f},{40 * (high - y) / (high - low):.2f}"

    lines = "".join(
        f'<line class="reference" x1="0" x2="100" y1="{to_svg(0, y).split(",")[1]}" '
        f'y2="{to_svg(0, y).split(",")[1]}"/>'
        for y in references
    )
    if points:
        lines += f'<polyline points="{" ".join(to_svg(x, y) for x, y in points)}"/>'
    axis_labels = ""
    if points:
        shown = [format_value(y) + curve.unit for _, y in curve.points if math.isfinite(y)]
        tops = [100 * (high - y) / (high - low) for y in (points[0][1], points[-1][1])]
        labels = zip(_spread_labels(*tops), (shown[0], shown[-1]), strict=True)
        axis_labels = "".join(
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
        '</figcaption><div class="training-plot">'
        f'<div class="values" aria-hidden="true">{axis_labels}</div>'
        '<svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(text)}">{lines}</svg><div class="minutes" aria-hidden="true">'
        f"<span>0:00</span><span>{format_minutes(longest)} minutes</span></div></div>"
        f"<p>{escape(curve.note)}</p></figure>"
    )


def _spread_labels(first: float, last: float) -> tuple[float, float]:
    """Move two labels at these heights, in percent, apart until they do not overlap."""
    middle, half = (first + last) / 2, max(abs(first - last), LABEL_HEIGHT) / 2
    middle = min(max(middle, half), 100 - half)
    return (middle - half, middle + half) if first <= last else (middle + half, middle - half)


def format_value(value: float) -> str:
    """Format a number of any size with about three digits."""
    if not math.isfinite(value):
        return "no number"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_minutes(minutes: float) -> str:
    """Format minutes as ``4:05``."""
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02}"
