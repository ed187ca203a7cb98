"""How the comparison of the two models looks, as HTML. No Gradio and no torch here."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from demos.latent.neighbours import Neighbour
from shared.data_urls import to_data_url

KINDS = {"real": "Real", "vae": "VAE", "gan": "GAN"}
WIDTH, HEIGHT = 240, 84  # of a plot, in its own units
MARGIN = 4
Figures = Mapping[str, Mapping[str, Any]]
Write = Callable[[Any], str]


def as_share(value: float) -> str:
    """Format 0.123 as "12.3 %"."""
    return f"{100 * value:.1f} %"


def as_number(value: float) -> str:
    """Format with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True)
class TableRow:
    """One row of the comparison.

    Attributes:
        key: Key of the figure.
        title: Its name.
        meaning: What it means, in plain words.
        plot: How it is drawn: points, bars, histogram or values.
        write: Formats the figure.
        best: Which value is best: least, most, real (that of real pictures) or none.
    """

    key: str
    title: str
    meaning: str
    plot: str
    write: Write = as_number
    best: str = "real"


ROWS = (
    TableRow(
        "frechet",
        "Fréchet distance",
        "How far all pictures together are from real ones: their average, and how they vary. Each "
        "dot is one picture, put where the classifier sees it. What real pictures score against "
        "other real ones is the floor. This is not the Inception FID of research papers: the "
        "features are those of our own classifier of critters.",
        "points",
        best="least",
    ),
    TableRow(
        "precision",
        "Precision",
        "Of the drawn pictures, how many lie among real ones: could each have been real?",
        "bars",
        as_share,
        "most",
    ),
    TableRow(
        "recall",
        "Recall",
        "Of the real pictures, how many lie among drawn ones: could the model have drawn each?",
        "bars",
        as_share,
        "most",
    ),
    TableRow(
        "density",
        "Density",
        "Like precision, but it counts how many real neighbours each drawn picture has. About 1 is "
        "as crowded as among real pictures.",
        "bars",
    ),
    TableRow(
        "coverage",
        "Coverage",
        "Of the real pictures, how many have a drawn one as a near neighbour. Unlike recall, a few "
        "odd pictures cannot raise it.",
        "bars",
        as_share,
        "most",
    ),
    TableRow(
        "diversity",
        "Diversity",
        "How different two pictures of the same kind are: the mean distance of all pairs.",
        "histogram",
    ),
    TableRow(
        "sharpness",
        "Sharpness",
        "How much neighbouring pixels differ. Blur makes it smaller, noise larger.",
        "histogram",
    ),
    TableRow(
        "psnr_db",
        "Redrawing unseen pictures",
        "In decibels, higher is closer; 3 more halve the squared error. The VAE encodes and "
        "decodes. The GAN has no encoder: a search looks for the numbers that come nearest.",
        "histogram",
        lambda value: f"{value:.1f} dB",
        "most",
    ),
    TableRow(
        "attributes",
        "Attributes covered",
        "Of all colours, eyes, mouths, tops and so on that exist, how many the model draws in at "
        "least one of a thousand pictures. A bar per value: as high as it is frequent.",
        "values",
    ),
    TableRow(
        "evenness",
        "Evenness",
        "How evenly it uses them: 100 % if every value is equally frequent, as in the data.",
        "bars",
        as_share,
        "most",
    ),
    TableRow(
        "nearest_training",
        "Nearest training picture",
        "How far each picture is from the nearest training picture. Were that far nearer than for "
        "fresh real critters, the model would have learned pictures by heart.",
        "histogram",
        best="none",
    ),
    TableRow(
        "ms_alone",
        "Time for one picture",
        "Both networks have the same design, so what differs here is chance.",
        "bars",
        lambda value: f"{value:.1f} ms",
        "none",
    ),
    TableRow(
        "parameters",
        "Weights",
        "What it takes to draw: the VAE's decoder, the GAN's generator.",
        "bars",
        best="none",
    ),
)


