"""A text and the other ways it could have gone. No Gradio here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from demos.text.generate import TextRequest, TextStep, Token
from shared.errors import InvalidRequest

MOST_BRANCHES = 50  # each is a whole text with all alternatives, kept for as long as a page is open


@dataclass(frozen=True)
class Branch:
    """One way that a text went.

    Attributes:
        tokens: All tokens after the prompt.
        taken: Place of the token that the visitor chose; -1 for none.
        note: Where it comes from, in a few words.
        is_over: The model ended the text here.
        clipped: Characters of the prompt that the model did not read.
        recipe: How it was made.
    """

    tokens: tuple[Token, ...] = ()
    taken: int = -1
    note: str = ""
    is_over: bool = False
    clipped: int = 0
    recipe: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        """The text after the prompt."""
        return "".join(token.text for token in self.tokens)


@dataclass(frozen=True)
class Story:
    """A prompt and the branches that grew from it, with the model that wrote them."""

    prompt: str
    model: str
    branches: tuple[Branch, ...] = ()
    current: int = 0

    @property
    def branch(self) -> Branch:
        """The one that is shown."""
        return self.branches[self.current] if self.branches else Branch()

    @property
    def text(self) -> str:
        """The prompt and the branch that is shown."""
        return self.prompt + self.branch.text

    def grow(self, branch: Branch) -> Story:
        """Add a branch and show it. Of more than ``MOST_BRANCHES``, the oldest are dropped."""
        branches = (*self.branches, branch)[-MOST_BRANCHES:]
        return replace(self, branches=branches, current=len(branches) - 1)

    def write(self, step: TextStep, begun: Sequence[Token]) -> Story:
        """Put what a step has written into the branch that is shown, after ``begun``."""
        branch = replace(
            self.branch,
            tokens=(*begun, *step.tokens),
            is_over=step.is_over,
            clipped=step.clipped,
        )
        others = list(self.branches)
        others[self.current] = branch
        return replace(self, branches=tuple(others))

    def visit(self, number: int) -> Story:
        """Show another branch, if there is one of that number."""
        return replace(self, current=number) if 0 <= number < len(self.branches) else self


@dataclass(frozen=True)
class WriteCommand:
    """What the next writing is to be; ``number`` makes each one new.

    Attributes:
        story: What it goes on with; None for a new one.
        branch: The branch to write into; its tokens are what it begins with.
    """

    number: int = 0
    story: Story | None = None
    branch: Branch = Branch()


def fork(story: Story, place: int, id_: int) -> Branch:
    """Return a branch that takes alternative ``id_`` for the token at ``place``.

    Raises:
        InvalidRequest: There is no such token or no such alternative.
    """
    tokens = story.branch.tokens
    if not 0 <= place < len(tokens):
        raise InvalidRequest("That token is no longer on the page. Click one that is.")
    found = [one for one in tokens[place].alternatives if one[0] == id_]
    if not found:
        raise InvalidRequest("That is none of the alternatives. Choose one from the list.")
    ((_, text, probability),) = found
    taken = replace(tokens[place], id=id_, text=text, probability=probability)
    return Branch(
        tokens=(*tokens[:place], taken),
        taken=place,
        note=f"“{text.strip() or '␣'}” instead of “{tokens[place].text.strip() or '␣'}”",
    )


def begin_with(request: TextRequest, branch: Branch) -> TextRequest:
    """Return ``request`` with the tokens of ``branch`` written already."""
    return request.model_copy(update={"begun": tuple(token.id for token in branch.tokens)})


def show_story(story: Story, *, still: bool = False) -> str:
    """Write what browser/page.js shows: the prompt, the tokens, and the branches.

    A ``still`` text offers no branches.
    """
    branch = story.branch
    return json.dumps(
        {
            "prompt": story.prompt,
            "clipped": branch.clipped,
            "tokens": [
                [token.id, token.text, round(token.probability, 5), _shorten(token)]
                for token in branch.tokens
            ],
            "taken": branch.taken,
            "over": branch.is_over,
            "branches": [one.note for one in story.branches],
            "current": story.current,
            "recipe": branch.recipe,
            "still": still,
        }
    )


def _shorten(token: Token) -> list[Any]:
    return [[id_, text, round(chance, 5)] for id_, text, chance in token.alternatives]


def read_tokens(shown: str) -> tuple[Token, ...]:
    """Read the tokens that ``show_story`` wrote."""
    return tuple(
        Token(id_, text, probability, tuple(tuple(one) for one in alternatives))
        for id_, text, probability, alternatives in json.loads(shown)["tokens"]
    )
