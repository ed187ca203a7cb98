"""Chat: a conversation with a model that was trained to answer."""

from __future__ import annotations

import html
import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.generate import MAX_PROMPT, ChatRequest, TextRequest, Turn, generate_text
from demos.text.run import run_text
from demos.text.show_chat import SPEAKERS, show_chat
from demos.text.tabs.sampling_controls import SamplingControls
from demos.text.tokens import count_tokens
from shared.errors import InvalidRequest
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import QUEUED, QUICK, say_errors, wire_generation
from shared.ui.files import new_file
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "chat.json"
EXAMPLE_MODEL, EXAMPLE_SEED = "text/smollm2-135m", 2
INTRO = (
    "A model that answers is one that continues texts, like the others: it was trained further, on "
    "conversations. What you say and what it said before are put into the form of one, and it "
    "writes the next line."
)
SYSTEM = "You are a friendly guide in a museum of generative AI. Answer in a few short sentences."
QUESTIONS = [
    "Why do you make things up?",
    "Write a slogan for my bicycle shop, Two Wheels.",
    "Invent a character for a computer game.",
]


@dataclass(frozen=True)
class Conversation:
    """A conversation.

    Attributes:
        turns: What was said.
        asked: How often an answer was asked for.
        sent: Whether the last message is in its field still, until the answer begins.
    """

    turns: tuple[Turn, ...] = ()
    asked: int = 0
    sent: bool = False

    def say(self, message: str) -> Conversation:
        """Ask for an answer to ``message``."""
        if not message.strip():
            raise InvalidRequest("The message is empty. Write a few words first.")
        if len(message) > MAX_PROMPT:
            raise InvalidRequest(
                f"The message is too long: {len(message):,} characters, at most {MAX_PROMPT:,}."
            )
        return Conversation(
            (*self.turns, Turn(role="user", content=message)), self.asked + 1, sent=True
        )

    def ask_again(self) -> Conversation:
        """Ask for another answer to the last message."""
        said = self.turns
        while said and said[-1].role == "assistant":
            said = said[:-1]
        if not said:
            raise InvalidRequest("There is nothing to answer yet. Write a message first.")
        return Conversation(said, self.asked + 1)


