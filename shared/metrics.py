"""Metrics of the model cache for Prometheus, at ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.catalog.spec import public_key
from shared.model_cache import ModelCache

# Counters of a snapshot, with their help texts.
COUNTERS = {
    "hits": "Requests that found their model ready.",
    "misses": "Requests whose model was not loaded.",
    "loads": "Loads that succeeded.",
    "failures": "Loads that failed.",
    "cancelled": "Loads that ended because nobody waited for them any more.",
    "evictions": "Models dropped from a device to make room, or because nobody used them.",
    "parkings": "Models moved from a device to host memory.",
}
STATES = ("loading", "ready", "in use", "parked")


class CacheCollector(Collector):
    """Makes metrics of a snapshot of the cache at each scrape."""

    def __init__(self, cache: ModelCache) -> None:
        """Collect from ``cache``; register it with a ``CollectorRegistry``."""
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        """Yield every metric once, all from one snapshot."""
        snapshot = self._cache.snapshot()
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"gallery_cache_{name}", text, value=snapshot[name])

        yield _gauge("waiters", "Visitors who wait for a model.", {(): snapshot["waiters"]})
        if snapshot["resident_bytes"] is not None:
            yield _gauge(
                "process_resident_bytes",
                "Memory of the whole process.",
                {(): snapshot["resident_bytes"]},
            )
        devices = {(device["device"],): device for device in snapshot["devices"]}
        for name, text in (
            ("budget_bytes", "Memory that models may take on a device."),
            ("used_bytes", "Memory that models take or have set aside on a device."),
        ):
            sizes = {key: device[name] for key, device in devices.items()}
            yield _gauge(name, text, sizes, "device")

        # Anyone who knows the key of a visitor's own model could use it: these count as one model.
        models: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for model in snapshot["models"]:
            models.setdefault((public_key(model["key"]), model["device"]), []).append(model)
        for name, text, combine in (
            ("bytes", "Memory that a model takes or has set aside.", sum),
            ("leases", "Visitors who use a model.", sum),
            ("waiters", "Visitors who wait for a model.", sum),
            ("load_seconds", "How long the last load of a model took.", max),
            ("idle_seconds", "How long nobody has used a model.", min),
        ):
            values = {key: combine(one[name] for one in group) for key, group in models.items()}
            yield _gauge(f"model_{name}", text, values, "model", "device")
        yield _gauge(
            "model_state",
            "1 for the state that a model is in, 0 for the others.",
            {
                (*key, state): float(sum(one["state"] == state for one in group))
                for key, group in models.items()
                for state in STATES
            },
            "model",
            "device",
            "state",
        )


def create_metrics_route(cache: ModelCache) -> Route:
    """Make the route that answers ``GET /metrics`` with the metrics of ``cache``.

    The format, Prometheus text or OpenMetrics, follows the Accept header.
    """
    registry = CollectorRegistry()
    registry.register(CacheCollector(cache))

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    return Route("/metrics", metrics)


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    """Make a gauge; the keys of ``values`` are tuples with a value for each of ``labels``."""
    gauge = GaugeMetricFamily(f"gallery_cache_{name}", text, labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge
