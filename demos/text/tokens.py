"""How a text splits into tokens, and how a single token is shown. No Gradio here."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.catalog import LanguageModel
from shared.errors import InvalidRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_TEXT = 20_000  # characters
# What a text begins with in training where nothing else does: the mark between two documents.
DOCUMENT_MARK = "<|endoftext|>"
_MARKS = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


def count_tokens(count: int) -> str:
    """Say how many, such as "1 token"."""
    return f"{count:,} token{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Piece:
    """A token in its place.

    Attributes:
        id: In the vocabulary.
        text: The characters of the piece. All pieces joined are the text, exactly; where
            several tokens share a character, it belongs to the first of them.
        label: The token shown alone: spaces as ``␣``, line ends as ``↵``, and bytes that make no
            character as ``‹E2 80›``.
    """

    id: int
    text: str
    label: str


def read_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[Piece, ...]:
    """Split ``text`` as the model reads it, without what the tokenizer puts before it."""
    reading: Any = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    labels = label_tokens(tokenizer, reading.input_ids)
    pieces: list[Piece] = []
    seen = 0
    for id_, label, (_, end) in zip(reading.input_ids, labels, reading.offset_mapping, strict=True):
        pieces.append(Piece(id_, text[seen:end], label))
        seen = max(seen, end)
    if pieces and seen < len(text):  # what a tokenizer drops at the end stays the visitor's
        last = pieces.pop()
        pieces.append(Piece(last.id, last.text + text[seen:], last.label))
    return tuple(pieces)


def begin(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids before every text: none, or the model's beginning-of-text token."""
    return list(tokenizer("").input_ids)


def begin_document(language_model: LanguageModel) -> list[int]:
    """Return ids after which a model expects the beginning of a text; none if it has no such mark.

    Models are trained on documents with a mark between them, so after the mark one begins.
    """
    tokenizer = language_model.tokenizer
    if always := begin(tokenizer):
        return always
    mark = tokenizer.get_vocab().get(DOCUMENT_MARK)
    for id_ in (mark, tokenizer.bos_token_id, tokenizer.eos_token_id):
        if id_ is not None:
            return [int(id_)]
    return []


def open_model(language_model: LanguageModel) -> Any:
    """Return the model of transformers, which all that looks inside needs.

    Raises:
        InvalidRequest: Another engine runs it, which shows nothing but what it writes.
    """
    if language_model.model is None:
        raise InvalidRequest(
            "This model runs in llama.cpp, which is fast and shows nothing of its inside. "
            "Choose another model here; this one writes in the tab Write."
        )
    return language_model.model


def label_tokens(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> list[str]:
    """Name tokens so that no two have the same name."""
    return [label_bytes(raw) if raw else "‹unused›" for raw in spell(tokenizer, ids)]


def decode_tokens(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> str:
    """Return the text of tokens when nothing comes before them.

    A character of which only some bytes are there yet is U+FFFD.
    """
    return b"".join(spell(tokenizer, ids)).decode("utf-8", "replace")


def spell(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> list[bytes]:
    """Return the bytes of each token; none for a number that the vocabulary does not use.

    Vocabularies write bytes as letters (GPT-2, Qwen, SmolLM), or spaces as ``▁`` and single bytes
    as ``<0xE2>`` (Llama 2).
    """
    known: Any = tokenizer
    special = set(known.added_tokens_decoder)
    wanted: Sequence[int] = list(ids)
    by_letters = "ByteLevel" in repr(known.backend_tokenizer.decoder)
    spelt = []
    for id_, name in zip(wanted, known.convert_ids_to_tokens(wanted), strict=True):
        if name is None:
            spelt.append(b"")
        elif id_ in special:
            spelt.append(name.encode())
        elif by_letters and all(letter in _letters() for letter in name):
            spelt.append(bytes(_letters()[letter] for letter in name))
        elif byte := _BYTE_TOKEN.fullmatch(name):
            spelt.append(bytes.fromhex(byte[1]))
        else:
            spelt.append(name.replace("▁", " ").encode())
    return spelt


def label_bytes(raw: bytes) -> str:
    """Show bytes as characters where they are any, and what cannot be seen by its number."""
    shown = []
    # What is no character becomes surrogates, U+DC80 to U+DCFF.
    for letter in re.findall("[\udc80-\udcff]+|.", raw.decode("utf-8", "surrogateescape"), re.S):
        if "\udc80" <= letter[0] <= "\udcff":
            shown.append(f"‹{letter.encode('utf-8', 'surrogateescape').hex(' ').upper()}›")
        elif letter in _MARKS:
            shown.append(_MARKS[letter])
        elif not letter.isprintable():
            shown.append(f"‹U+{ord(letter):04X}›")
        elif unicodedata.combining(letter) and not shown:
            shown.append(f"◌{letter}")  # an accent needs something to sit on
        else:
            shown.append(letter)
    return "".join(shown)


@functools.cache
def _letters() -> dict[str, int]:
    """The letters by which byte-level vocabularies write bytes (Radford et al. 2019, GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }
