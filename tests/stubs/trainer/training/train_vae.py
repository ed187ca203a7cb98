"""The reports of a VAE's training, without any training."""

from __future__ import annotations

import json
import threading
from itertools import count
from pathlib import Path
from typing import Any

STEP_SECONDS = 0.2
PNG = bytes.fromhex(  # one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff"
    "3f0005fe02fe0def46b80000000049454e44ae426082"
)


def train(live: Path, closed: threading.Event) -> None:
    """Report into ``live`` a picture every ``STEP_SECONDS`` until ``closed`` is set."""

    def write(kind: str, **fields: Any) -> None:
        if name := fields.get("picture"):
            (live / name).write_bytes(PNG)
        with (live / "reports.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **fields}) + "\n")

    write("data", done=80, total=80, count=60)
    write("reference", picture="reference.png", scores={"psnr_db": 33.0})
    for step in count():
        losses = {"mse": 1 / step, "kl": float(step)} if step else {}
        minutes = step * STEP_SECONDS / 60
        write("sample", picture=f"{step}.png", step=step, minutes=minutes, losses=losses)
        if closed.wait(STEP_SECONDS):
            return
