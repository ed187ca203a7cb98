"""How the page shows the surprises of a text. No Gradio here."""

from __future__ import annotations

import html
from typing import Any

from demos.text.surprise import Surprise, Word
from demos.text.tokens import count_tokens

MOST_WORDS = 8


def show_tokens(surprise: Surprise) -> dict[str, Any]:
    """Give the page the text, token by token, see browser/surprise.js."""
    return {
        "tokens": [
            [
                one.piece.text,
                one.piece.label,
                round(one.bits, 2),
                one.expected,
                round(one.probability, 4),
            ]
            for one in surprise.judged
        ],
        "rest": surprise.text[len(surprise.read) :],
    }


def show_figures(surprise: Surprise) -> str:
    """The figures, the most surprising words, and the text as a file."""
    if not surprise.judged:
        return ""
    return (
        f'<div class="surprise-sum">{_show_sums(surprise)}</div>'
        f'<div class="surprise-pair">{_show_words(surprise)}{_show_sizes(surprise)}</div>'
    )


def _show_sums(surprise: Surprise) -> str:
    guess, bits = surprise.bits_of_guess, surprise.bits_per_token
    sums = (
        (f"{surprise.bits_per_character:.2f}", "bits per character"),
        (f"{bits:.1f}", f"bits per token; a blind guess takes {guess:.1f}"),
        (f"{2**bits:,.0f}", "tokens equally likely at each place would be as hard to guess"),
        (f"{surprise.bits:,.0f}", f"bits in all, for {count_tokens(len(surprise.judged))}"),
    )
    return "".join(f"<p><b>{figure}</b> {name}</p>" for figure, name in sums)


def _show_words(surprise: Surprise) -> str:
    worst = {word.text.casefold(): word for word in sorted(surprise.words(), key=_by_bits)}
    words = sorted(worst.values(), key=_by_bits, reverse=True)[:MOST_WORDS]
    most = max((word.bits for word in words), default=1) or 1
    rows = []
    for word in words:
        token = surprise.judged[word.first]
        rows.append(
            f'<li style="--share: {100 * word.bits / most:.0f}%">'
            f"<b><bdi>{html.escape(word.text)}</bdi></b><span>{word.bits:.1f} bits</span>"
            f"<i>expected <bdi>{html.escape(token.expected)}</bdi></i></li>"
        )
    return f"<section><h3>The most surprising words</h3><ol>{''.join(rows)}</ol></section>"


def _by_bits(word: Word) -> float:
    return word.bits


def _show_sizes(surprise: Surprise) -> str:
    sizes = surprise.sizes()
    names = {
        "plain": "as plain text",
        "gzip": "zipped with gzip",
        "model": "as a file that this model helps to write",
    }
    most = max(sizes.values())
    rows = "".join(
        f'<li style="--share: {100 * sizes[key] / most:.0f}%">'
        f"<b>{sizes[key]:,} byte{'' if sizes[key] == 1 else 's'}</b><i>{name}</i></li>"
        for key, name in names.items()
    )
    return (
        f"<section><h3>The same text on a disk</h3><ol>{rows}</ol>"
        "<p>What can be guessed need not be stored: a file needs as many bits as the text has "
        "surprise, if the reader has the same model to guess with.</p></section>"
    )
