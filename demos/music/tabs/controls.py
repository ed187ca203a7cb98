"""The controls of a tune, and the description that sets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from demos.music.generate import NONE, MusicRequest
from demos.music.presets import EXAMPLE, PRESETS
from demos.music.show import show_understood
from demos.music.words import parse_description
from shared.errors import InvalidRequest
from shared.tunes.controls import (
    ANY,
    INSTRUMENTS,
    KEY_LABELS,
    KEY_NAMES,
    METERS,
    MODES,
    STYLE_NAMES,
    STYLES,
)
from shared.ui.controls import SeedControl, create_slider
from shared.ui.events import QUICK
from shared.ui.layout import CAPTION

# Request fields that the description can set, and their names in the list of the visitor's own.
FIELDS = {
    "style": "style", "mode": "mode", "instrument": "melody", "accompaniment": "accompaniment",
    "key": "key", "meter": "meter", "tempo": "tempo", "duration": "length", "bars": "bars",
    "loop": "loop",
}  # fmt: skip


@dataclass(frozen=True)
class TuneControl:
    """The description, and the controls that it sets unless the visitor has set them.

    Attributes:
        description: Plain words.
        fields: A component for each of ``FIELDS``.
        temperature: Sampling temperature.
        top_p: For nucleus sampling.
        seed: The seed.
        own: State with the names of the fields that the visitor has set.
        understood: Shows what was understood of the description.
    """

    description: gr.Textbox
    fields: dict[str, Any]
    temperature: gr.Slider
    top_p: gr.Slider
    seed: SeedControl
    own: gr.State
    understood: gr.HTML

    @classmethod
    def create(cls, between: Callable[[], Any]) -> tuple[TuneControl, Any]:
        """Add them to the current column; ``between`` adds components after the description.

        Returns:
            The controls, and what ``between`` returned.
        """
        start = MusicRequest.parse(description=EXAMPLE, seed=0)
        preset = gr.Dropdown(
            list(PRESETS), value="A tune", label="Start from", elem_classes="presets"
        )
        description = gr.Textbox(
            EXAMPLE,
            label="Describe a tune",
            info="Style, mood, key, tempo, instruments, length; or leave it empty",
            lines=2,
            max_length=500,
        )
        understood = gr.HTML(show_understood(parse_description(EXAMPLE)), **CAPTION)
        added = between()
        with gr.Row(elem_classes="pairs"):
            style = _choice("style", start, [(STYLE_NAMES.get(s, s), s) for s in (ANY, *STYLES)])
            mode = _choice("mode", start, [ANY, *MODES])
        with gr.Row(elem_classes="pairs"):
            instrument = _choice("instrument", start, list(INSTRUMENTS), label="Melody")
            accompaniment = _choice(
                "accompaniment", start, [NONE, *INSTRUMENTS], label="Accompaniment"
            )
        with gr.Row(elem_classes="pairs"):
            key = _choice("key", start, [(KEY_LABELS.get(k, k), k) for k in KEY_NAMES])
            meter = _choice("meter", start, [ANY, *METERS])
        tempo = create_slider(
            MusicRequest, "tempo", step=1, value=start.tempo, label="Tempo: quarter notes a minute"
        )
        duration = create_slider(MusicRequest, "duration", step=1, label="Length in seconds")
        with gr.Accordion("More settings", open=False):
            bars = create_slider(
                MusicRequest, "bars", step=1, label="Length in bars", info="0: as many as the time"
            )
            loop = gr.Checkbox(
                False, label="Seamless loop", info="The end leads back into the beginning"
            )
            temperature = create_slider(
                MusicRequest,
                "temperature",
                step=0.05,
                info="Low stays with likely notes, high takes risks",
            )
            top_p = create_slider(
                MusicRequest,
                "top_p",
                step=0.01,
                info="Choose among the likeliest tokens that together have this probability",
            )
        fields = dict(
            zip(
                FIELDS,
                (style, mode, instrument, accompaniment, key, meter, tempo, duration, bars, loop),
                strict=True,
            )
        )
        follow = gr.Button("Let the words set everything again", size="sm")
        own = gr.State(())
        control = cls(
            description, fields, temperature, top_p, SeedControl.create(), own, understood
        )
        control._wire(preset, follow)
        return control, added

    def _wire(self, preset: gr.Dropdown, follow: gr.Button) -> None:
        said = [self.description, self.own, *self.fields.values()]
        shown = [self.understood, *self.fields.values()]
        for name, field in self.fields.items():
            # Tabbing through a dropdown fires input although nothing was chosen.
            chosen = field.select if isinstance(field, gr.Dropdown) else field.input
            chosen(partial(_choose, name), said, [self.own, *shown], **QUICK)
        self.description.change(_follow, said, shown, **QUICK)
        self.fields["bars"].change(
            _say_what_decides, self.fields["bars"], self.fields["duration"], **QUICK
        )
        preset.select(
            lambda title: (PRESETS[title], ()), preset, [self.description, self.own], **QUICK
        ).then(_follow, said, shown, **QUICK)
        follow.click(lambda: (), None, self.own, **QUICK).then(_follow, said, shown, **QUICK)

    @property
    def inputs(self) -> list[Any]:
        """All components as inputs of an event, for ``read``."""
        numbers = [self.temperature, self.top_p, self.seed.seed]
        return [self.description, self.own, *numbers, *self.fields.values()]

    @staticmethod
    def read(
        description: str, own: Sequence[str], temperature: Any, top_p: Any, seed: Any, *fields: Any
    ) -> dict[str, Any]:
        """Return the ``MusicRequest`` fields that the visitor has set, from ``inputs``."""
        chosen = dict(zip(FIELDS, fields, strict=True))
        return {
            "description": description,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            **{name: chosen[name] for name in own},
        }

    @property
    def shown(self) -> list[Any]:
        """The components that ``show`` sets, as outputs of an event."""
        bold = [self.temperature, self.top_p]
        return [self.description, self.own, self.understood, *bold, *self.fields.values()]

    def show(self, request: MusicRequest) -> dict[Any, Any]:
        """Set all to ``request``; fields that differ from its description become ``own``."""
        words = MusicRequest.parse(description=request.description, seed=0)
        own = tuple(n for n in self.fields if getattr(request, n) != getattr(words, n))
        said = parse_description(request.description)
        return {
            **{field: getattr(request, name) for name, field in self.fields.items()},
            self.description: request.description,
            self.own: own,
            self.understood: show_understood(said, [FIELDS[name] for name in own]),
            self.temperature: request.temperature,
            self.top_p: request.top_p,
        }


def _choice(name: str, start: MusicRequest, choices: Sequence[Any], label: str = "") -> gr.Dropdown:
    return gr.Dropdown(
        choices,
        value=getattr(start, name),
        label=label or name.capitalize(),
        min_width=120,
        filterable=len(choices) > 12,
    )


def _say_what_decides(bars: float) -> dict[str, Any]:
    """Note on the duration slider that it is not used while a number of bars is set."""
    plural = "" if bars == 1 else "s"
    info = f"Left aside: {bars:.0f} bar{plural} are asked for, see More settings" if bars else ""
    return gr.update(info=info)


def _follow(description: str, own: Sequence[str], *fields: Any) -> list[Any]:
    """Set the fields that are not the visitor's own from the description."""
    chosen = dict(zip(FIELDS, fields, strict=True))
    try:
        request = MusicRequest.parse(
            description=description[:500], seed=0, **{name: chosen[name] for name in own}
        )
    except InvalidRequest:  # an empty field; the error is shown when the button is pressed
        return [gr.skip()] * (1 + len(fields))
    said = show_understood(parse_description(description), [FIELDS[name] for name in own])
    return [said, *(gr.skip() if n in own else getattr(request, n) for n in FIELDS)]


def _choose(name: str, description: str, own: tuple[str, ...], *fields: Any) -> list[Any]:
    """Mark a field as the visitor's own, and update the fields that depend on it."""
    own = (*own, *([name] if name not in own else []))
    return [own, *_follow(description, own, *fields)]
