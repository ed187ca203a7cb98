"""The model cache in long use: memory after many model switches, and many concurrent visitors.

    python -m benchmarks.cache_soak [--switches 200] [--visitors 8] [--minutes 2] [--json]

First, the bundled models are used in random order, under a budget for the largest two; resident
memory at the end is compared with that after the first quarter, with the same model loaded. Then
concurrent visitors use the gallery in all four rooms, under the same budget; each result must be
equal to that of a single visitor with the same seed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import soundfile
from gradio_client import Client
from PIL import Image

from benchmarks.startup import start
from demos.image.generate import ImageRequest, generate_image
from demos.latent.generate import PairRequest, sample
from demos.music.generate import MusicRequest, generate_music
from demos.music.score.midi import read_midi
from demos.text.generate import TextRequest, generate_text
from shared.catalog import Catalog, GalleryLoader
from shared.model_cache import ModelCache
from shared.settings import Settings

# Small requests: the test is about switching models.
ENDPOINTS: dict[str, dict[str, Any]] = {
    "/generate_text": {"prompt": "Once upon a time", "max_new_tokens": 16},
    "/generate_image": {"prompt": "a happy blue critter", "num_inference_steps": 2},
    "/generate_music": {"description": "a jig", "duration": 5},
    "/sample_latent": {},
}
SEEDS = (1, 2, 3)


def work(cache: ModelCache, key: str) -> None:
    """Use one model as its room does."""
    room = key.split("/")[0]
    stop = Event()
    with cache.lease(key) as model:
        if room == "text":
            list(generate_text(model, TextRequest.parse(max_new_tokens=8, seed=1), stop))
        elif room == "image":
            list(generate_image(model, ImageRequest.parse(num_inference_steps=2, seed=1), stop))
        elif room == "music":
            list(generate_music(model, MusicRequest.parse(duration=5, seed=1), stop))
    if room == "latent":
        with cache.lease("latent/critters-vae") as vae, cache.lease("latent/critters-gan") as gan:
            sample(vae, gan, PairRequest.parse(seed=1))


def budget_for_two(settings: Settings) -> int:
    """Return the bytes for the two largest bundled models, including their working memory."""
    cache = ModelCache(settings.cache_bytes, GalleryLoader(Catalog(settings)))
    for spec in Catalog(settings):
        if spec.bundled:
            work(cache, spec.key)
    sizes = sorted(model["bytes"] for model in cache.snapshot()["models"])
    cache.close()
    return int(1.02 * sum(sizes[-2:]))


def measure_growth(switches: int) -> float:
    """Return the growth of resident memory after the first quarter of ``switches``, in percent."""
    settings = Settings(device="cpu", offline=True)
    cache = ModelCache(budget_for_two(settings), GalleryLoader(Catalog(settings)))
    keys = [spec.key for spec in Catalog(settings) if spec.bundled]
    rng = random.Random(0)

    def switch(count: int) -> int:
        for _ in range(count):
            work(cache, rng.choice(keys))
        work(cache, "text/storyteller")
        for key in keys[1:]:
            cache.unload(key)
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    first = switch(switches // 4)
    last = switch(switches - switches // 4)
    counts = cache.snapshot()
    cache.close()
    print(f"{switches} switches: {counts['loads']} loads, {counts['evictions']} models dropped")
    print(f"  resident {first / 1e6:,.0f} MB after the first quarter, {last / 1e6:,.0f} at the end")
    return 100 * (last / first - 1)


def read_content(path: Path) -> bytes:
    """Return pixels, samples or notes of a file, without its recipe, which contains the time."""
    match path.suffix:
        case ".wav":
            return bytes(soundfile.read(path, dtype="int16", always_2d=True)[0].tobytes())
        case ".mid":
            return repr(read_midi(path.read_bytes()).tracks).encode()
        case _:
            with Image.open(path) as picture:
                return repr(picture.size).encode() + picture.convert("RGB").tobytes()


def ask(client: Client, endpoint: str, seed: int) -> str:
    """Return a hash of the result of an endpoint, without the time in its recipe."""
    *outputs, recipe = client.predict(**ENDPOINTS[endpoint], seed=seed, api_name=endpoint)
    digest = hashlib.sha256()
    for output in outputs:
        path = Path(output) if "\n" not in output and len(output) < 500 else None
        digest.update(read_content(path) if path and path.is_file() else output.encode())
    digest.update(str(recipe["seed"]).encode())
    return digest.hexdigest()


def measure_crowd(visitors: int, minutes: float) -> Counter[str]:
    """Count right results, errors and mixed-up results of concurrent visitors in all rooms."""
    budget = budget_for_two(Settings(device="cpu", offline=True))
    with start("gallery", GALLERY_CACHE_BYTES=str(budget)) as (_, url, _):
        alone = Client(url, verbose=False)
        jobs = [(endpoint, seed) for endpoint in ENDPOINTS for seed in SEEDS]
        expected = {job: ask(alone, *job) for job in jobs}
        ends = time.monotonic() + 60 * minutes

        def visit(number: int) -> Counter[str]:
            client = Client(url, verbose=False)
            rng = random.Random(number)
            seen: Counter[str] = Counter()
            while time.monotonic() < ends:
                # Two visitors start in each room; later jobs are random.
                job = rng.choice(jobs) if seen else jobs[number * len(SEEDS) % len(jobs)]
                try:
                    seen["right" if ask(client, *job) == expected[job] else "mixed up"] += 1
                except Exception as error:
                    print(f"  {job}: {error}")
                    seen["errors"] += 1
            client.close()
            return seen

        with ThreadPoolExecutor(visitors) as pool:
            seen = sum(pool.map(visit, range(visitors)), Counter[str]())
        counts = alone.predict(api_name="/cache_snapshot")
        alone.close()
    print(f"{visitors} visitors, {minutes:g} minutes: {dict(seen)}")
    print(f"  {counts['loads']} loads, {counts['evictions']} models dropped")
    return seen


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=200)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()
    growth = measure_growth(arguments.switches)
    seen = measure_crowd(arguments.visitors, arguments.minutes)
    figures = {
        "rss_growth_pct": round(growth, 2),
        "errors": seen["errors"],
        "mixed_outputs": seen["mixed up"],
    }
    print(json.dumps(figures) if arguments.json else figures)


if __name__ == "__main__":
    main()
