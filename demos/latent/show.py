"""How the latent-space room's results look, as HTML. No Gradio and no torch here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from demos.latent.generate import Pair, Reconstruction

FRAME_MS = 90
VAE_LABEL = "<b>VAE</b> · taught to redraw: safe, mixes what it is unsure of"
GAN_LABEL = "<b>GAN</b> · taught to fool a critic: bold, sometimes odd"


def length(z: Sequence[float]) -> float:
    """Euclidean length; about 8 for 64 numbers from N(0, 1)."""
    return sum(number**2 for number in z) ** 0.5


def encode_image(image: Image.Image) -> str:
    """A PNG as a data URL: nothing is written to disk while a slider moves."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def show_two(*figures: tuple[str, str, str]) -> str:
    """Two pictures side by side; each is its address, its description and its label in HTML."""
    return '<div class="pair">{}</div>'.format(
        "".join(
            f'<figure><img src="{source}" alt="{html.escape(text)}">'
            f"<figcaption>{label}</figcaption></figure>"
            for source, text, label in figures
        )
    )


def show_pair(pair: Pair, where: str) -> str:
    """Both models' pictures of one z."""
    return show_two(
        (encode_image(pair.vae), f"Picture by the VAE, {where}", VAE_LABEL),
        (encode_image(pair.gan), f"Picture by the GAN, {where}", GAN_LABEL),
    )


def make_gif(pairs: Sequence[Pair], comment: str) -> bytes:
    """An endless animation of both models side by side, resting at both ends."""
    frames = []
    for pair in pairs:
        frame = Image.new("RGB", (pair.vae.width + pair.gan.width, pair.vae.height))
        frame.paste(pair.vae, (0, 0))
        frame.paste(pair.gan, (pair.vae.width, 0))
        frames.append(frame)
    durations = [FRAME_MS] * len(frames)
    durations[0] = durations[-1] = 8 * FRAME_MS
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        comment=comment,
    )
    return buffer.getvalue()


def show_film(gif: bytes, way: str) -> str:
    """The two halves of one animation: a browser keeps them in step, since it is one address."""
    source = "data:image/gif;base64," + base64.b64encode(gif).decode()
    return show_two(
        (source, f"{way}, by the VAE", VAE_LABEL), (source, f"{way}, by the GAN", GAN_LABEL)
    ).replace('class="pair"', 'class="pair film"')


def offer_gif(gif: bytes) -> str:
    """A link that saves the animation."""
    source = "data:image/gif;base64," + base64.b64encode(gif).decode()
    return (
        f'<a download="latent-walk.gif" href="{source}">'
        f"Save this walk as an animated GIF ({len(gif) / 1e3:,.0f} kB)</a>"
    )


def show_reconstruction(result: Reconstruction) -> str:
    """The picture that was given beside what came back."""
    size = f"{result.original.width} × {result.original.height}"
    return show_two(
        (encode_image(result.original), "Your picture", f"<b>Your picture</b> · at {size} pixels"),
        (
            encode_image(result.picture),
            "The VAE's reconstruction",
            f"<b>VAE</b> · redrawn from {len(result.mu)} numbers",
        ),
    )


def describe(result: Reconstruction) -> str:
    """Say in plain words what was lost."""
    if result.psnr_db < 17:
        lost = "It is unlike anything the VAE has practised: it drew the nearest thing it knows."
    elif result.edges < 0.95:
        lost = (
            f"Its edges are {1 - result.edges:.0%} weaker: where the VAE is unsure what stood "
            "there, it draws the average of what might have."
        )
    else:
        lost = "The large shapes came through, and so did the edges."
    return (
        f"<b>Colours are off by {result.l1:.1%} on average</b> (PSNR {result.psnr_db:.1f} dB). "
        + lost
    )


def show_bars(values: Sequence[float], label: str) -> str:
    """Numbers as bars above and below a line that stands for 0; bars end at 3 and -3."""
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


def show_z(z: Sequence[float], parameters: dict[str, int]) -> str:
    """The latent vector as bars, and the size of both networks."""
    return (
        f"<p>The {len(z)} numbers of z that both networks were given. A bar up is positive, down "
        f"negative; most lie between -2 and 2. Together they have the length {length(z):.1f}.</p>"
        + show_bars(z, f"The {len(z)} numbers of z as bars")
        + f"<p>Weights in the VAE's decoder: <b>{parameters['vae']:,}</b>. Weights in the GAN's "
        f"generator: <b>{parameters['gan']:,}</b>. It is the same design, trained twice.</p>"
    )


def show_mu(result: Reconstruction) -> str:
    """Where the encoder put the picture, as bars."""
    used = int((result.logvar < -1.4).sum())  # a spread under half of the prior's
    colours = 3 * result.original.width * result.original.height
    return (
        f"<p>The encoder turned {colours:,} colour values into these {len(result.mu)} numbers "
        f"(mu), and is fairly sure of {used} of them. The rest say little: training charges the "
        "VAE for each number it uses.</p>"
        + show_bars(result.mu.tolist(), f"The {len(result.mu)} numbers of mu as bars")
    )
