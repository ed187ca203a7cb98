"""HTML for the MusicGen tab: models, recordings and progress. No Gradio here."""

from __future__ import annotations

import html

from demos.music.musicgen import MusicGenRequest, MusicGenStep
from demos.music.show_codebooks import show_pattern
from shared.catalog import ModelSpec
from shared.musicgen import with_audiocraft
from shared.settings import Settings
from shared.sounds import Recording
from shared.sources import ByHand, Folder


def show_engine(settings: Settings, spec: ModelSpec) -> str:
    """Return what the model is, its library, its licence, and the memory that it needs."""
    lines = [
        html.escape(spec.summary),
        f"Runs with <b>{name_library(settings, spec)}</b> · weights {html.escape(spec.licence)}"
        + (": not for commercial use" if "NC" in spec.licence else ""),
        show_place(settings, spec),
    ]
    return "<br>".join(lines)


def name_library(settings: Settings, spec: ModelSpec) -> str:
    """Return the library: audiocraft if it is installed and the files suit it."""
    source = spec.pick(settings)
    made_for_it = not isinstance(source, Folder) or with_audiocraft.suits(source.path)
    return "audiocraft" if made_for_it and with_audiocraft.is_available() else "transformers"


def show_place(settings: Settings, spec: ModelSpec) -> str:
    """Return whether the weights are on this computer, and how to get them if not."""
    memory = f"{spec.bytes / 1e9:.1f} GB of memory"
    if spec.is_here(settings):
        return f"On this computer; takes {memory}."
    if isinstance(source := spec.pick(settings), ByHand):
        return f"Not on this computer. {html.escape(source.remedy)} It takes {memory}."
    size = f"{spec.download_bytes / 1e9:.1f} GB"
    if settings.offline:
        return (
            f"Not on this computer, and this gallery stays offline: a download of {size} that its "
            "operator can make."
        )
    return (
        f"Not on this computer yet: a download of {size}, once, when you press Make music. It "
        f"takes {memory}."
    )


def show_empty(settings: Settings, spec: ModelSpec) -> str:
    """Return what is shown before the first music is made."""
    here = spec.is_here(settings)
    title = "Nothing has been played yet" if here else "This one has to be fetched first"
    text = (
        "Press Make music: the tokens appear here as the model draws them, and then their sound."
        if here
        else f"{show_place(settings, spec)} The other tabs and rooms work without it."
    )
    return (
        f'<div class="unplayed"><h3>{title}</h3><p>{text}</p>'
        "<p>How it will write: four codebooks, each a step behind the one above. Fifty frames make "
        f"a second.</p>{show_pattern()}</div>"
    )


def show_caption(spec: ModelSpec, step: MusicGenStep, request: MusicGenRequest) -> str:
    """Return the caption: model, library, progress, remaining time and seed."""
    said = f"<b>{html.escape(spec.title)}</b> · {step.engine} · "
    if step.codes.shape[1] < step.total:
        said += f"{step.seconds:.1f} of {step.duration:.0f} seconds"
        said += f'<span class="left"> · {show_left(step.left)}</span>'
    else:
        said += f"{step.duration:.0f} seconds"
    if step.given:
        said += f" after {step.given / step.layout.frame_rate:.0f} of your recording"
    return f"{said} · seed {request.seed}"


def show_left(seconds: float) -> str:
    """Return the remaining time in words."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"


def show_recording(recording: Recording) -> str:
    """Return length, channels and sample rate of a visitor's recording."""
    channels, sound = recording.sound.samples.shape[0], recording.sound
    kind = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    said = f"Your recording: {show_length(recording.seconds)}, {kind}, {sound.rate / 1000:g} kHz."
    if recording.cut:
        said += f" Only {sound.seconds:.0f} seconds of it are used."
    return said


def show_length(seconds: float) -> str:
    """Return a length in words."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def show_problem(problem: Exception) -> str:
    """Return the error message for a recording, shown beside the upload button."""
    return f'<span class="failed" role="alert">{html.escape(str(problem))}</span>'