def show_table(stored: Mapping[str, Any] | None, now: Mapping[str, Any] | None = None) -> str:
    """Show all rows that were measured: their meaning, a plot, and the figures of each kind.

    Args:
        stored: The recorded measurement: count, figures and plots.
        now: A measurement of this visit, in the same form; shown beneath the recorded one.
    """
    report = stored or now
    if report is None:
        return (
            '<p class="measure-note">Nobody has measured these two models yet. Press the button, '
            "and the figures of a few hundred pictures will stand here in a minute.</p>"
        )
    rows = "".join(_show_row(row, report, now if stored else None) for row in ROWS)
    heads = "".join(f'<th scope="col" class="{kind}">{name}</th>' for kind, name in KINDS.items())
    return (
        '<table class="measures"><thead><tr><th scope="col">Figure</th>'
        f'<th scope="col">Plot</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _show_row(row: TableRow, report: Mapping[str, Any], now: Mapping[str, Any] | None) -> str:
    figures, plots = report["figures"], report["plots"]
    values = {kind: read(row, figures, kind) for kind in KINDS}
    if all(value is None for value in values.values()):
        return ""
    best = _find_best(row, values)
    cells = []
    for kind, name in KINDS.items():
        cell = _show_value(row, figures.get(kind, {}), values[kind])
        if kind == best:
            cell = f'<b title="The better of the two">{cell}</b>'
        if now:
            fresh = _show_value(row, now["figures"].get(kind, {}), read(row, now["figures"], kind))
            cell += f"<small>now {fresh}</small>" if fresh != "–" else ""
        cells.append(f'<td class="{kind}" data-kind="{name}">{cell}</td>')
    picture = draw_plot(row, plots, values)
    return (
        f'<tr data-figure="{row.key}"><th scope="row">{row.title}<p>{row.meaning}</p></th>'
        f'<td class="measure-plot">{picture}</td>{"".join(cells)}</tr>'
    )


def read(row: TableRow, figures: Figures, kind: str) -> Any:
    """Return the figure of ``row`` for one kind of picture; None if it was not measured."""
    value = figures.get(kind, {}).get(row.key)
    if isinstance(value, dict):  # one share per attribute
        return min(value.values())
    return value


def _find_best(row: TableRow, values: Mapping[str, Any]) -> str | None:
    """Return the better model; None if they are equal or one has no figure."""
    vae, gan = values["vae"], values["gan"]
    if vae is None or gan is None or vae == gan or row.best == "none":
        return None
    if row.best == "real":
        if values["real"] is None:
            return None
        return min(("vae", "gan"), key=lambda kind: abs(values[kind] - values["real"]))
    pick = min if row.best == "least" else max
    return pick(("vae", "gan"), key=lambda kind: values[kind])


def _show_value(row: TableRow, figures: Mapping[str, Any], value: Any) -> str:
    if value is None:
        return "–"
    if row.key == "attributes":
        missed = sum(share < 1 for share in figures[row.key].values())
        return "all" if not missed else f"all but {_count_missing(figures[row.key])}"
    return row.write(value)


def _count_missing(shares: Mapping[str, float]) -> int:
    """Return how many values never occur, from the share of each attribute's values that do."""
    return sum(round((1 - share) * SIZES.get(name, 10)) for name, share in shares.items())


SIZES = {"body": 10, "color": 10, "accent": 5, "eyes": 12, "mouth": 11, "top": 11, "background": 8}


# Plots


def draw_plot(row: TableRow, plots: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Draw the plot of one row as SVG; every kind has its own colour and stroke."""
    summary = ", ".join(
        f"{KINDS[kind]} {row.write(value)}" for kind, value in values.items() if value is not None
    )
    label = f"{row.title}: {summary}"
    if row.plot == "points" and "points" in plots:
        return draw_points(plots["points"], label)
    if row.plot == "values" and "values" in plots:
        return draw_values(plots["values"], label)
    if row.plot == "histogram" and row.key in plots:
        return draw_histogram(plots[row.key], label, row.write)
    return draw_bars(values, label)


def _svg(kind: str, label: str, inside: str, height: int = HEIGHT) -> str:
    return (
        f'<svg class="plot plot-{kind}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(label)}">{inside}</svg>'
    )


def draw_points(points: Mapping[str, Sequence[Sequence[float]]], label: str) -> str:
    """Two panels: the dots of each model over those of real pictures."""
    everything = [point for kind in points.values() for point in kind]
    low = [min(point[axis] for point in everything) for axis in (0, 1)]
    high = [max(point[axis] for point in everything) for axis in (0, 1)]
    panel = (WIDTH - 3 * MARGIN) / 2

    def place(point: Sequence[float], left: float) -> str:
        x, y = ((point[axis] - low[axis]) / ((high[axis] - low[axis]) or 1) for axis in (0, 1))
        return f'cx="{left + 3 + x * (panel - 6):.1f}" cy="{HEIGHT - 3 - y * (HEIGHT - 6):.1f}"'

    parts = []
    for index, kind in enumerate(("vae", "gan")):
        left = MARGIN + index * (panel + MARGIN)
        parts.append(
            f'<rect class="frame" x="{left}" y="0.5" width="{panel}" height="{HEIGHT - 1}"/>'
        )
        for name in ("real", kind):
            dots = "".join(f'<circle {place(point, left)} r="1.6"/>' for point in points[name])
            parts.append(f'<g class="{name}">{dots}</g>')
        parts.append(f'<text x="{left + 4}" y="12" class="{kind}">{KINDS[kind]}</text>')
    return _svg("points", label, "".join(parts))


def draw_histogram(plot: Mapping[str, Any], label: str, write: Write) -> str:
    """Draw a histogram: real pictures as an area, the models as lines."""
    kinds = [kind for kind in KINDS if kind in plot]
    top = max(share for kind in kinds for share in plot[kind]) or 1
    base = HEIGHT - 14
    parts = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{base}" y2="{base}"/>']
    for kind in kinds:
        step = WIDTH / len(plot[kind])
        path = f"M0 {base}"
        for index, share in enumerate(plot[kind]):
            path += f"V{base - share / top * (base - 4):.1f}H{(index + 1) * step:.1f}"
        parts.append(f'<path class="{kind}" d="{path}V{base}"/>')
    parts.append(f'<text x="0" y="{HEIGHT - 2}">{write(plot["from"])}</text>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT - 2}" class="end">{write(plot["to"])}</text>')
    return _svg("histogram", label, "".join(parts))


def draw_bars(values: Mapping[str, Any], label: str) -> str:
    """One bar for each kind, from 0."""
    known = {kind: value for kind, value in values.items() if value is not None}
    top = max([1.0, *known.values()]) if max(known.values()) <= 1.5 else max(known.values())
    parts = [f'<line class="axis" x1="34" x2="34" y1="0" y2="{24 * len(known)}"/>']
    for index, (kind, value) in enumerate(known.items()):
        parts.append(
            f'<text x="0" y="{24 * index + 16}" class="{kind}">{KINDS[kind]}</text>'
            f'<rect class="{kind}" x="34" y="{24 * index + 5}" height="14" '
            f'width="{max(0.0, value / top) * (WIDTH - 36):.1f}"/>'
        )
    return _svg("bars", label, "".join(parts), 24 * len(known))


def draw_values(values: Mapping[str, Mapping[str, Sequence[float]]], label: str) -> str:
    """Draw both models' bars for every value of every attribute; a dash marks the fair share."""
    total = sum(len(kinds["real"]) for kinds in values.values()) + len(values) - 1
    step, half = WIDTH / total, HEIGHT / 2
    parts = []
    for row, kind in enumerate(("vae", "gan")):
        base, x = half * (row + 1) - 3, 0.0
        for name, kinds in values.items():
            fair = 1 / len(kinds[kind])
            for share in kinds[kind]:
                height = min(2.2, share / fair) / 2.2 * (half - 8)
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{base - height:.1f}" '
                    f'width="{step * 0.8:.1f}" height="{max(0.4, height):.1f}"/>'
                )
                x += step
            level = base - (half - 8) / 2.2
            start = x - step * len(kinds[kind])
            parts.append(
                f'<line class="fair" x1="{start:.1f}" x2="{x:.1f}" y1="{level:.1f}" '
                f'y2="{level:.1f}"><title>{html.escape(name)}</title></line>'
            )
            x += step
        parts.append(f'<text x="0" y="{base - half + 11:.0f}" class="{kind}">{KINDS[kind]}</text>')
    return _svg("values", label, "".join(parts))


# Neighbours


def show_neighbours(
    rows: Sequence[tuple[str, Image.Image, Sequence[Neighbour]]], typical: float | None
) -> str:
    """Pictures, each with the training pictures nearest to it.

    Args:
        rows: Name, picture, neighbours.
        typical: Median distance of fresh real critters to the nearest training picture.
    """
    longest = max((one.distance for _, _, near in rows for one in near), default=1.0)
    longest = max(longest, typical or 0.0, 1e-6)
    parts = []
    for name, picture, near in rows:
        cells = "".join(_show_neighbour(one, number, longest) for number, one in enumerate(near, 1))
        parts.append(
            f'<div class="near-row"><figure class="near-own"><img src="{to_data_url(picture)}" '
            f'alt="{html.escape(name)}"><figcaption><b>{html.escape(name)}</b></figcaption>'
            f'</figure><div class="near-others">{cells}</div></div>'
        )
    line = (
        f"<p>The nearest training picture of a fresh real critter is typically at "
        f"<b>{typical:.1f}</b>.</p>"
        if typical
        else ""
    )
    return f'<div class="near">{"".join(parts)}{line}</div>'


def _show_neighbour(one: Neighbour, number: int, longest: float) -> str:
    same = "all it shows" if one.shared == one.of else f"{one.shared} of {one.of} alike"
    return (
        f'<figure><img src="{to_data_url(one.picture)}" alt="Training picture {one.row + 1:,}, '
        f'{same}"><figcaption>{one.distance:.1f}<i style="--far: {one.distance / longest:.3f}"></i>'
        f"<span>{same}</span></figcaption></figure>"
    )
