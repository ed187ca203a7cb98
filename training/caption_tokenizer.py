"""The tokenizer that knows every word of the captions."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.captions import MAX_TOKENS, phrases


def build_tokenizer() -> CLIPTokenizer:
    """Build a CLIP tokenizer in which every word of the grammar is one token.

    Byte-pair encoding is trained on the grammar's phrases (Sennrich et al. 2016, arXiv:1508.07909).
    All 256 bytes are tokens too, so any other word is spelled out instead of being refused. Case
    makes no difference.
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
    untrained.train_from_iterator(phrases(), trainer)
    merges: Any = [tuple(pair) for pair in json.loads(untrained.to_str())["model"]["merges"]]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters]
    tokens += [first + second for first, second in merges]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
