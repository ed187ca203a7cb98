"""HTML of a reconstruction and of an inversion. No Gradio and no torch here."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from demos.latent.invert import InversionStep
from demos.latent.reconstruct import Closeness, Reconstruction
from demos.latent.show import length, show_bars
from shared.data_urls import to_data_url

UNKNOWN_DB = 17.0  # below this, the reconstruction is another picture
USED_NATS = 0.1  # a number with less information counts as unused
CHART_LIMIT = 3.0  # bars end here
CHART_HEIGHT, BAR_WIDTH = 72, 5
# Colours of the sketch pad.
PAINTS = {
    "blue": "#3b82f6",
    "turquoise": "#22d3ee",
    "green": "#4ade80",
    "yellow": "#fde047",
    "orange": "#fb923c",
    "red": "#ef4444",
    "pink": "#f9a8d4",
    "purple": "#a78bfa",
    "brown": "#a9744a",
    "grey": "#94a3b8",
    "navy": "#1e3a8a",
    "black": "#18181b",
    "white": "#f8fafc",
}


def show_three(
    original: Image.Image | None,
    vae: Reconstruction | None = None,
    gan: InversionStep | None = None,
) -> str:
    """Show the given picture beside those of the VAE and the GAN, with both errors."""
    size = f"at {original.width} × {original.height} pixels" if original else "choose a picture"
    alt = "The given picture" if original else "No picture yet"
    figures = [_show_figure(original, alt, "Given", size)]
    for name, result in (("VAE", vae), ("GAN", gan)):
        label, waits = HOW[name]
        if result is None:
            figures.append(_show_figure(None, f"Nothing by the {name} yet", name, waits))
        else:
            alt = f"The nearest that the {name} can draw"
            figures.append(
                _show_figure(result.picture, alt, name, label, _show_error(result.closeness))
            )
    return f'<div class="three">{"".join(figures)}</div>'


HOW = {
    "VAE": ("read by its encoder, drawn again", "squeezes it into 64 numbers"),
    "GAN": ("found by searching", "has no encoder: it must search"),
}


def _show_figure(
    picture: Image.Image | None, alt: str, name: str, label: str, error: str = ""
) -> str:
    alt = html.escape(alt)
    shown = (
        f'<img src="{to_data_url(picture)}" alt="{alt}">'
        if picture
        else f'<div class="empty" role="img" aria-label="{alt}"></div>'
    )
    return (
        f"<figure>{shown}<figcaption><b>{html.escape(name)}</b> · {html.escape(label)}"
        f"{error}</figcaption></figure>"
    )


def _show_error(closeness: Closeness) -> str:
    return (
        f'<span class="error-figures">{closeness.psnr_db:.1f} dB · '
        f"colours off by {closeness.l1:.1%}</span>"
    )


def describe_search(step: InversionStep) -> str:
    """Return a line about the progress of the search."""
    if step.phase == "guess":
        return f"The GAN guesses: {step.tried} random z tried, the nearest is shown"
    return (
        f"The GAN searches: step {step.step} of {step.steps} · "
        f"{step.closeness.psnr_db:.1f} dB ({100 * step.progress:.0f} %)"
    )


def describe_losses(vae: Reconstruction, gan: InversionStep) -> str:
    """Return sentences about what each of the two lost."""
    if max(vae.closeness.psnr_db, gan.closeness.psnr_db) < UNKNOWN_DB:
        return (
            "This is unlike anything that the two have practised: they know critters and nothing "
            "else, so each drew the nearest critter it could find. Colours and large shapes are "
            "all that comes through."
        )
    gap = vae.closeness.psnr_db - gan.closeness.psnr_db
    if abs(gap) < 1:
        verdict = "Both came about equally near."
    else:
        nearer, farther = ("VAE", "GAN") if gap > 0 else ("GAN", "VAE")
        verdict = f"The {nearer} came nearer than the {farther}, by {abs(gap):.1f} dB."
    return f"<b>{verdict}</b> {describe_vae(vae)} {describe_gan(gan)}"


def describe_vae(vae: Reconstruction) -> str:
    """Return a sentence about what the VAE lost."""
    closeness = vae.closeness
    if closeness.psnr_db < UNKNOWN_DB:
        return "The VAE has never practised such a picture: it drew the nearest thing it knows."
    if closeness.edges < 0.95:
        return (
            f"The VAE's edges are {1 - closeness.edges:.0%} weaker: where it is unsure what stood "
            "there, it draws the average of what might have."
        )
    return "The VAE kept the shapes and the edges: redrawing is what it practised."


def describe_gan(gan: InversionStep) -> str:
    """Return a sentence about what the GAN lost."""
    if gan.closeness.psnr_db < UNKNOWN_DB:
        return (
            "The GAN found no z that draws this: either it never learned to, or the search "
            "went into a dead end."
        )
    return (
        "The GAN never practised redrawing: it has to find a z that happens to come close, and "
        "details that it never learned to draw are replaced by ones that it did."
    )


def show_numbers(result: Reconstruction) -> str:
    """Show the encoder's mu and sigma of each number, and how many numbers it uses."""
    nats = result.kl
    used = int((nats > USED_NATS).sum())
    colours = 3 * result.original.width * result.original.height
    most = ", ".join(str(index + 1) for index in np.argsort(-nats)[:3])
    return (
        f"<p>The encoder turned {colours:,} colour values into {len(nats)} numbers. For each it "
        "says where it lies (<b>mu</b>, the bar) and how sure it is (<b>sigma</b>, the thin line: "
        f"the shorter, the surer). It <b>uses {used} of the {len(nats)}</b>, numbers {most} most; "
        "a faint bar with a line from -1 to 1 says nothing about this picture. Training charges "
        f"the VAE for each bit it uses: this picture costs {nats.sum() / math.log(2):.0f} bits.</p>"
        + show_whiskers(result.mu.tolist(), result.sigma.tolist(), nats.tolist())
    )


