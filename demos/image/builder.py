"""The prompt helper: a monster put together by clicking, and the sentence that it makes.

The words are those of the captions that the bundled model learned from. No Gradio and no torch.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from training.captions import ADJECTIVES, FEATURES
from training.critter_colors import ACCENTS, BACKGROUNDS, COLORS

# What can be chosen, in the order in which the page shows it -> its heading there.
PARTS: dict[str, str] = {
    "body": "Body",
    "color": "Colour",
    "eyes": "Eyes",
    "mouth": "Mouth",
    "top": "On top",
    "accent": "Its colour",
    "background": "Background",
}
SWATCHES: dict[str, str] = {**COLORS, **ACCENTS, **BACKGROUNDS}


def list_values(part: str) -> tuple[str, ...]:
    """Return what can be chosen for ``part`` of ``PARTS``."""
    return tuple((ADJECTIVES.get(part) or FEATURES[part]).keys())


def write_prompt(choice: Mapping[str, str]) -> str:
    """Put what was chosen, part -> value, into a sentence; unknown parts and values are left out.

    The colour of what is on top needs something on top.
    """
    known = {part: str(value) for part, value in choice.items() if part in PARTS}
    known = {part: value for part, value in known.items() if value in list_values(part)}
    words = ["a", *(_say(part, known) for part in ("color", "body") if part in known), "monster"]
    features = [_say(part, known) for part in ("eyes", "mouth", "top") if part in known]
    sentence = " ".join(words)
    if features:
        *head, last = features
        sentence += " with " + (f"{', '.join(head)} and {last}" if head else last)
    if "background" in known:
        sentence += f" on a {_say('background', known)} background"
    return re.sub(r"\ba (?=[aeiou])(?!one)", "an ", sentence)


def _say(part: str, choice: Mapping[str, str]) -> str:
    value = choice[part]
    if part in ADJECTIVES:
        return ADJECTIVES[part][value][0]
    color = _say("accent", choice) if "accent" in choice else ""
    return " ".join(FEATURES[part][value][0].format(color).split())


@dataclass(frozen=True)
class Built:
    """What the helper wrote last.

    Attributes:
        own: The visitor's own words, which stand before it.
        prompt: All that it left in the field.
        choice: What it was made of, part -> value.
    """

    own: str = ""
    prompt: str = ""
    choice: Mapping[str, str] = field(default_factory=dict)

    def build(self, prompt: str, choice: Mapping[str, str], clicked: Mapping[str, str]) -> Built:
        """Put what was chosen into ``prompt``.

        Where the visitor has written something new, that stays, and only what was ``clicked`` is
        added to it.
        """
        if not prompt.strip():
            own = ""
        elif prompt == self.prompt:
            own = self.own
        else:
            own, choice = prompt.strip().rstrip(","), clicked
        sentence = write_prompt(choice) if set(choice) - {"accent"} or not own else ""
        return Built(own, ", ".join(filter(None, (own, sentence))), choice)


def show_builder(choice: Mapping[str, str] = MappingProxyType({})) -> str:
    """The buttons, those of ``choice`` pressed: a row for each part, a swatch for each colour."""
    return "".join(
        f'<div class="part" role="group" aria-label="{label}"><b>{label}</b>'
        + "".join(
            _show_button(part, value, value == choice.get(part)) for value in list_values(part)
        )
        + "</div>"
        for part, label in PARTS.items()
    )


def _show_button(part: str, value: str, is_pressed: bool) -> str:
    name = html.escape(value)
    swatch = SWATCHES.get(value) if part in ("color", "accent", "background") else None
    shown = f'<i style="background:{swatch}"></i>' if swatch else name
    label = f' aria-label="{name}" title="{name}"' if swatch else ""
    return (
        f'<button type="button" data-part="{part}" data-value="{name}" '
        f'aria-pressed="{str(is_pressed).lower()}"{label}>'
        f"{shown}</button>"
    )


# Runs in the page: each row has at most one button pressed, and a second press lets go of it.
# Clicks that come fast are told together, so that no answer overtakes another.
BEHAVIOUR = """
let clicked = {};
let waiting = 0;
const tell = () => {
  const choice = {};
  for (const one of element.querySelectorAll('[aria-pressed="true"]'))
    choice[one.dataset.part] = one.dataset.value;
  trigger("select", { choice, clicked });
  clicked = {};
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-part]");
  if (!button) return;
  const { part, value } = button.dataset;
  const pressed = button.getAttribute("aria-pressed") === "true";
  for (const other of element.querySelectorAll(`[data-part="${part}"]`))
    other.setAttribute("aria-pressed", String(other === button && !pressed));
  if (pressed) delete clicked[part];
  else clicked[part] = value;
  clearTimeout(waiting);
  waiting = setTimeout(tell, 150);
});
"""
