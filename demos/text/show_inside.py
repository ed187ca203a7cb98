"""What the page shows of a model's inside, see browser/inside.js. No Gradio here.

The page is given all of it at once, so that choosing a token or a layer needs nobody:

    {"pieces": [[text, label, id], ...], "total": 140, "layers": L, "heads": H,
     "attention": base64 of (L, H, T * (T + 1) / 2) bytes, 255 being all of a head's attention;
         the triangle's rows one after the other, each up to its own token,
     "lens": [[[[id, probability], ...], ...], ...] by layer, from the embedding, and token,
     "labels": {id: name}}
"""

from __future__ import annotations

from typing import Any

import numpy as np

from demos.text.inside import Inside
from demos.text.payload import pack
from demos.text.tokens import count_tokens


def show_inside(inside: Inside) -> dict[str, Any]:
    """Turn what was seen into what the page draws."""
    layers, heads, length, _ = inside.attention.shape
    rows, columns = np.tril_indices(length)
    triangle = np.rint(255 * inside.attention[:, :, rows, columns]).astype(np.uint8)
    lens = [
        [
            [[id_, round(share, 6)] for id_, share in zip(ids, shares, strict=True)]
            for ids, shares in zip(*layer, strict=True)
        ]
        for layer in zip(inside.lens_ids.tolist(), inside.lens_probabilities.tolist(), strict=True)
    ]
    return {
        "pieces": [[piece.text, piece.label, piece.id] for piece in inside.pieces],
        "total": inside.total,
        "layers": layers,
        "heads": heads,
        "attention": pack(triangle),
        "lens": lens,
        "labels": {str(id_): label for id_, label in inside.labels.items()},
    }


def describe_reading(inside: Inside, text: str) -> str:
    """Say how a text was cut, and what of it was left out."""
    per_token = len(text) / max(1, inside.total)
    said = f"{count_tokens(inside.total)}, {per_token:.1f} characters each on average"
    if inside.total > len(inside.pieces):
        said += f" · only the first {len(inside.pieces)} are shown"
    return said
