"""Reading a visitor's picture: whatever the file is, what comes back is harmless."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import InvalidRequest

SMALLEST_SIDE = 8
MOST_PIXELS = 50_000_000  # a camera's largest; four bytes each are more than enough for one visitor
LONGEST_DRAWING = 2_000_000  # characters of a data URL; enough for 512 x 512 pixels of anything
# What browsers show and cameras write. Pillow knows many more, for some of which it starts programs
# of their own, such as Ghostscript: nothing to do with a stranger's file.
FORMATS = {"PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF"}
USABLE = "Try a PNG, JPEG, WebP or GIF file."


def read_picture(path: str | Path | io.BytesIO) -> Image.Image:
    """Open a visitor's picture as RGB: upright, on white, and of an animation the first frame.

    Only pixels are kept: no EXIF with its places and names, no colour profile, no text.

    Raises:
        InvalidRequest: No picture, damaged, too small, or of more than ``MOST_PIXELS`` pixels,
            which is found out before anything is unpacked.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            if min(image.size) < SMALLEST_SIDE:
                raise InvalidRequest(
                    f"This picture is too small: {image.width} × {image.height} pixels. "
                    f"Each side needs at least {SMALLEST_SIDE}."
                )
            ImageOps.exif_transpose(image, in_place=True)
            return Image.fromarray(np.array(to_rgb(image)))  # a new one, without metadata
    except InvalidRequest:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidRequest(
            f"This picture is too large: it has more than {MOST_PIXELS / 1e6:.0f} million pixels. "
            "Make it smaller first."
        ) from None
    except (UnidentifiedImageError, FileNotFoundError) as error:
        raise InvalidRequest(f"This file cannot be read as a picture. {USABLE}") from error
    except Exception as error:  # Pillow's decoders raise a dozen types for a bad file
        raise InvalidRequest(
            f"This picture cannot be read: the file is damaged or cut short. {USABLE}"
        ) from error


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


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel and more, which convert() would clip
        values = np.asarray(image, dtype=np.float32)
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        peak = 65535 if image.mode.startswith("I") else max(float(values.max()), 1.0)
        return Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@cache
def _formats() -> list[str]:
    """Those of ``FORMATS`` that this Pillow was built with."""
    Image.init()
    return sorted(FORMATS & Image.OPEN.keys())
