"""Files for download."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from shared import temporary_files


def new_file(name: str) -> Path:
    """Return the path of a new file that Gradio can serve."""
    return temporary_files.new_file(Path(get_upload_folder()), name)


def offer_download(label: str, path: Path) -> gr.DownloadButton:
    """Create a download button whose label has the size of the file."""
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size > 5e5 else f"{size / 1e3:.0f} kB"
    return gr.DownloadButton(f"{label} ({shown})", value=str(path), interactive=True)
