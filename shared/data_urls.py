"""Pictures and other small files as data URLs: part of the page, and nothing is left on disk."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def to_data_url(picture: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """Pack a picture into a data URL.

    Args:
        picture: Of a mode that the format knows.
        kind: Pillow's name of the format, which in lower case is that of the media type.
        options: For ``picture.save``; PNG is packed fast, not small, by default.
    """
    if kind == "PNG":
        options = {"compress_level": 1} | options
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return make_data_url(file.getvalue(), f"image/{kind.lower()}")


def make_data_url(data: bytes, media_type: str) -> str:
    """Pack a whole file, such as an ``image/png``, into a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
