"""The image room's page. Run it alone with ``python -m demos.image.ui``."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.image.generate import ImageRequest, ImageStep, Word, generate_image
from shared.catalog import Catalog, ModelSpec
from shared.model_cache import ModelCache
from shared.recipes import Recipe
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import (
    CAPTION,
    RunButtons,
    SeedControl,
    add_endpoint,
    choose_model,
    create_room,
    create_slider,
    in_turn,
    stop_on_exit,
    throttle,
    wake,
    wire_generation,
)
from shared.zero_gpu import on_gpu

HERE = Path(__file__).parent
EXAMPLES = [
    "a happy blue monster with yellow horns",
    "a red square critter with three eyes on a black wall",
    "a sleepy purple creature with pink round ears",
    "an angry orange beast with white spikes and two teeth",
    "a tall green alien, peach background",
    "pink, lumpy, monster, yellow crown, smirk",
]
WALL_LABEL = (
    "A diffusion model starts from pure noise and takes it away step by step, each time guessing "
    "what in front of it is noise and what could be the thing in your words. It works on a small, "
    "compressed picture, the latents, which a decoder turns into pixels. Nothing is looked up."
)
# Small pictures are enlarged by a whole number to at least this many pixels a side.
SHOWN_SIDE = 640


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the image room."""
    catalog = Catalog(settings)

    @in_turn
    @on_gpu(catalog, settings, lambda request: 5 + request.num_inference_steps / 2)
    def stream(model: str, request: ImageRequest) -> Iterator[ImageStep]:
        with cache.lease(model, "the image room") as pipeline, stop_on_exit() as stop:
            yield from throttle(generate_image(pipeline, request, stop))

    def show_on_page(
        prompt: str, negative_prompt: str, model: str, *numbers: Any
    ) -> Generator[Any, None, None]:
        request = ImageRequest.parse(
            prompt=prompt,
            negative_prompt=negative_prompt,
            **ImageRequest.name_numbers(*numbers),
        )
        spec = catalog.get(model, "image")
        yield from wake(cache, spec)
        recipe = Recipe.of(spec, request, settings).to_dict()
        for step in stream(model, request):
            yield (
                step.picture and enlarge(step.picture),
                show_caption(spec, step, request.seed),
                show_frames(step.previews),
                show_words(step.words),
                request.seed,
                recipe,
            )

    def answer(
        prompt: str,
        negative_prompt: str,
        model: str,
        num_inference_steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Iterator[Any]:
        """Draw a picture from a description with a diffusion model, streaming previews.

        Args:
            prompt: What to draw, at most 1,000 characters.
            negative_prompt: What to keep out; needs a guidance_scale above 1.
            model: Key from list_models, such as image/critters.
            num_inference_steps: Denoising steps, 1 to 50.
            guidance_scale: How closely to follow the prompt, 0 to 15; up to 1 without a push.
            seed: Same seed, same picture; -1 draws one.

        Returns:
            The picture as PNG, at the model's own resolution, after previews of it, and the recipe
            with the seed that was used.
        """
        request = ImageRequest.parse(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            seed=seed,
        )
        spec = catalog.get(model, "image")
        recipe = Recipe.of(spec, request, settings).to_dict()
        for _ in wake(cache, spec):
            yield None, recipe
        for step in stream(model, request):
            yield step.picture, recipe

    def suit_model(model: str) -> list[float]:
        """The settings that a newly chosen model works best with."""
        numbers = {**ImageRequest.numbers(), **catalog.get(model, "image").defaults}
        return [numbers["num_inference_steps"], numbers["guidance_scale"]]

    example = load_example()
    with gr.Blocks(title="Image · Generative Gallery") as demo:
        with create_room(
            "image", "From noise to a picture", WALL_LABEL, HERE / "lesson.md"
        ) as room:
            with room.controls:
                prompt = gr.Textbox(
                    EXAMPLES[0], label="Describe a little monster", lines=3, max_length=1000
                )
                buttons = RunButtons.create("Draw")
                gr.Examples([[text] for text in EXAMPLES], [prompt], label="Monsters to try")
                model = choose_model(catalog, "image")
                steps = create_slider(
                    ImageRequest,
                    "num_inference_steps",
                    step=1,
                    label="Steps",
                    info="More steps take longer and remove the noise more carefully",
                )
                guidance = create_slider(
                    ImageRequest,
                    "guidance_scale",
                    step=0.5,
                    label="Guidance",
                    info="How hard each step is pushed towards the words; up to 1, not at all",
                )
                with gr.Accordion("More settings", open=False):
                    negative_prompt = gr.Textbox(
                        "",
                        label="Keep out (negative prompt)",
                        info="What the picture should not show; works with guidance above 1",
                        max_length=1000,
                    )
                seed = SeedControl.create()
            with room.exhibit:
                picture = gr.Image(
                    example["picture"],
                    format="png",
                    label="Picture",
                    alt_text="The picture that the model drew",
                    show_label=False,
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    elem_classes="picture",
                )
                caption = gr.HTML("A finished example. Press Draw for a new one.", **CAPTION)
            with room.inside, gr.Accordion("Look inside", open=False):
                gr.Markdown(
                    "**Every step.** What the decoder makes of the latents after each step. Large "
                    "areas and their colours settle first, eyes and mouth last."
                )
                frames = gr.HTML(example["frames"], elem_classes="frames", padding=False)
                gr.Markdown(
                    "**The prompt as the model reads it.** Each box is a token, a number to the "
                    "model. Words that it has no token for are spelled out in several (dashed), "
                    "and mean little to it. What does not fit is struck out and never read."
                )
                words = gr.HTML(example["words"], elem_classes="words", padding=False)
                recipe = gr.JSON(
                    example["recipe"], label="Recipe: the same recipe gives the same picture"
                )

        wire_generation(
            buttons,
            show_on_page,
            [prompt, negative_prompt, model, steps, guidance, seed.seed],
            [picture, caption, frames, words, seed.used, recipe],
            caption=caption,
            also=[prompt.submit],
        )
        model.change(suit_model, model, [steps, guidance], queue=False, api_visibility="private")
        add_endpoint(
            "generate_image",
            answer,
            {
                "prompt": EXAMPLES[0],
                "negative_prompt": "",
                "model": "image/critters",
                **ImageRequest.numbers(),
            },
            [
                gr.Image(label="image", format="png", visible=False),
                gr.JSON(label="recipe", visible=False),
            ],
        )
    return demo


def enlarge(picture: Image.Image) -> Image.Image:
    """Make a small picture large without blurring its pixels; a large one stays as it is."""
    factor = -(-SHOWN_SIDE // max(picture.size)) if max(picture.size) < SHOWN_SIDE // 2 else 1
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def show_caption(spec: ModelSpec, step: ImageStep, seed: int) -> str:
    """One line: the model, how far it is, the seed, and what it could not read."""
    done = f"{step.total} steps" if step.image else f"step {step.index} of {step.total}"
    parts = [f"<b>{html.escape(spec.title)}</b>", done, f"seed {seed}"]
    # Models with a vocabulary of the whole web spell rare words out and still know them.
    strange = [word.text for word in step.words if word.pieces > 1 and word.text.isalpha()]
    if spec.bundled and strange:
        parts.append(f"Not in its vocabulary: {html.escape(', '.join(dict.fromkeys(strange)))}")
    if unread := [word.text for word in step.words if not word.is_read]:
        parts.append(f"Too long: not read from “{html.escape(unread[0])}” on")
    return " · ".join(parts)


def show_frames(previews: Sequence[Image.Image]) -> str:
    """The filmstrip. Without a tag around it, each step only adds to what the page has."""
    return "".join(
        f'<figure><img src="data:image/png;base64,{_to_base64(preview)}" alt="After step {index}">'
        f"<figcaption>{index}</figcaption></figure>"
        for index, preview in enumerate(previews, 1)
    )


def show_words(words: Sequence[Word]) -> str:
    """The prompt's words as boxes."""
    kinds = {(True, True): "", (True, False): "strange", (False, True): "unread"}
    return " ".join(
        f'<span class="{kinds.get((word.is_read, word.pieces == 1), "unread")}">'
        f"{html.escape(word.text)}</span>"
        for word in words
    )


def _to_base64(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Draw the picture of the first visit: ``example.png``, its steps, and ``example.json``."""
    request = ImageRequest.parse(prompt=EXAMPLES[0], seed=7)
    spec = Catalog(settings).get("image/critters")
    with cache.lease(spec.key) as pipeline, stop_on_exit() as stop:
        *_, last = generate_image(pipeline, request, stop)
    assert last.image
    last.image.save(HERE / "example.png", optimize=True)
    side, count = last.image.width, len(last.previews)
    strip = Image.new("RGB", (side * count, side))
    for index, preview in enumerate(last.previews):
        strip.paste(preview, (side * index, 0))
    strip.save(HERE / "example-steps.png", optimize=True)
    example = {
        "recipe": Recipe.of(spec, request, settings).to_dict(),
        "words": [asdict(word) for word in last.words],
    }
    text = json.dumps(example, indent=2, ensure_ascii=False) + "\n"
    (HERE / "example.json").write_text(text, encoding="utf-8")


def load_example() -> dict[str, Any]:
    """What ``make_example`` wrote, ready for the page."""
    example = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
    with Image.open(HERE / "example-steps.png") as strip:
        side = strip.height
        previews = [
            strip.crop((left, 0, left + side, side)) for left in range(0, strip.width, side)
        ]
    return {
        "picture": enlarge(Image.open(HERE / "example.png")),
        "frames": show_frames(previews),
        "words": show_words([Word(**word) for word in example["words"]]),
        "recipe": example["recipe"],
    }


if __name__ == "__main__":
    run_alone(create_demo)
