"""The prompt helper: a picture put together by clicking, and the sentence that it makes.

The words are those of the captions that the bundled model learned from. No Gradio and no torch.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from shared.critters.captions import correct_articles, join_features
from shared.critters.colors import ACCENTS, BACKGROUNDS, COLORS
from shared.critters.vocabulary import GRAMMARS


@dataclass(frozen=True)
class Kit:
    """What can be put together of one world.

    Attributes:
        title: Of the world, on the page.
        noun: What the sentence is about.
        parts: What can be chosen, in the order in which the page shows it -> its heading there.
        examples: Prompts to try.
    """

    title: str
    noun: str
    parts: Mapping[str, str]
    examples: tuple[str, ...]


KITS: dict[str, Kit] = {
    "critters": Kit(
        "Monster",
        "monster",
        {
            "body": "Body",
            "color": "Colour",
            "eyes": "Eyes",
            "mouth": "Mouth",
            "top": "On top",
            "accent": "Its colour",
            "background": "Background",
        },
        (
            "a happy blue monster with yellow horns",
            "a red square critter with three eyes on a black wall",
            "a sleepy purple creature with pink round ears",
            "an angry orange beast with white spikes and two teeth",
            "a tall green alien, peach background",
            "pink, lumpy, monster, yellow crown, smirk",
        ),
    ),
    "sprouts": Kit(
        "Potted plant",
        "pot",
        {
            "pot": "Pot",
            "color": "Colour",
            "plant": "Plant",
            "accent": "Colour of the bloom",
            "eyes": "Eyes",
            "mouth": "Mouth",
            "background": "Background",
        },
        ("a yellow square pot with a cactus and happy eyes on a sky blue background",),
    ),
}
FIRST = "critters"
SWATCHES: dict[str, str] = {**COLORS, **ACCENTS, **BACKGROUNDS}


def list_values(world: str, part: str) -> tuple[str, ...]:
    """Return what can be chosen for ``part`` of the kit of ``world``."""
    grammar = GRAMMARS[world]
    return tuple({**grammar.adjectives, **grammar.features}[part])


def ask_for(worlds: Sequence[str]) -> str:
    """The label above the prompt of a model that draws ``worlds``."""
    *others, last = (f"a {KITS[world].title.lower()}" for world in worlds)
    return f"Describe {', '.join(others)} or {last}" if others else "Describe a little monster"


def list_examples(worlds: Sequence[str]) -> list[str]:
    """Return prompts to try with a model that draws ``worlds``."""
    return [text for world in worlds for text in KITS[world].examples]


def write_prompt(choice: Mapping[str, str], world: str = FIRST) -> str:
    """Put what was chosen, part -> value, into a sentence; unknown parts and values are left out.

    The colour of what is on top, or blooms, needs something that has it.
    """
    grammar, kit = GRAMMARS[world], KITS[world]
    known = {part: str(value) for part, value in choice.items() if part in kit.parts}
    known = {part: value for part, value in known.items() if value in list_values(world, part)}

    def say(part: str) -> str:
        if part in grammar.adjectives:
            return grammar.adjectives[part][known[part]][0]
        color = say("accent") if "accent" in known else ""
        return " ".join(grammar.features[part][known[part]][0].format(color).split())

    words = ["a", *(say(part) for part in grammar.looks if part in known), kit.noun]
    features = [say(part) for part in grammar.features if part in known]
    sentence = " ".join(words)
    if features:
        sentence += f" with {join_features(features)}"
    if "background" in known:
        sentence += f" on a {say('background')} background"
    return correct_articles(sentence)


@dataclass(frozen=True)
class Built:
    """What the helper wrote last.

    Attributes:
        own: The visitor's own words, which come before it.
        prompt: All that it left in the field.
        choice: What it was made of, part -> value.
    """

    own: str = ""
    prompt: str = ""
    choice: Mapping[str, str] = field(default_factory=dict)

    def build(
        self,
        prompt: str,
        choice: Mapping[str, str],
        clicked: Mapping[str, str],
        world: str = FIRST,
    ) -> Built:
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
        sentence = write_prompt(choice, world) if set(choice) - {"accent"} or not own else ""
        return Built(own, ", ".join(filter(None, (own, sentence))), choice)


def show_builder(choice: Mapping[str, str] = MappingProxyType({}), world: str = FIRST) -> str:
    """The buttons, those of ``choice`` pressed: a row for each part, a swatch for each colour."""
    return "".join(
        f'<div class="part" role="group" aria-label="{label}"><b>{label}</b>'
        + "".join(
            _show_button(part, value, value == choice.get(part))
            for value in list_values(world, part)
        )
        + "</div>"
        for part, label in KITS[world].parts.items()
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
# Clicks in quick succession are sent together, so that no answer overtakes another.
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
