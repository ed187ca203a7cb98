"""The tokenizer of the captions: every word is one token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTokenizer

from shared.critters.captions import MAX_TOKENS
from shared.critters.vocabulary import GRAMMARS


def build_tokenizer(texts: Iterable[str] | None = None) -> CLIPTokenizer:
    """Build a CLIP tokenizer in which every word of ``texts`` is one token.

    By default they are the phrases of the grammars. Byte-pair encoding is trained on them (Sennrich
    et al. 2016, arXiv:1508.07909). All 256 bytes are tokens too, so any other word is split into
    smaller tokens. It ignores case.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = alphabet + [f"{letter}</w>" for letter in alphabet]
    untrained = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # more than there are merges to learn
        show_progress=False,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
    )
    untrained.train_from_iterator(texts or phrases(), trainer)
    merges: Any = [tuple(pair) for pair in json.loads(untrained.to_str())["model"]["merges"]]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters]
    tokens += [first + second for first, second in merges]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def grow_tokenizer(tokenizer: CLIPTokenizer, texts: Iterable[str]) -> CLIPTokenizer:
    """Return a tokenizer in which every word of ``texts`` is one token too.

    The tokens of ``tokenizer`` keep their ids, and known words are split as before: the merges of
    new words come after all others.
    """
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    words = [word for text in texts for word in text.replace(",", " ").split()]
    for word in dict.fromkeys(words):
        for part in word.split("-"):
            first, *rest = tokenizer.tokenize(part)
            for second in rest:
                merges.append((first, second))
                first += second
                vocabulary.setdefault(first, len(vocabulary))
            if rest:
                tokenizer = CLIPTokenizer(
                    vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS
                )
    return tokenizer


def phrases() -> Iterator[str]:
    """Yield every phrase of the captions, world by world."""
    for grammar in GRAMMARS.values():
        yield from grammar.phrases()
