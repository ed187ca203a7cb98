"""The image room against a bare diffusers pipeline, and the speed of live drawing.

    python -m benchmarks.image [--rounds 25] [--json]

* ``overhead_ratio``: time for a picture in the room, with previews of all steps and the film for
  the page, over the bare pipeline with the same steps. Alternating in one process; medians.
* ``batch9_ratio``: time for nine pictures at once over one picture, both in the room.
* ``cold_ratio``: time from the start of a process to the first picture, with catalogue and cache,
  over a short script that loads the pipeline and runs it. Alternating; medians.
* ``live_pictures_per_s``: different pictures per second in a real browser, while the guidance
  slider is dragged with "Draw while I type" on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Event

from playwright.sync_api import sync_playwright

from benchmarks.latent import CHROMIUM_FLAGS, PATIENCE, SWEEP, grasp
from benchmarks.measure import alternate, find_chromium, print_figures
from benchmarks.startup import start
from shared.catalog import Catalog
from shared.settings import ROOT

PROMPT = "a happy blue monster with yellow horns"
BARE = """
import torch
from diffusers import AutoPipelineForText2Image
pipeline = AutoPipelineForText2Image.from_pretrained("models/image-critters", dtype=torch.float32)
rng = torch.Generator().manual_seed(1)
pipeline({prompt!r}, num_inference_steps={steps}, guidance_scale={guidance}, generator=rng)
"""
ROOM = """
from threading import Event
from demos.image.generate import ImageRequest, generate_image
from shared.catalog import Catalog, GalleryLoader
from shared.model_cache import ModelCache
from shared.settings import Settings
request = ImageRequest.parse(
    prompt={prompt!r}, num_inference_steps={steps}, guidance_scale={guidance}, seed=1
)
settings = Settings()
cache = ModelCache(settings.cache_bytes, GalleryLoader(Catalog(settings)))
with cache.lease("image/critters") as pipeline:
    for step in generate_image(pipeline, request, Event()):
        pass
"""
# Counts the pictures that the page shows.
COUNT = """() => {
  let shown = document.querySelector(".pictures img").src;
  window.pictureCount = 0;
  new MutationObserver(() => {
    const now = document.querySelector(".pictures img")?.src;
    if (now && now !== shown) {
      shown = now;
      window.pictureCount += 1;
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def measure_drawing(rounds: int, steps: int, guidance: float) -> dict[str, float]:
    """Compare the room with the bare pipeline, and nine pictures with one."""
    import torch

    from demos.image.generate import ImageRequest, generate_image
    from demos.image.show_film import make_film
    from shared.serve import create_cache
    from shared.settings import Settings

    request = ImageRequest.parse(
        prompt=PROMPT, num_inference_steps=steps, guidance_scale=guidance, seed=1
    )
    nine = request.model_copy(update={"num_images": 9})
    with create_cache(Catalog(Settings())).lease("image/critters") as pipeline:

        def bare() -> None:
            pipeline(
                PROMPT,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(1),
            )

        def room(request: ImageRequest = request) -> None:
            for step in generate_image(pipeline, request, Event()):
                assert step.pictures  # decodes the preview
            make_film("benchmark", step.film, request.seeds, step.images)

        draw: dict[str, Callable[[], None]] = {
            "bare": bare,
            "room": room,
            "nine": partial(room, nine),
        }
        medians = alternate(draw, rounds, warm_up=2)
    return {
        "overhead_ratio": medians["room"] / medians["bare"],
        "batch9_ratio": medians["nine"] / medians["room"],
        "picture_ms": 1000 * medians["room"],
    }


def measure_cold(rounds: int, steps: int, guidance: float) -> float:
    """Compare a first picture in a fresh process with the bare script."""

    def run(program: str) -> None:
        code = program.format(prompt=PROMPT, steps=steps, guidance=guidance)
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)

    medians = alternate({"bare": partial(run, BARE), "room": partial(run, ROOM)}, rounds, warm_up=0)
    return medians["room"] / medians["bare"]


def measure_live(seconds: float) -> float:
    """Pictures per second while the guidance slider is dragged."""
    chromium = find_chromium()
    with start("gallery") as (_, url, _process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1400})
        page.goto(url, timeout=PATIENCE)
        page.get_by_role("tab", name="Image").click(timeout=PATIENCE)
        page.get_by_label("Draw while I type").check(timeout=PATIENCE)
        page.locator(".exhibit .caption", has_text="live").first.wait_for(timeout=PATIENCE)
        slider = page.get_by_label("range slider for Guidance").first
        drag = grasp(page, slider)
        drag(SWEEP)
        page.evaluate(COUNT)
        began = time.monotonic()
        drag(seconds)
        count, elapsed = page.evaluate("window.pictureCount"), time.monotonic() - began
        page.mouse.up()
        browser.close()
    return float(count / elapsed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="pictures of each kind")
    parser.add_argument("--cold-rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--seconds", type=float, default=8, help="of dragging")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()
    from training.evaluate_image import GUIDANCE, STEPS

    figures = {
        **measure_drawing(arguments.rounds, STEPS, GUIDANCE),
        "cold_ratio": measure_cold(arguments.cold_rounds, STEPS, GUIDANCE),
        "live_pictures_per_s": measure_live(arguments.seconds),
        "steps": STEPS,
    }
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