def show_found(step: InversionStep) -> str:
    """Show the z of the search as bars."""
    z = step.z.tolist()
    return (
        f"<p>The {len(z)} numbers of z that the GAN's search ended with, after {step.tried} random "
        f"guesses and {step.step} small steps. They need not be the VAE's: the GAN began as its "
        f"copy, but has gone its own way since. Length {length(z):.1f}; random ones have about "
        f"{len(z) ** 0.5:.0f}.</p>" + show_bars(z, f"The {len(z)} numbers of the found z")
    )


def show_whiskers(mu: Sequence[float], sigma: Sequence[float], nats: Sequence[float]) -> str:
    """Draw an SVG chart: mu as bars from 0, sigma as whiskers at their ends, and tooltips."""
    middle = CHART_HEIGHT / 2
    scale = (middle - 2) / CHART_LIMIT

    def place(value: float) -> float:
        return round(middle - scale * max(-CHART_LIMIT, min(CHART_LIMIT, value)), 1)

    bars = []
    for index, (centre, spread, amount) in enumerate(zip(mu, sigma, nats, strict=True)):
        left = BAR_WIDTH * index
        top, bottom = sorted((place(centre), place(0)))
        quiet = ' class="quiet"' if amount <= USED_NATS else ""
        bars.append(
            f"<g{quiet}><title>number {index + 1}: mu {centre:.2f}, sigma {spread:.2f}, "
            f"{amount / math.log(2):.1f} bits</title>"
            f'<rect class="field" x="{left}" y="0" width="{BAR_WIDTH}" height="{CHART_HEIGHT}"/>'
            f'<rect x="{left + 0.5}" y="{top}" width="{BAR_WIDTH - 1}" '
            f'height="{bottom - top:.1f}"/>'
            f'<line x1="{left + BAR_WIDTH / 2}" x2="{left + BAR_WIDTH / 2}" '
            f'y1="{place(centre + spread)}" y2="{place(centre - spread)}"/></g>'
        )
    width = BAR_WIDTH * len(bars)
    grid = "".join(
        f'<line class="grid" x1="0" x2="{width}" y1="{place(value)}" y2="{place(value)}"/>'
        for value in (-2, -1, 0, 1, 2)
    )
    scale_labels = "".join(
        f'<span style="top: {100 * place(value) / CHART_HEIGHT:.1f}%">{value}</span>'
        for value in (2, 0, -2)
    )
    label = f"Bars of the {len(bars)} numbers of mu, each with its sigma"
    return (
        f'<div class="whiskers"><div class="scale" aria-hidden="true">{scale_labels}</div>'
        f'<svg viewBox="0 0 {width} {CHART_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{grid}{"".join(bars)}</svg></div>'
    )


def show_sketchpad() -> str:
    """Return a pad to draw on; it is inactive until browser/sketch.js has loaded."""
    colors = "".join(
        f'<button type="button" data-color="{value}" style="background: {value}" '
        f'aria-label="{name}" title="{name}" aria-pressed="{str(name == "blue").lower()}"></button>'
        for name, value in PAINTS.items()
    )
    sizes = "".join(
        f'<button type="button" data-size="{size}" aria-pressed="{str(size == 22).lower()}">'
        f"{name}</button>"
        for name, size in {"thin": 8, "middle": 22, "thick": 56}.items()
    )
    tools = "".join(
        f'<button type="button" data-do="{name}">{label}</button>'
        for name, label in {"fill": "Fill all", "undo": "Undo", "clear": "Clear"}.items()
    )
    return (
        '<div class="sketch" inert><canvas width="320" height="320" role="img" '
        'aria-label="Pad to draw on with mouse, pen or finger"></canvas>'
        f'<div class="paints" role="group" aria-label="Colour">{colors}</div>'
        f'<div class="tools"><span role="group" aria-label="Brush">{sizes}</span>'
        f'<span role="group" aria-label="Paper">{tools}</span></div>'
        '</div><p class="sketch-failed" role="alert" hidden></p>'
    )


def show_critters(critters: Sequence[tuple[Image.Image, str]]) -> str:
    """Show pictures to choose from, as buttons."""
    buttons = "".join(
        f'<button type="button" data-index="{index}" aria-pressed="false" '
        f'title="{html.escape(title)}" aria-label="{html.escape(title)}">'
        f'<img src="{to_data_url(picture)}" alt=""></button>'
        for index, (picture, title) in enumerate(critters)
    )
    return f'<div class="critters" role="group" aria-label="Real critters">{buttons}</div>'
