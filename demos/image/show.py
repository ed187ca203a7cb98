"""How pictures, prompts and films look on the page. No Gradio here."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from demos.image.generate import ImageStep, Word
from shared.catalog import ModelSpec
from shared.data_urls import make_data_url, to_data_url
from shared.recipe_files import save_png

# Small pictures are enlarged by a whole number to at least this many pixels a side.
SHOWN_SIDE = 640


def enlarge(picture: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
    """Make a small picture large without blurring its pixels; a large one stays as it is."""
    factor = -(-side // max(picture.size)) if max(picture.size) < side // 2 else 1
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def show_pictures(
    pictures: Sequence[Image.Image],
    seeds: Sequence[int],
    recipes: Sequence[Mapping[str, Any]] = (),
    alt: str = "",
    names: Sequence[str] = (),
) -> str:
    """Hang the pictures: one large, or several in a grid.

    Args:
        pictures: Finished or not.
        seeds: One for each.
        recipes: Of finished pictures, one for each: with them come downloads that contain them.
        alt: What they should show.
        names: Of the files, if there are recipes, one for each.
    """
    figures = []
    for index, (picture, seed) in enumerate(zip(pictures, seeds, strict=False)):
        small = "small" if max(picture.size) < SHOWN_SIDE // 2 else ""
        caption = ""
        if recipes:
            file = io.BytesIO()
            save_png(picture, file, recipes[index])
            url = make_data_url(file.getvalue(), "image/png")
            caption = f'<a href="{url}" download="{names[index]}">Save PNG</a>'
            if len(pictures) > 1:
                caption = f"seed {seed} · {caption}"
        else:
            url = to_data_url(picture)
        figures.append(
            f'<figure><img class="{small}" src="{url}" alt="{html.escape(alt)}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    columns = 1 if len(figures) == 1 else 2 if len(figures) in (2, 4) else 3
    return f'<div class="pictures columns-{columns}">{"".join(figures)}</div>'


def show_caption(spec: ModelSpec, step: ImageStep, seeds: Sequence[int], left: str = "") -> str:
    """One line: the model, how far it is, the seed, and what it could not read.

    ``left`` says how long it will take.
    """
    steps = "1 step" if step.total == 1 else f"{step.total} steps"
    done = steps if step.images else f"step {step.index} of {step.total}"
    seed = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    parts = [f"<b>{html.escape(spec.title)}</b>", done, seed]
    # Models with a vocabulary of the whole web spell rare words out and still know them.
    read = [word for word in step.words if word.is_read]
    strange = [word.text for word in read if word.pieces > 1 and word.text.isalpha()]
    if spec.bundled and strange:
        parts.append(f"Not in its vocabulary: {html.escape(', '.join(dict.fromkeys(strange)))}")
    if unread := [word.text for word in step.words if not word.is_read]:
        parts.append(f"Too long: not read from “{html.escape(unread[0])}” on")
    if any(step.withheld):
        parts.append("A safety checker withheld what is black")
    return " · ".join(parts) + (f'<span class="left"> · {left}</span>' if left else "")


def show_words(words: Sequence[Word]) -> str:
    """The prompt's words as boxes."""
    kinds = {(True, True): "", (True, False): "strange", (False, True): "unread"}
    return " ".join(
        f'<span class="{kinds.get((word.is_read, word.pieces == 1), "unread")}">'
        f"{html.escape(word.text)}</span>"
        for word in words
    )


def name_file(spec: ModelSpec, seed: int, kind: str = "") -> str:
    """Name a file to keep, without its ending, such as ``critters-comparison-seed-7``.

    The title says which model it was: keys of models that visitors trained are theirs alone.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")
    return "-".join(filter(None, (slug, kind, "seed", str(seed))))
