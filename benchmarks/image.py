"""What the image room adds to a bare diffusers pipeline, and how fast it follows a hand.

    python -m benchmarks.image [--rounds 25] [--json]

* ``overhead_ratio``: a picture as the room draws it, with a preview of every step and the whole
  film made ready for the page, over the bare pipeline with the same steps. They take turns in one
  process; medians.
* ``batch9_ratio``: nine pictures at once over one picture, both as the room draws them.
* ``cold_ratio``: from the start of a fresh process to the first picture, through catalogue and
  cache, over a script of a few lines that loads the pipeline and runs it. They take turns.
* ``live_pictures_per_s``: in a real browser on the real page, the guidance slider is dragged with
  "Draw while I type" on; pictures that differ from the one before are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.latent import CHROMIUM_FLAGS, PATIENCE, SWEEP, grasp
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
# Counts the pictures that are hung one after the other.
COUNT = """() => {
  let shown = document.querySelector(".pictures img").src;
  window.hung = 0;
  new MutationObserver(() => {
    const now = document.querySelector(".pictures img")?.src;
    if (now && now !== shown) {
      shown = now;
      window.hung += 1;
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def measure_seconds(work: Callable[[], Any]) -> float:
    """Seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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

        def room(wish: ImageRequest = request) -> None:
            for step in generate_image(pipeline, wish, Event()):
                assert step.pictures  # decodes the preview
            make_film("benchmark", step.film, wish.seeds, step.images)

        works: dict[str, Callable[[], None]] = {
            "bare": bare,
            "room": room,
            "nine": lambda: room(nine),
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for number in range(rounds + 2):  # the first two warm up
            for name, work in works.items():
                taken = measure_seconds(work)
                if number > 1:
                    seconds[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "overhead_ratio": medians["room"] / medians["bare"],
        "batch9_ratio": medians["nine"] / medians["room"],
        "picture_ms": 1000 * medians["room"],
    }


def measure_cold(rounds: int, steps: int, guidance: float) -> float:
    """Compare a first picture in a fresh process with the bare script."""
    seconds: dict[str, list[float]] = {"bare": [], "room": []}
    for _ in range(rounds):
        for name, program in (("bare", BARE), ("room", ROOM)):
            code = program.format(prompt=PROMPT, steps=steps, guidance=guidance)
            command = [sys.executable, "-c", code]
            began = time.perf_counter()
            subprocess.run(
                command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            seconds[name].append(time.perf_counter() - began)
    return statistics.median(seconds["room"]) / statistics.median(seconds["bare"])


def measure_live(seconds: float) -> float:
    """Pictures per second while the guidance slider is dragged."""
    chromium = (
        shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    )
    if not chromium:
        sys.exit("This needs Chromium: install the one of your system.")
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
        hung, elapsed = page.evaluate("window.hung"), time.monotonic() - began
        page.mouse.up()
        browser.close()
    return float(hung / elapsed)


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
    for name, figure in figures.items():
        print(f"{name:20} {figure:8.3f}")
    print(f"on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if arguments.json:
        print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
