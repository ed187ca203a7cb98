"""Time to the first page compared with a bare Gradio app, and memory after using all rooms.

    python -m benchmarks.startup [--rounds 5] [--json]

Both programs are started alternately and polled until the page answers; the medians are compared.
The last gallery is then used through its endpoints, once per room, and its resident memory is read.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from gradio_client import Client

from shared.settings import ROOT

BARE = """
import gradio as gr
with gr.Blocks() as app:
    box, button, out = gr.Textbox(), gr.Button(), gr.Textbox()
    button.click(lambda text: text, box, out)
app.launch()
"""
PROGRAMS = {"bare": ["-c", BARE], "gallery": ["app.py"]}
REQUESTS: dict[str, dict[str, Any]] = {
    "/generate_text": {"prompt": "Once upon a time", "max_new_tokens": 60},
    "/generate_image": {"prompt": "a happy blue critter"},
    "/generate_music": {"description": "a jig", "duration": 10},
    "/sample_latent": {},
}


def find_free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def start(name: str, **environment: str) -> Iterator[tuple[float, str, psutil.Process]]:
    """Start a program; yield the seconds to its first page, its address and its process."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GALLERY_OFFLINE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        **environment,
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *PROGRAMS[name]],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not is_up(url):
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended before its first page")
            time.sleep(0.02)
        yield time.monotonic() - began, url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    """Whether the page answers."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def use_all_rooms(url: str) -> None:
    """Generate once in every room."""
    client = Client(url, verbose=False)
    for endpoint, values in REQUESTS.items():
        client.predict(**values, api_name=endpoint)
    client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()

    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(arguments.rounds):
        for name in PROGRAMS:
            with start(name) as (first_page, url, process):
                seconds[name].append(first_page)
                if name == "gallery" and number == arguments.rounds - 1:
                    use_all_rooms(url)
                    memory = process.memory_info().rss
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    figures = {
        "first_page_ratio": round(medians["gallery"] / medians["bare"], 3),
        "rss_all_tabs_gb": round(memory / 1e9, 3),
    }
    for name, median in medians.items():
        print(f"first page, {name:8} {median:6.2f} s  (median of {arguments.rounds})")
    print(f"ratio {figures['first_page_ratio']}, memory {figures['rss_all_tabs_gb']} GB")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
