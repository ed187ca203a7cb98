"""All concurrency limits in one place, with their reasons.

A request that waits for a model or for its turn occupies a thread of the server, so the limits
together must fit into ``THREADS``; a test adds them up. Further requests wait in Gradio's queue,
which needs no thread and shows their position (``GALLERY_MAX_QUEUE``).
"""

from __future__ import annotations

# Slots of the resources that run models, see shared/turns.py.
DEVICE = "device"
DEVICE_SLOTS = 1  # such a model uses all cores or the GPU: two at once are no faster
BATCH_ROWS = 16  # batch size of a batched model; more rows add little throughput

# Concurrency limits of Gradio's events, by queue.
QUEUES: dict[str, int] = {
    # Buttons that run a model: two school classes, each pupil waiting for a model or a turn.
    "generation": 64,
    # Endpoints: enough to keep the device busy while some requests still load their model.
    "endpoint": 8,
    # Previews that follow typing or a slider: outdated if they wait.
    "live": 4,
    # One trains, the others see their place in line (live.process.MOST_IN_LINE).
    "training": 12,
    # Loads started in "Models in memory": a click must not wait for another visitor's download.
    "load": 16,
}
QUICK = 8  # per event that only reads or changes the page, within milliseconds
QUICK_THREADS = 32  # reserved for all of those together
THREADS = 144
