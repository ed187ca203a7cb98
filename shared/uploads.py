"""Reading a visitor's picture: whatever the file is, what comes back is harmless."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from shared.errors import InvalidRequest

SMALLEST_SIDE = 8
MOST_PIXELS = 50_000_000  # a camera's largest; four bytes each while it is unpacked
# Libraries of these formats need up to sixteen bytes a pixel, or Pillow turns a second copy.
MOST_PIXELS_OF = dict.fromkeys(("WEBP", "AVIF", "TIFF"), 16_000_000)
MOST_KEPT = 4_000_000  # pixels of what comes back; no model here sees as many
BAND_PIXELS = 1_000_000  # that are converted at once
LONGEST_DRAWING = 2_000_000  # characters of a data URL; enough for 512 x 512 pixels of anything
# What browsers show and cameras write. Pillow knows many more, for some of which it starts programs
# of their own, such as Ghostscript: nothing to do with a stranger's file.
FORMATS = {"PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF"}
USABLE = "Try a PNG, JPEG, WebP or GIF file."
_TOO_LARGE = (
    f"This picture is too large: it has more than {MOST_PIXELS / 1e6:.0f} million pixels. "
    "Make it smaller first."
)


_unpacking = threading.Lock()  # large pictures are unpacked one after the other


def read_picture(path: str | Path | io.BytesIO) -> Image.Image:
    """Open a visitor's picture as RGB: upright, on white, and of an animation the first frame.

    One of more than ``MOST_KEPT`` pixels is made smaller by a whole number. Only pixels are kept:
    no EXIF with its places and names, no colour profile, no text.

    Raises:
        InvalidRequest: No picture, damaged, too small, or of more pixels than ``MOST_PIXELS`` or
            its format's ``MOST_PIXELS_OF``, which is found out before anything is unpacked.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            _check_size(image)
            is_large = image.width * image.height > MOST_KEPT
            with _unpacking if is_large else contextlib.nullcontext():
                return _unpack(image)
    except InvalidRequest:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidRequest(_TOO_LARGE) from None
    except (UnidentifiedImageError, FileNotFoundError) as error:
        raise InvalidRequest(f"This file cannot be read as a picture. {USABLE}") from error
    except Exception as error:  # Pillow's decoders raise a dozen types for a bad file
        raise InvalidRequest(
            f"This picture cannot be read: the file is damaged or cut short. {USABLE}"
        ) from error


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise InvalidRequest(_TOO_LARGE)
    most = MOST_PIXELS_OF.get(image.format or "", MOST_PIXELS)
    if pixels > most:
        raise InvalidRequest(
            f"This picture is too large: {image.format} files of more than {most / 1e6:.0f} "
            "million pixels cannot be read. Make it smaller, or save it as JPEG or PNG."
        )
    if min(image.size) < SMALLEST_SIDE:
        raise InvalidRequest(
            f"This picture is too small: {image.width} × {image.height} pixels. "
            f"Each side needs at least {SMALLEST_SIDE}."
        )


def _unpack(image: Image.Image) -> Image.Image:
    """Unpack a picture of which only the header is read, as ``read_picture`` returns it.

    There is never a second copy of all its pixels: they are converted in bands.
    """
    factor = _find_factor(image)
    if factor > 1:  # JPEG is unpacked to a half, a quarter or an eighth at once
        image.draft(None, (image.width // factor, image.height // factor))
    image.load()
    factor = _find_factor(image)
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    rows = factor * max(1, BAND_PIXELS // (factor * image.width))
    peak = max(map(_find_peak, _cut(image, rows)))
    for number, band in enumerate(_cut(image, rows)):
        small.paste(to_rgb(band, peak).reduce(factor), (0, number * rows // factor))
    small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation)
    ImageOps.exif_transpose(small, in_place=True)
    return Image.frombytes("RGB", small.size, small.tobytes())  # a new one, without metadata


def _find_factor(image: Image.Image) -> int:
    return math.ceil(math.sqrt(image.width * image.height / MOST_KEPT))


def _cut(image: Image.Image, rows: int) -> Iterator[Image.Image]:
    """Yield bands of ``rows`` rows, from top to bottom."""
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def read_data_url(url: str) -> Image.Image:
    """Read a picture that a pad of the page sent as the data URL of a PNG: RGB, on white.

    Raises:
        InvalidRequest: It is something else.
    """
    head, _, data = str(url)[:LONGEST_DRAWING].partition(",")
    try:
        if head != "data:image/png;base64":
            raise ValueError(head)
        file = io.BytesIO(base64.b64decode(data, validate=True))
    except ValueError:  # what base64 raises is one, too
        raise InvalidRequest("This drawing cannot be read. Clear the pad and try again.") from None
    return read_picture(file)


def to_rgb(image: Image.Image, peak: float) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white.

    Args:
        image: A picture, or a part of one.
        peak: What is white where a pixel has 16 bits or more, see ``_find_peak``.
    """
    if image.mode.startswith(("I", "F")):  # which convert() would clip
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
        return Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _find_peak(image: Image.Image) -> float:
    """Return the value that is white; that of floating-point pictures depends on what is there."""
    if image.mode != "F":
        return 65535.0
    return max(float(np.nan_to_num(np.asarray(image), posinf=0.0, neginf=0.0).max()), 1.0)


@cache
def _formats() -> list[str]:
    """Those of ``FORMATS`` that this Pillow was built with."""
    Image.init()
    return sorted(FORMATS & Image.OPEN.keys())
