"""Endpoints of the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from shared.limits import QUEUES, QUICK
from shared.ui.events import say_errors


def add_endpoint(
    api_name: str,
    function: Callable[..., Any],
    defaults: dict[str, Any],
    outputs: Sequence[Any],
    *,
    heavy: bool = True,
) -> None:
    """Publish ``function`` as an endpoint that no button of the page calls.

    Args:
        api_name: Name of the endpoint.
        function: Its docstring becomes the documentation of the endpoint.
        defaults: Parameters in order, each with its default value or an input component.
        outputs: Hidden components for the results.
        heavy: Whether it runs a model; all such endpoints share one queue.
    """
    inputs = [
        value if isinstance(value, gr.components.Component) else _hidden_input(name, value)
        for name, value in defaults.items()
    ]
    gr.Button(visible=False).click(
        say_errors(function),
        inputs,
        list(outputs),
        api_name=api_name,
        concurrency_id="endpoint" if heavy else None,
        concurrency_limit=QUEUES["endpoint"] if heavy else QUICK,
    )


def _hidden_input(name: str, value: Any) -> Any:
    # An Api component does not validate: the request does.
    types = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return Api(value, {"type": types[type(value)]}, label=name.replace("_", " "))


def create_list(name: str, item: dict[str, str]) -> Api:
    """Create a list parameter of an endpoint, empty by default; ``item`` is a JSON schema."""
    schema: Any = {"type": "array", "items": item}
    return Api([], schema, label=name.replace("_", " "))
