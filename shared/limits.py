"""How many may do what at once: every limit of the page in one table, with its reason.

A request that waits for a model or for its turn keeps one of the server's threads, so all that may
wait or run at once must fit into ``THREADS``; a test adds them up. Who finds a queue full waits in
Gradio's own, which keeps no thread and shows the place in line (``GALLERY_MAX_QUEUE``).
"""

from __future__ import annotations

# Slots of what runs models. Requests take them from shared/turns.py, all that they need at once.
DEVICE = "device"
DEVICE_SLOTS = 1  # a model that uses every core or the graphics card gains nothing from company
BATCH_ROWS = 16  # texts that a batched model advances together; more rows add little per step

# Queues of the page. Each entry: how many of its events may be under way at once.
QUEUES: dict[str, int] = {
    # Buttons that run a model: two school classes, each pupil waiting for a model or a turn.
    "generation": 64,
    # Programs: enough to keep the device busy while some of them still load their model.
    "endpoint": 8,
    # Pictures and probabilities that follow typing or a slider: stale as soon as they wait.
    "live": 4,
    # One trains, the others see their place in line (live.process.MOST_IN_LINE).
    "training": 12,
    # Loads started in "Models in memory": a click must not wait behind somebody's download.
    "load": 16,
}
QUICK = 8  # per event that only reads or changes the page; these end within milliseconds
QUICK_THREADS = 32  # kept free for all of those together
THREADS = 144
