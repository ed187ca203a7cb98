"""The page of a room: title, wall label, tabs, lesson."""

from __future__ import annotations

import html

import gradio as gr

from demos import Demo
from shared.room import Room
from shared.ui.controls import choose_model


def create_demo(demo: Demo, room: Room) -> None:
    """Add a room to the current place: its title, its tabs and its lesson."""
    with gr.Column(elem_classes=["room", f"room-{demo.slug}"]):
        gr.HTML(
            f'<div class="wall-label"><h2>{html.escape(demo.title)}</h2>'
            f"<p>{html.escape(demo.wall_label)}</p></div>"
        )
        picker = [choose_model(room.catalog, room.task)] if demo.has_picker else []
        with gr.Tabs(elem_classes="room-tabs", overflow_behavior="wrap"):
            for title in demo.tabs:
                with gr.Tab(title):
                    demo.create_tab(title)(room, *picker)
        with gr.Accordion("Read more: how this works", open=False, elem_classes="lesson"):
            gr.Markdown(demo.lesson.read_text(encoding="utf-8"))
