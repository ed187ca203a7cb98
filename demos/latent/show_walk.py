"""HTML of a walk. No Gradio and no torch here."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from demos.latent.show import GAN_LABEL, VAE_LABEL, show_pair
from demos.latent.walk import WalkRequest, WalkStep
from shared.data_urls import to_data_url

STRIP = 9  # pictures of each model in the strip
CHART_WIDTH, CHART_HEIGHT = 320, 64


def describe_way(request: WalkRequest) -> str:
    """Return a line about the walk."""
    seeds = [str(seed) for seed in request.stops]
    kind = "around" if request.path == "spherical" else "straight"
    return f"Walk from seed {' to '.join(seeds)}, {kind}"


def show_step(step: WalkStep) -> str:
    """Show both models' pictures during a walk."""
    return show_pair(step.pair, f"{step.position:.0%} of the walk")


def show_film(url: str, way: str) -> str:
    """Show a film that loops, with controls and the two labels."""
    label = html.escape(f"{way}: the VAE at the left, the GAN at the right")
    return (
        f'<figure class="walk-film"><video src="{html.escape(url)}" aria-label="{label}" controls '
        'autoplay loop muted playsinline disablepictureinpicture></video><div class="pair">'
        f"<figcaption>{VAE_LABEL}</figcaption><figcaption>{GAN_LABEL}</figcaption></div></figure>"
    )


def describe_film(steps: Sequence[WalkStep], way: str) -> str:
    """Return a line about the length of z along the walk."""
    lengths = [math.hypot(*step.pair.z) for step in steps]
    return (
        f"{way} · {len(steps)} pictures of each model · length of z between "
        f"{min(lengths):.1f} and {max(lengths):.1f}"
    )


def show_inside(steps: Sequence[WalkStep]) -> str:
    """Show the length of z along the walk as a chart, and the walk as two strips of pictures."""
    return (
        "<p>How long z is on the way. Training drew numbers whose lengths lie around 8; a straight "
        "line between two of them passes nearer to 0, where pictures are more ordinary, and the "
        "way around keeps its distance. Dots are seeds.</p>" + show_lengths(steps) + _strips(steps)
    )


def show_lengths(steps: Sequence[WalkStep]) -> str:
    """Draw an SVG chart of the length of z along the walk, with a dot at each seed."""
    lengths = [math.hypot(*step.pair.z) for step in steps]
    top = max(10.0, *lengths)

    def place(step: WalkStep, length: float) -> tuple[float, float]:
        across = 4 + (CHART_WIDTH - 8) * step.position
        return round(across, 1), round(CHART_HEIGHT - 4 - (CHART_HEIGHT - 8) * length / top, 1)

    points = [place(step, length) for step, length in zip(steps, lengths, strict=True)]
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="2.5"><title>seed {step.seed}: length {length:.2f}</title>'
        "</circle>"
        for step, length, (x, y) in zip(steps, lengths, points, strict=True)
        if step.seed is not None
    )
    line = " ".join(f"{x},{y}" for x, y in points)
    floor = CHART_HEIGHT - 4
    return (
        f'<svg class="walk-lengths" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" '
        f'aria-label="Length of z along the walk: between {min(lengths):.1f} and '
        f'{max(lengths):.1f}"><line x1="0" x2="{CHART_WIDTH}" y1="{floor}" y2="{floor}"/>'
        f'<polyline points="{line}"/>{dots}</svg>'
    )


def _strips(steps: Sequence[WalkStep]) -> str:
    count = min(STRIP, len(steps))
    chosen = [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]
    rows = []
    for name in ("vae", "gan"):
        figures = "".join(
            f'<figure><img src="{to_data_url(getattr(step.pair, name))}" '
            f'alt="The {name.upper()} at {step.position:.0%} of the walk">'
            f"<figcaption>{step.position:.0%}</figcaption></figure>"
            for step in chosen
        )
        rows.append(f'<p><b>{name.upper()}</b></p><div class="frames">{figures}</div>')
    return "".join(rows)
