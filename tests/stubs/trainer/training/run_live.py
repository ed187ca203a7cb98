"""In place of training/run_live.py: runs a script of this folder, which has neither torch nor data.

    python -m training.run_live FOLDER SCRIPT

in tests/stubs/trainer. It ends when its standard input closes or it is killed, as the real one.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path


def main() -> None:
    """Run the script until it ends or the host does."""
    closed = threading.Event()

    def read() -> None:
        while os.read(0, 1024):
            pass
        closed.set()

    threading.Thread(target=read, daemon=True).start()
    live = Path(sys.argv[1], "model", "live")
    live.mkdir(parents=True)
    importlib.import_module(f"training.{sys.argv[2]}").train(live, closed)


if __name__ == "__main__":
    main()
