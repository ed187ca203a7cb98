"""Reads visitors' pictures safely: limited memory, known formats, no metadata."""

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
MAX_PIXELS = 50_000_000  # of the largest cameras; four bytes each while decoding
# Decoders of these formats need up to sixteen bytes per pixel, or Pillow makes a second copy.
MAX_PIXELS_OF = dict.fromkeys(("WEBP", "AVIF", "TIFF"), 16_000_000)
MAX_RESULT_PIXELS = 4_000_000  # more than any model here uses
BAND_PIXELS = 1_000_000  # converted at a time
LONGEST_DRAWING = 2_000_000  # characters of a data URL; enough for any 512 x 512 picture
# What browsers show and cameras write. Pillow reads many more formats, some by starting other
# programs such as Ghostscript, which is not safe with a stranger's file.
FORMATS = {"PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF"}
USABLE = "Try a PNG, JPEG, WebP or GIF file."
_TOO_LARGE = (
    f"This picture is too large: it has more than {MAX_PIXELS / 1e6:.0f} million pixels. "
    "Make it smaller first."
)


_decoding = threading.Lock()  # large pictures are decoded one at a time


def read_picture(path: str | Path | io.BytesIO) -> Image.Image:
    """Open a visitor's picture as RGB: upright, on white, and of an animation the first frame.

    A picture of more than ``MAX_RESULT_PIXELS`` is reduced by an integer factor. Only pixels are
    kept: no EXIF (which may hold places and names), no colour profile, no text.

    Raises:
        InvalidRequest: No picture, damaged, too small, or of more pixels than ``MAX_PIXELS`` or
            ``MAX_PIXELS_OF`` its format, which is checked before decoding.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            _check_size(image)
            is_large = image.width * image.height > MAX_RESULT_PIXELS
            with _decoding if is_large else contextlib.nullcontext():
                return _decode(image)
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
    if pixels > MAX_PIXELS:
        raise InvalidRequest(_TOO_LARGE)
    most = MAX_PIXELS_OF.get(image.format or "", MAX_PIXELS)
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


def _decode(image: Image.Image) -> Image.Image:
    """Decode and convert a picture of which only the header has been read.

    Pixels are converted in bands, so that there is never a second full copy.
    """
    factor = _find_factor(image)
    if factor > 1:  # the JPEG decoder can scale by 2, 4 or 8
        image.draft(None, (image.width // factor, image.height // factor))
    image.load()
    factor = _find_factor(image)
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    rows = factor * max(1, BAND_PIXELS // (factor * image.width))
    white = max(map(_find_white, _cut(image, rows)))
    for number, band in enumerate(_cut(image, rows)):
        small.paste(to_rgb(band, white).reduce(factor), (0, number * rows // factor))
    small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation)
    ImageOps.exif_transpose(small, in_place=True)
    return Image.frombytes("RGB", small.size, small.tobytes())  # a copy without metadata


def _find_factor(image: Image.Image) -> int:
    return math.ceil(math.sqrt(image.width * image.height / MAX_RESULT_PIXELS))


def _cut(image: Image.Image, rows: int) -> Iterator[Image.Image]:
    """Yield bands of ``rows`` rows, from top to bottom."""
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def read_data_url(url: str) -> Image.Image:
    """Read a drawing that the page sent as a PNG data URL, as RGB on white.

    Raises:
        InvalidRequest: It is not a PNG data URL, or not a valid picture.
    """
    head, _, data = str(url)[:LONGEST_DRAWING].partition(",")
    try:
        if head != "data:image/png;base64":
            raise ValueError(head)
        file = io.BytesIO(base64.b64decode(data, validate=True))
    except ValueError:  # binascii.Error is one, too
        raise InvalidRequest("This drawing cannot be read. Clear the pad and try again.") from None
    return read_picture(file)


def to_rgb(image: Image.Image, white: float) -> Image.Image:
    """Convert any mode to RGB, transparent pixels to white.

    Args:
        image: A picture or a band of one.
        white: The value of white if pixels have 16 bits or more, see ``_find_white``.
    """
    if image.mode.startswith(("I", "F")):  # convert() would clip these
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
        return Image.fromarray((values / white * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _find_white(image: Image.Image) -> float:
    """Return the value of white; for floating-point pixels the largest value, at least 1."""
    if image.mode != "F":
        return 65535.0
    return max(float(np.nan_to_num(np.asarray(image), posinf=0.0, neginf=0.0).max()), 1.0)


@cache
def _formats() -> list[str]:
    """The ``FORMATS`` that this build of Pillow supports."""
    Image.init()
    return sorted(FORMATS & Image.OPEN.keys())
