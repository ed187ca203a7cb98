"""Files that the page hands out."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from shared import temporary_files


def new_file(name: str) -> Path:
    """Return the path of a file to write, where Gradio serves and clears its files."""
    return temporary_files.new_file(Path(get_upload_folder()), name)


def offer_download(label: str, path: Path) -> gr.DownloadButton:
    """A button that hands out a file and says how large it is."""
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size > 5e5 else f"{size / 1e3:.0f} kB"
    return gr.DownloadButton(f"{label} ({shown})", value=str(path), interactive=True)
