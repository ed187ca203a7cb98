"""How figures travel to the scripts of the page. No Gradio here."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np


def to_payload(data: dict[str, Any]) -> str:
    """Write ``data`` as JSON that is safe anywhere in a page: no ``<`` is left in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def pack(numbers: np.ndarray) -> str:
    """Return the bytes of an array in base64, little-endian; its type is kept."""
    return base64.b64encode(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()).decode()
