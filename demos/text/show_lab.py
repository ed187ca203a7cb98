"""What the page shows of the next token, see browser/lab.js. No Gradio here.

The page is given all logits, likeliest first, so that the controls need nobody:

    {"text": "...", "made": 2, "logits": float32 in base64, "tokens": [[id, label], ...],
     "limits": {"temperature": [least, greatest, usual], ...}, "note": "..."}
"""

from __future__ import annotations

from typing import Any

from demos.text.lab import LabRequest, Prediction
from demos.text.payload import pack

CONTROLS = ("temperature", "top_k", "top_p", "min_p")


def show_prediction(look: Prediction) -> dict[str, Any]:
    """Turn a look into what the page draws."""
    ids = look.order[: len(look.labels)].tolist()
    return {
        "text": look.text,
        "made": len(look.made),
        "logits": pack(look.logits[look.order].astype("float32")),
        "tokens": [list(token) for token in zip(ids, look.labels, strict=True)],
        "limits": {name: LabRequest.limits(name) for name in CONTROLS},
        "note": describe_step(look),
    }


def describe_step(look: Prediction) -> str:
    """Say what was added, and what was not read."""
    said = []
    if look.added:
        label, probability = look.added
        if look.ended:
            said.append(f"{label} came: the model holds the text for complete.")
        else:
            said.append(f"{label} was added. The model had given it {probability:.1%}.")
    if look.unread:
        tokens = "token is" if look.unread == 1 else f"{look.unread:,} tokens are"
        said.append(f"The text is longer than what the model can read: the first {tokens} unread.")
    return " ".join(said)