def create_chat(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def answer(
        conversation: Conversation, model: str, system: str, *values: Any
    ) -> Generator[Any, None, None]:
        first = (Turn(role="system", content=system),) if system.strip() else ()
        request = ChatRequest.parse(
            prompt="", turns=(*first, *conversation.turns), **TextRequest.name_numbers(*values)
        )
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        for step in run_text(room, model, request):
            if isinstance(step, Waiting):
                yield step
                continue
            cut = f" · {step.clipped:,} earlier characters no longer fit" if step.clipped else ""
            count = f"{count_tokens(len(step.tokens))} · seed {request.seed}"
            answered = Turn(role="assistant", content=step.text[:MAX_PROMPT])
            said = replace(conversation, turns=(*conversation.turns, answered), sent=False)
            # Not before: a message that cannot be answered stays where it was written.
            yield ({message: ""} if conversation.sent else {}) | {
                page: show_chat(said.turns),
                done: said,
                caption: f"<b>{html.escape(spec.title)}</b> · {count}{cut}",
                sampling.seed.used: request.seed,
                shown_recipe: recipe,
            }
            conversation = replace(conversation, sent=False)

    example = load_example()
    gr.HTML(f'<p class="part-text">{INTRO}</p>', padding=False)
    with tab_columns() as columns:
        with columns.controls:
            message = gr.Textbox(
                "",
                label="Your message",
                placeholder=QUESTIONS[0],
                lines=2,
                max_lines=8,
            )
            buttons = RunButtons.create("Send")
            gr.Examples([[text] for text in QUESTIONS], [message], label="Questions to try")
            with gr.Row(elem_classes="seed-row"):
                again = gr.Button("Answer again", size="sm", min_width=90)
                edit = gr.Button("Edit my last", size="sm", min_width=90)
                clear = gr.Button("New conversation", size="sm", min_width=90)
            system = gr.Textbox(
                SYSTEM,
                label="What the model is told first (system prompt)",
                lines=2,
                max_length=MAX_PROMPT,
            )
            sampling = SamplingControls.create()
        with columns.exhibit:
            page = gr.HTML(show_chat(example.turns), max_height=560, autoscroll=True)
            caption = gr.HTML(example.caption, **CAPTION)
            save = gr.DownloadButton("Download the conversation", size="sm", interactive=False)
            with gr.Accordion("Recipe: the same recipe gives the same answer", open=False):
                shown_recipe = gr.JSON(example.recipe, show_label=False)
    # What was asked for, and what is there: an example cannot be continued.
    conversation, done = gr.State(Conversation()), gr.State(Conversation())

    # The number of the last request goes on even if it failed: else the same message once more
    # would be the same state, whose change event does not fire.
    def say(message: str, done: Conversation, last: Conversation) -> Conversation:
        return replace(done, asked=last.asked).say(message)

    def ask_again(done: Conversation, last: Conversation) -> Conversation:
        return replace(done, asked=last.asked).ask_again()

    def take_back(done: Conversation) -> tuple[Any, ...]:
        mine = [place for place, turn in enumerate(done.turns) if turn.role == "user"]
        if not mine:
            raise InvalidRequest("There is nothing to edit yet. Write a message first.")
        before = Conversation(done.turns[: mine[-1]], done.asked)
        return done.turns[mine[-1]].content, before, show_chat(before.turns), "", None

    def start_over(done: Conversation) -> tuple[Any, ...]:
        nothing = gr.update(value=None, interactive=False)
        return Conversation(asked=done.asked), show_chat(()), "", "", None, nothing

    def write_file(done: Conversation) -> Any:
        path = new_file("conversation.txt")
        lines = [f"{SPEAKERS[turn.role]}:\n{turn.content}\n" for turn in done.turns]
        path.write_text("\n".join(lines), encoding="utf-8")
        return gr.update(value=str(path), interactive=True)

    gr.on(
        [buttons.run.click, message.submit],
        say_errors(say),
        [message, done, conversation],
        conversation,
        **QUEUED,
    )
    again.click(say_errors(ask_again), [done, conversation], conversation, **QUEUED)
    taken = edit.click(
        say_errors(take_back), done, [message, done, page, caption, shown_recipe], **QUEUED
    )
    taken.success(write_file, done, save, **QUICK)
    clear.click(start_over, done, [done, page, message, caption, shown_recipe, save], **QUICK)
    endings = wire_generation(
        buttons,
        answer,
        [conversation, model, system, *sampling.inputs],
        [message, page, done, caption, sampling.seed.used, shown_recipe],
        caption=caption,
        begin=[conversation.change],
        end_on=[clear.click],
    )
    for event in endings:
        event.then(write_file, done, save, **QUICK)


@dataclass(frozen=True)
class Example:
    """What the tab shows at first."""

    turns: tuple[Turn, ...] = ()
    caption: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)


def load_example() -> Example:
    """Read what ``make_example`` wrote."""
    written = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    turns = tuple(Turn(**turn) for turn in written["turns"])
    return Example(turns, written["caption"], written["recipe"])


def make_example(room: Room) -> None:
    """Write what the tab shows at first, if the model that answers is on this disk."""
    if not room.engine(EXAMPLE_MODEL).is_here(room.settings):
        return
    asked = Turn(role="user", content=QUESTIONS[0])
    turns = (Turn(role="system", content=SYSTEM), asked)
    request = ChatRequest.parse(prompt="", turns=turns, seed=EXAMPLE_SEED)
    last = room.finish(generate_text, room.engine(EXAMPLE_MODEL).key, request)
    answered = Turn(role="assistant", content=last.text)
    example = {
        "turns": [turn.model_dump() for turn in (asked, answered)],
        "caption": f"A finished example, by {room.spec(EXAMPLE_MODEL).title}. It was trained to "
        "answer, and so was Qwen3; Storyteller was not.",
        "recipe": room.recipe(EXAMPLE_MODEL, request),
    }
    EXAMPLE.write_text(json.dumps(example, indent=1) + "\n", encoding="utf-8")
