"""The speed of the latent-space room, in a real browser.

    python -m benchmarks.latent [--seconds 5] [--json]

Starts the gallery, opens it in the system's Chromium and drags the truncation slider of the Explore
tab back and forth with the mouse. An update counts when both canvases have changed since the last
one; their pixels are compared before each frame of the screen. The same is measured through a proxy
that delays both directions by 100 ms. Then the playground trains with its default settings, and its
steps are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from benchmarks.measure import find_chromium, print_figures
from benchmarks.startup import start

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
LATENCY = 0.1  # seconds each way
SWEEP = 1.5  # seconds from one end of the slider to the other
PATIENCE = 120_000  # milliseconds until the page is ready
COUNT = """() => {
  const canvases = [...document.querySelectorAll(".explorer canvas[data-model]")];
  const read = (canvas) =>
    new Uint32Array(canvas.getContext("2d").getImageData(0, 0, 64, 64).data.buffer);
  let shown = canvases.map(read);
  window.bothChanged = 0;
  const countUpdate = () => {
    const now = canvases.map(read);
    if (now.every((picture, i) => picture.some((pixel, k) => pixel !== shown[i][k]))) {
      shown = now;
      window.bothChanged += 1;
    }
    requestAnimationFrame(countUpdate);
  };
  requestAnimationFrame(countUpdate);
}"""


@contextmanager
def delay(url: str, seconds: float) -> Iterator[str]:
    """Start a proxy for ``url`` that delays all data by ``seconds``; yield its address."""
    address = urlsplit(url)
    loop = asyncio.new_event_loop()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A queue, so that the delay does not reduce the throughput.
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(due - loop.time())
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()

        delivery = asyncio.create_task(deliver())
        try:
            piece = b"more"
            while piece:
                piece = await reader.read(65536)
                queue.put_nowait((loop.time() + seconds, piece))
            await delivery
        except ConnectionError:
            delivery.cancel()
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(forward(reader, far_writer), forward(far_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def grasp(page: Page, slider: Locator) -> Callable[[float], None]:
    """Press the mouse on a slider; return a function that drags it for a number of seconds."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    left, width, y = box["x"] + 10, box["width"] - 20, box["y"] + box["height"] / 2

    def drag(duration: float) -> None:
        began = time.monotonic()
        while (now := time.monotonic() - began) < duration:
            phase = now / SWEEP % 2
            page.mouse.move(left + width * min(phase, 2 - phase), y)

    page.mouse.move(left, y)
    page.mouse.down()
    return drag


def measure_drag(browser: Browser, url: str, seconds: float) -> float:
    """Return updates of both pictures per second while the truncation slider is dragged."""
    page = open_latent_room(browser, url)
    slider = page.locator(".explorer [data-field=truncation]")
    slider.wait_for(timeout=PATIENCE)
    drag = grasp(page, slider)
    drag(2 * SWEEP)  # until the models are loaded and warm
    page.wait_for_function("Number(document.querySelector('.explorer').dataset.updates) > 0")
    page.evaluate(COUNT)
    began = time.monotonic()
    drag(seconds)
    updates = page.evaluate("window.bothChanged")
    elapsed = time.monotonic() - began
    page.mouse.up()
    page.close()
    return float(updates / elapsed)


def measure_playground(browser: Browser, url: str, seconds: float) -> float:
    """Return training steps per second in the playground; each updates VAE and GAN."""
    page = open_latent_room(browser, url)
    page.get_by_role("tab", name="Playground").click(timeout=PATIENCE)
    page.locator(".playground-main:enabled").click(timeout=PATIENCE)
    count = "Number(document.querySelector('.playground').dataset.steps)"
    page.wait_for_function(f"{count} >= 50", timeout=PATIENCE)  # compiled and warm
    first, began = page.evaluate(count), time.monotonic()
    page.wait_for_timeout(1000 * seconds)
    steps, elapsed = page.evaluate(count) - first, time.monotonic() - began
    page.close()
    return float(steps / elapsed)


def open_latent_room(browser: Browser, url: str) -> Page:
    """Open the gallery on the room's first tab."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(url, timeout=PATIENCE)
    page.get_by_role("tab", name="Latent space").click(timeout=PATIENCE)
    return page


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="of dragging, for each figure")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()
    chromium = find_chromium()
    with (
        start("gallery") as (_, url, _process),
        delay(url, LATENCY) as far_url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        figures = {
            "drag_updates_per_s": measure_drag(browser, url, arguments.seconds),
            "drag_updates_per_s_100ms": measure_drag(browser, far_url, arguments.seconds),
            "playground_steps_per_s": measure_playground(browser, url, arguments.seconds),
        }
        browser.close()
    print_figures(figures, arguments.json, digits=1)


if __name__ == "__main__":
    main()
