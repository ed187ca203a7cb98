"""The latent-space room's page. Run it alone with ``python -m demos.latent.ui``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.latent.generate import (
    DIRECTIONS,
    LatentRequest,
    Pair,
    PairRequest,
    Reconstruction,
    WalkRequest,
    WalkStep,
    count_parameters,
    generate_walk,
    read_picture,
    reconstruct,
    sample,
)
from demos.latent.show import (
    describe,
    length,
    make_gif,
    offer_gif,
    show_film,
    show_mu,
    show_pair,
    show_reconstruction,
    show_z,
)
from shared.catalog import Catalog, ModelSpec
from shared.errors import InvalidRequest
from shared.model_cache import ModelCache
from shared.recipes import Recipe
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import (
    CAPTION,
    RunButtons,
    SeedControl,
    add_endpoint,
    create_room,
    create_slider,
    say_errors,
    stop_on_exit,
    throttle,
    wake,
    wire_generation,
)

HERE = Path(__file__).parent
EXAMPLE_SEED = 7
HOLDER = "the latent space room"
PICTURE_SEEDS = (11, 12, 13)  # of the GAN's pictures that can be reconstructed
PICTURES = [str(path) for path in sorted((HERE / "examples").glob("*.png"))]
WALL_LABEL = (
    "Two networks of the same size turn the same 64 random numbers into a picture. The left one "
    "learned by squeezing pictures and redrawing them (a VAE), the right one by fooling a critic "
    "(a GAN). Same numbers, same training pictures: what differs is how they were taught."
)
LIVE: dict[str, Any] = {
    "concurrency_limit": 4,
    "show_progress": "hidden",
    "api_visibility": "private",
}


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the latent-space room."""
    catalog = Catalog(settings)
    example = json.loads((HERE / "example.json").read_text(encoding="utf-8"))

    def draw_pair(request: PairRequest) -> tuple[Pair, dict[str, int], dict[str, Any]]:
        vae_spec, gan_spec = find_models(catalog, request.dataset)
        with cache.lease(vae_spec.key, HOLDER) as vae, cache.lease(gan_spec.key, HOLDER) as gan:
            sizes = {"vae": count_parameters(vae.decoder), "gan": count_parameters(gan)}
            pair = sample(vae, gan, request)
        return pair, sizes, write_recipe(catalog, request, settings)

    def redraw(dataset: str, seed: int, truncation: float, *offsets: float) -> tuple[Any, ...]:
        request = PairRequest.parse(
            dataset=dataset, seed=seed, truncation=truncation, offsets=offsets
        )
        pair, sizes, recipe = draw_pair(request)
        caption = f"Seed {request.seed} · truncation {request.truncation:g}"
        return (
            show_pair(pair, f"seed {request.seed}"),
            caption + (" · moved by the sliders" if any(offsets) else ""),
            show_z(pair.z, sizes),
            request.seed,
            recipe,
        )

    def draw_new(dataset: str, seed: int, truncation: float) -> tuple[Any, ...]:
        return *redraw(dataset, seed, truncation), *[0] * (2 * DIRECTIONS)

    def walk(
        dataset: str, truncation: float, path: str, frames: int, start: int, end: int
    ) -> Generator[Any, None, None]:
        request = WalkRequest.parse(
            dataset=dataset,
            truncation=truncation,
            path=path,
            frames=frames,
            seed=start,
            end_seed=end,
        )
        vae_spec, gan_spec = find_models(catalog, dataset)
        recipe = write_recipe(catalog, request, settings)
        way = f"Walk from seed {request.seed} to {request.end_seed}, {request.path}"
        yield from wake(cache, vae_spec, gan_spec)
        pairs: list[Pair] = []
        with (
            cache.lease(vae_spec.key, HOLDER) as vae,
            cache.lease(gan_spec.key, HOLDER) as gan,
            stop_on_exit() as stop,
        ):
            sizes = {"vae": count_parameters(vae.decoder), "gan": count_parameters(gan)}
            for step in throttle(keep(generate_walk(vae, gan, request, stop), pairs)):
                caption = f"{way} · {step.position:.0%} · length of z {length(step.pair.z):.1f}"
                picture = show_pair(step.pair, f"{step.position:.0%} of the walk")
                yield picture, caption, show_z(step.pair.z, sizes), recipe
        film = make_gif(pairs, json.dumps(recipe))
        middle = length(pairs[len(pairs) // 2].z)
        caption = (
            f"{way} · length of z: {length(pairs[0].z):.1f} at the start, {middle:.1f} half-way, "
            f"{length(pairs[-1].z):.1f} at the end"
        )
        yield show_film(film, way), f"{caption}<br>{offer_gif(film)}", gr.skip(), recipe

    def redraw_upload(dataset: str, path: str | None) -> tuple[Any, ...]:
        if path is None:  # the field was emptied
            return (gr.skip(),) * 4
        result = reconstruct_file(dataset, path)
        return show_reconstruction(result), describe(result), show_mu(result), None

    def reconstruct_file(dataset: str, path: str | None) -> Reconstruction:
        vae_spec, _ = find_models(catalog, dataset)
        if not path:
            raise InvalidRequest("There is no picture. Choose one first.")
        picture = read_picture(path)
        with cache.lease(vae_spec.key, HOLDER) as vae:
            return reconstruct(vae, picture)

    def answer_sample(dataset: str, seed: int, truncation: float) -> tuple[Any, ...]:
        """Draw one random z and decode it with a VAE and with a GAN of the same size.

        Args:
            dataset: What the models were trained on: critters.
            seed: Same seed, same pictures; -1 draws one.
            truncation: Factor on z, 0 (the average) to 2; 1 is as in training.

        Returns:
            The VAE's picture, the GAN's picture, and the recipe with the seed that was used.
        """
        request = PairRequest.parse(dataset=dataset, truncation=truncation, seed=seed)
        pair, _, recipe = draw_pair(request)
        return pair.vae, pair.gan, recipe

    def answer_reconstruct(dataset: str, image: str | None) -> tuple[Any, ...]:
        """Squeeze a picture through the VAE's 64 numbers and decode it again.

        Args:
            dataset: What the VAE was trained on: critters.
            image: A picture; it is cropped to a square and scaled to the model's 64 x 64 pixels.

        Returns:
            The reconstruction, and its errors: l1 (mean absolute difference of colours, 0 to 1),
            psnr_db, z_dim, mu, and the model's key.
        """
        result = reconstruct_file(dataset, image)
        vae_spec, _ = find_models(catalog, dataset)
        return result.picture, {
            "model": vae_spec.key,
            "l1": result.l1,
            "psnr_db": result.psnr_db,
            "z_dim": len(result.mu),
            "mu": result.mu.tolist(),
        }

    with gr.Blocks(title="Latent space · Generative Gallery") as demo:
        with create_room(
            "latent", "The same numbers, twice", WALL_LABEL, HERE / "lesson.md"
        ) as room:
            with room.controls:
                datasets = list_datasets(catalog)
                dataset = gr.Dropdown(
                    datasets, value=datasets[0], label="Trained on", visible=len(datasets) > 1
                )
                with gr.Tabs():
                    with gr.Tab("Explore"):
                        new = gr.Button("New pair", variant="primary", size="lg")
                        truncation = create_slider(
                            LatentRequest,
                            "truncation",
                            step=0.05,
                            info="Factor on all 64 numbers: 0 is the average, 1 as in training",
                        )
                        offsets = create_direction_sliders()
                        centre = gr.Button("Put the eight sliders back to 0", size="sm")
                        seed = SeedControl.create()
                        seed.used.value = example["seed"]
                    with gr.Tab("Walk"):
                        buttons = RunButtons.create("Walk")
                        path = gr.Radio(
                            [("Around (spherical)", "spherical"), ("Straight (linear)", "linear")],
                            value="spherical",
                            label="Way",
                            info="Straight ahead passes nearer to the average",
                        )
                        frames = create_slider(WalkRequest, "frames", step=1, label="Pictures")
                        with gr.Row():
                            start = gr.Number(-1, label="From seed", precision=0, min_width=120)
                            end = gr.Number(-1, label="To seed", precision=0, min_width=120)
                        gr.HTML(
                            "-1 draws a new one. Truncation is as set under Explore.", **CAPTION
                        )
                    with gr.Tab("Reconstruct"):
                        # An image field would open the file first, and answer a damaged one with
                        # words that are not for visitors; a file field leaves that to us.
                        picture = gr.File(label="Your picture", file_types=["image"], height=150)
                        again = gr.Button("Squeeze and redraw", variant="primary", size="lg")
                        examples = gr.Dataset(
                            components=[gr.Image(type="filepath", visible=False)],
                            samples=[[path] for path in PICTURES],
                            label="Or one of these",
                            type="index",
                        )
            with room.exhibit:
                exhibit = gr.HTML(show_example(example["seed"]))
                caption = gr.HTML("A finished example. Press New pair for another.", **CAPTION)
            with room.inside, gr.Accordion("Look inside", open=False):
                numbers = gr.HTML(show_z(example["z"], example["parameters"]))
                recipe = gr.JSON(label="Recipe: the same recipe gives the same pictures")

        drawn = [exhibit, caption, numbers, seed.used, recipe]
        moved = [dataset, seed.used, truncation, *offsets]
        new.click(
            say_errors(draw_new),
            [dataset, seed.seed, truncation],
            [*drawn, *offsets],
            **LIVE | {"show_progress": "minimal", "show_progress_on": exhibit},
        )
        gr.on(
            [slider.input for slider in (truncation, *offsets)],
            say_errors(redraw),
            moved,
            drawn,
            trigger_mode="always_last",
            **LIVE,
        )
        centre.click(
            lambda: [0] * len(offsets), None, offsets, queue=False, api_visibility="private"
        ).then(say_errors(redraw), moved, drawn, **LIVE)
        wire_generation(
            buttons,
            walk,
            [dataset, truncation, path, frames, start, end],
            [exhibit, caption, numbers, recipe],
            caption=caption,
        )
        gr.on(
            [picture.change, again.click],
            say_errors(redraw_upload),
            [dataset, picture],
            [exhibit, caption, numbers, recipe],
            **LIVE | {"show_progress": "minimal", "show_progress_on": exhibit},
        )
        examples.click(
            PICTURES.__getitem__, examples, picture, queue=False, api_visibility="private"
        )
        pictures = [gr.Image(label=name, visible=False, format="png") for name in ("vae", "gan")]
        add_endpoint(
            "sample_latent",
            answer_sample,
            {"dataset": datasets[0], "seed": -1, "truncation": 1.0},
            [*pictures, gr.JSON(label="recipe", visible=False)],
            heavy=False,
        )
        add_endpoint(
            "reconstruct",
            answer_reconstruct,
            {"dataset": datasets[0], "image": gr.File(label="image", visible=False)},
            [
                gr.Image(label="reconstruction", visible=False, format="png"),
                gr.JSON(label="errors", visible=False),
            ],
            heavy=False,
        )
    return demo


def list_datasets(catalog: Catalog) -> list[str]:
    """Name what there is a VAE and a GAN for."""
    names = [spec.key.removeprefix("latent/") for spec in catalog.for_task("latent")]
    return [name.removesuffix("-vae") for name in names if name.endswith("-vae")]


def find_models(catalog: Catalog, dataset: str) -> tuple[ModelSpec, ModelSpec]:
    """Return the VAE and the GAN of ``dataset``. Raises InvalidRequest, naming the known ones."""
    known = list_datasets(catalog)
    if dataset not in known:
        raise InvalidRequest(
            f"There is no dataset {str(dataset)[:60]!r}. There are: {', '.join(known)}."
        )
    return catalog.get(f"latent/{dataset}-vae"), catalog.get(f"latent/{dataset}-gan")


def write_recipe(catalog: Catalog, request: LatentRequest, settings: Settings) -> dict[str, Any]:
    """Write the recipe of a pair or a walk; its settings name both models."""
    vae_spec, gan_spec = find_models(catalog, request.dataset)
    recipe = Recipe.of(vae_spec, request, settings)
    both = recipe.settings | {"models": [vae_spec.key, gan_spec.key]}
    return dataclasses.replace(recipe, settings=both).to_dict()


def keep(steps: Iterator[WalkStep], pairs: list[Pair]) -> Iterator[WalkStep]:
    """Pass ``steps`` on and add the pair of each to ``pairs``."""
    for step in steps:
        pairs.append(step.pair)
        yield step


def create_direction_sliders() -> list[gr.Slider]:
    """Sliders that move z: those of the VAE's directions, then those of the GAN's."""
    gr.HTML(
        "Move z along the four directions that the weights of each model react to most. "
        "Both pictures follow every slider.",
        **CAPTION,
    )
    sliders = []
    with gr.Row():
        for model in ("VAE", "GAN"):
            with gr.Column(min_width=130):
                sliders += [
                    gr.Slider(-4, 4, 0, step=0.1, label=f"{model} {index + 1}")
                    for index in range(DIRECTIONS)
                ]
    return sliders


def show_example(seed: int) -> str:
    """A finished pair for the first visit, made by ``python -m demos.examples``."""
    images = [Image.open(HERE / f"example-{name}.png") for name in ("vae", "gan")]
    return show_pair(Pair((), *images), f"seed {seed}")


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write the pair of the first visit and the pictures to reconstruct."""
    catalog = Catalog(settings)
    vae_spec, gan_spec = find_models(catalog, list_datasets(catalog)[0])
    with cache.lease(vae_spec.key) as vae, cache.lease(gan_spec.key) as gan:
        pair = sample(vae, gan, PairRequest.parse(seed=EXAMPLE_SEED))
        parameters = {"vae": count_parameters(vae.decoder), "gan": count_parameters(gan)}
        critters = [sample(vae, gan, PairRequest.parse(seed=seed)).gan for seed in PICTURE_SEEDS]
    pair.vae.save(HERE / "example-vae.png")
    pair.gan.save(HERE / "example-gan.png")
    (HERE / "examples").mkdir(exist_ok=True)
    for number, critter in enumerate(critters, 1):
        critter.save(HERE / "examples" / f"critter-{number}.png")
    example = {
        "seed": EXAMPLE_SEED,
        "z": [round(number, 3) for number in pair.z],
        "parameters": parameters,
    }
    (HERE / "example.json").write_text(json.dumps(example), encoding="utf-8")


if __name__ == "__main__":
    run_alone(create_demo)
