"""How a change of a picture looks on the page. No Gradio here."""

from __future__ import annotations

from PIL import Image, ImageDraw

from demos.image.generate import ImageStep
from demos.image.show import enlarge
from shared.data_urls import to_data_url

PAD_SIDE = 512  # pixels
# Those of the critters, which the bundled model knows best, and dark ones for eyes and nights.
PAINTS = {
    "blue": "#3b82f6",
    "turquoise": "#22d3ee",
    "green": "#4ade80",
    "yellow": "#fde047",
    "orange": "#fb923c",
    "peach": "#fed7aa",
    "red": "#ef4444",
    "pink": "#f9a8d4",
    "purple": "#a78bfa",
    "brown": "#a9744a",
    "grey": "#94a3b8",
    "navy": "#1e3a8a",
    "black": "#18181b",
    "white": "#ffffff",
}
HOW = """
<p>Noise is laid over your picture, the more the higher the strength. Then the model takes it away
again, step by step, as it does when it draws from nothing. What the noise has covered, it makes up
from your words; what still shines through, it keeps. So two yellow dots become eyes or horns: the
noise hides that they were mere dots, but not where they were and that they were yellow.</p>
<p>To replace a part, only what you mark is made up. After each step the rest is put back, with as
much noise on it as there is left, so that the new part grows into what is around it.</p>
"""


def show_pad() -> str:
    """A pad with the example on it, to draw or mark on; browser/pad.js makes it work."""
    canvas = f'<canvas width="{PAD_SIDE}" height="{PAD_SIDE}"'
    colors = "".join(
        f'<button type="button" data-color="{value}" style="background: {value}" '
        f'aria-label="{name}" title="{name}" aria-pressed="{str(name == "blue").lower()}"></button>'
        for name, value in PAINTS.items()
    )
    sizes = "".join(
        f'<button type="button" data-size="{size}" aria-pressed="{str(size == 40).lower()}">'
        f"{name}</button>"
        for name, size in {"thin": 14, "middle": 40, "thick": 90}.items()
    )
    return (
        f'<div class="sketch pad" inert data-start="{to_data_url(draw_blobs(PAD_SIDE))}">'
        f'<div class="pad-layers">{canvas} aria-hidden="true"></canvas>'
        f'{canvas} aria-hidden="true"></canvas>{canvas} role="img" aria-label='
        '"Pad to draw on, or to mark a part on, with mouse, pen or finger"></canvas></div>'
        '<p class="pad-hint">Paint over the part to replace.</p>'
        f'<div class="paints" role="group" aria-label="Colour">{colors}</div>'
        f'<div class="tools"><span role="group" aria-label="Brush">{sizes}</span>'
        '<span role="group" aria-label="Pad">'
        '<button type="button" data-do="erase" aria-pressed="false">Erase</button>'
        '<button type="button" data-do="undo">Undo</button>'
        '<button type="button" data-do="clear">Clear</button></span></div>'
        '</div><p class="sketch-failed" role="alert" hidden></p>'
    )


def show_two(before: Image.Image, after: Image.Image | None, words: str = "After") -> str:
    """The picture as the model saw it, and what became of it."""
    images = [("Before", before), (words, after or before)]
    return (
        '<div class="pair">'
        + "".join(
            f'<figure><img src="{to_data_url(enlarge(image))}" alt="{title}">'
            f"<figcaption><b>{title}</b></figcaption></figure>"
            for title, image in images
        )
        + "</div>"
    )


def show_way(before: Image.Image, step: ImageStep) -> str:
    """Every step from the picture to the result; a finished change only."""
    if not step.film.decoder:
        return ""
    figures = [_figure(before, "your picture")]
    for number, frame in enumerate(step.film.frames[:-1], 1):
        (preview,) = step.film.decoder.decode(frame.latents[:1])
        figures.append(_figure(preview, f"step {number}<br>{frame.noise:.0%} noise"))
    figures.append(_figure(step.pictures[0], "result"))
    return f'<div class="frames change-way">{"".join(figures)}</div>'


def draw_blobs(side: int) -> Image.Image:
    """Draw what somebody might draw in a minute: a purple blob with eyes and two yellow horns."""
    unit = side / 64
    picture = Image.new("RGB", (side, side), "#fed7aa")
    pen = ImageDraw.Draw(picture)

    def blob(left: float, top: float, right: float, bottom: float, color: str) -> None:
        pen.ellipse([value * unit for value in (left, top, right, bottom)], fill=color)

    for x in (16, 48):
        tip = 13 if x < 32 else 51
        corners = [(tip, 6), (x + 5, 24), (x - 5, 24)]
        pen.polygon([(cx * unit, cy * unit) for cx, cy in corners], fill="#fde047")
    blob(9, 16, 55, 62, "#a78bfa")
    blob(9, 34, 55, 80, "#a78bfa")
    for x in (24, 40):
        blob(x - 6, 26, x + 6, 38, "#ffffff")
        blob(x - 2.5, 29.5, x + 2.5, 34.5, "#18181b")
    pen.arc([22 * unit, 36 * unit, 42 * unit, 50 * unit], 20, 160, "#18181b", round(2.5 * unit))
    return picture


def _figure(picture: Image.Image, caption: str) -> str:
    url = to_data_url(picture.resize((80, 80), Image.Resampling.NEAREST))
    return f'<figure><img src="{url}" alt=""><figcaption>{caption}</figcaption></figure>'
