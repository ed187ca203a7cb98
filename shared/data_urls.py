"""Pictures and other small files as data URLs, which leave nothing on disk."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def to_data_url(picture: Image.Image, format: str = "PNG", **options: Any) -> str:
    """Encode a picture as a data URL.

    Args:
        picture: In a mode that the format supports.
        format: Pillow's name of the format; in lower case, the media type's.
        options: For ``picture.save``; by default PNG is compressed fast, not small.
    """
    if format == "PNG":
        options = {"compress_level": 1} | options
    file = io.BytesIO()
    picture.save(file, format, **options)
    return make_data_url(file.getvalue(), f"image/{format.lower()}")


def make_data_url(data: bytes, media_type: str) -> str:
    """Encode the contents of a file as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
