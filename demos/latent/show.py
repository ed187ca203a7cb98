"""HTML of the latent-space room's results. No Gradio and no torch here."""

from __future__ import annotations

import html
from collections.abc import Sequence

from demos.latent.generate import Pair
from shared.data_urls import to_data_url

VAE_LABEL = "<b>VAE</b> · taught to redraw: safe, mixes what it is unsure of"
GAN_LABEL = "<b>GAN</b> · taught to fool a critic: bold, sometimes odd"


def length(z: Sequence[float]) -> float:
    """Euclidean length; about 8 for 64 numbers from N(0, 1)."""
    return sum(number**2 for number in z) ** 0.5


def show_two(*figures: tuple[str, str, str]) -> str:
    """Show two pictures side by side: (URL, alternative text, label in HTML) of each."""
    return '<div class="pair">{}</div>'.format(
        "".join(
            f'<figure><img src="{source}" alt="{html.escape(text)}">'
            f"<figcaption>{label}</figcaption></figure>"
            for source, text, label in figures
        )
    )


def show_pair(pair: Pair, where: str) -> str:
    """Show both models' pictures of one z."""
    return show_two(
        (to_data_url(pair.vae), f"Picture by the VAE, {where}", VAE_LABEL),
        (to_data_url(pair.gan), f"Picture by the GAN, {where}", GAN_LABEL),
    )


def show_bars(values: Sequence[float], label: str) -> str:
    """Show numbers as bars above and below a zero line, clipped to -3 and 3."""
    bars = []
    for index, value in enumerate(values):
        height = 10 * min(abs(value), 3.0)
        top = 32 - height if value > 0 else 32
        bars.append(
            f'<rect x="{5 * index}" y="{top:.1f}" width="4" height="{height:.1f}">'
            f"<title>number {index + 1}: {value:.2f}</title></rect>"
        )
    width = 5 * len(values)
    return (
        f'<svg class="z-bars" viewBox="0 0 {width} 64" role="img" '
        f'aria-label="{html.escape(label)}">'
        f'<line x1="0" x2="{width}" y1="32" y2="32"/>{"".join(bars)}</svg>'
    )
