"""The speed of the text room, compared with transformers and llama.cpp.

    python -m benchmarks.text [--rounds 7] [--json]

* ``speedup_vs_generate``: tokens per second of the bundled model in the room, with probabilities
  and alternatives, over those of ``model.generate()`` with the same weights and settings.
  Alternating in one process; medians.
* ``batch8_throughput_ratio``: total tokens per second of eight concurrent visitors over those of
  one; ``first_token_s``: the longest time until one of the eight has a first token.
* ``llamacpp_ratio``: tokens per second of SmolLM2-135M in the room, with llama.cpp, over those of
  llama.cpp's own generation with the same settings. Left out if it is not installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import islice
from threading import Barrier, Event
from typing import Any

from benchmarks.measure import alternate, print_figures
from demos.text.generate import TextRequest, TextStep, encode_prompt, generate_text
from shared.catalog import Catalog, GalleryLoader
from shared.llamacpp import count_threads
from shared.model_cache import ModelCache
from shared.sampling import TokenSequence
from shared.settings import Settings

BUNDLED, WITH_LLAMA_CPP = "text/storyteller", "text/smollm2-135m"
PROMPT = "Once upon a time there was a little fox who"
TOKENS, VISITORS = 200, 8


def measure_rate(write: Callable[[], int]) -> float:
    """Return the tokens per second of ``write``, which returns the number of tokens."""
    began = time.perf_counter()
    return write() / (time.perf_counter() - began)


def write(model: Any, seed: int = 1) -> list[TextStep]:
    """Generate a text as the room does."""
    request = TextRequest.parse(prompt=PROMPT, seed=seed, max_new_tokens=TOKENS)
    return list(generate_text(model, request, Event()))


def measure_bundled(cache: ModelCache, rounds: int) -> dict[str, float]:
    """Compare one visitor with ``generate()``, and eight with one."""
    import torch

    first_tokens: list[float] = []
    with cache.lease(BUNDLED, "the benchmark") as model, ThreadPoolExecutor(VISITORS) as pool:
        request = TextRequest.parse(prompt=PROMPT, seed=1)
        ids = torch.tensor([encode_prompt(model, request)[0]])

        def generate() -> int:
            torch.manual_seed(1)
            output = model.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=request.temperature,
                top_k=request.top_k,
                top_p=request.top_p,
                max_new_tokens=TOKENS,
            )
            return int(output.shape[1] - ids.shape[1])

        def visit(seed: int, gate: Barrier) -> int:
            gate.wait()
            began, count = time.perf_counter(), 0
            own = request.model_copy(update={"seed": seed, "max_new_tokens": TOKENS})
            for count, _ in enumerate(generate_text(model, own, Event()), 1):
                if count == 1:
                    first_tokens.append(time.perf_counter() - began)
            return count

        def eight() -> int:
            gate = Barrier(VISITORS)
            return sum(pool.map(visit, range(VISITORS), [gate] * VISITORS))

        writers = {"generate": generate, "one": lambda: len(write(model)), "eight": eight}
        rates = alternate(writers, rounds, measure_rate, warm_up=2)
    return {
        "speedup_vs_generate": rates["one"] / rates["generate"],
        "tokens_per_s": rates["one"],
        "batch8_throughput_ratio": rates["eight"] / rates["one"],
        "first_token_s": max(first_tokens),
    }


def measure_llamacpp(cache: ModelCache, catalog: Catalog, rounds: int) -> dict[str, float]:
    """Compare the room's engine with llama.cpp alone, if it is installed."""
    import torch

    key = catalog.engine_key(WITH_LLAMA_CPP)
    if key == WITH_LLAMA_CPP:
        return {}
    xllamacpp: Any = import_module("xllamacpp")
    sampling = TextRequest.parse(seed=1).sampling
    with cache.lease(key, "the benchmark") as model:
        ids = model.tokenizer(PROMPT).input_ids
        params = xllamacpp.CommonParams()
        folder = catalog.get(key).fetch(catalog.settings, print)
        params.model.path = str(next(folder.glob("*.gguf")))
        params.n_ctx, params.verbosity = model.context, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = count_threads()
        server = xllamacpp.Server(params)
        # Without streaming and probabilities.
        options = {
            "prompt": ids,
            "n_predict": TOKENS,
            "seed": 1,
            "cache_prompt": False,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": 0.0,
            "ignore_eos": True,
        }

        def bare() -> int:
            results: list[Any] = []
            server.handle_completions(options, results.append)
            return int(results[0]["usage"]["completion_tokens"])

        def room() -> int:
            rng = torch.Generator().manual_seed(1)
            sequence = TokenSequence(list(ids), sampling, rng)
            return len(list(islice(model.engine.write(sequence, Event()), TOKENS)))

        rates = alternate({"bare": bare, "room": room}, rounds, measure_rate, warm_up=2)
    return {
        "llamacpp_ratio": rates["room"] / rates["bare"],
        "llamacpp_tokens_per_s": rates["room"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="texts of each kind")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()
    settings = Settings(device="cpu")
    catalog = Catalog(settings)
    cache = ModelCache(settings.cache_bytes, GalleryLoader(catalog))
    figures = {
        **measure_bundled(cache, arguments.rounds),
        **measure_llamacpp(cache, catalog, arguments.rounds),
    }
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
