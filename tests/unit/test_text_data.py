"""The storyteller's data step and its training script, each on a corpus of a few lines."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import train_text
from training.text_data import (
    SEPARATOR,
    build_tokenizer,
    documents,
    encode,
    normalise,
    paragraphs,
    read_corpus,
)

WRAPPED = """\
Once upon a time there was a little mouse who lived behind the clock
in the kitchen of a very old house, and every night she counted the
strokes."""
VERSE = """\
Twinkle, twinkle, little bat,
How I wonder what you're at;
Up above the world you fly."""


def tale(number: int) -> str:
    return f"Chapter {number}\n\nThe fox said good day to hen number {number}, " + "and so on. " * 8


def write_corpus(folder: Path, tales: int = 60) -> Path:
    folder.mkdir()
    known = "\n\n".join(tale(n) for n in range(1, tales + 1))
    kept_apart = "\n\n".join(["BLACK BEAUTY", *(tale(n) for n in range(70, 80))])
    (folder / "books.txt").write_text(f"{known}\n{SEPARATOR}\n{kept_apart}")
    poems = [f"Poem {n}\n\n{VERSE}\nVerse {n} ends the song of {n}." for n in range(1, 6)]
    (folder / "poems.txt").write_text(f"\n{SEPARATOR}\n".join(poems))
    return folder


def test_wrapped_prose_is_joined_and_verse_keeps_its_lines() -> None:
    prose, verse = paragraphs(f"{WRAPPED}\n\n     {VERSE}", verse=False)
    assert "\n" not in prose
    assert prose.endswith("counted the strokes.")
    assert verse == VERSE


@pytest.mark.parametrize(
    ("printed", "plain"),
    [
        ("‘Oh dear!’ said Alice’s cat", '"Oh dear!" said Alice\'s cat'),
        ("'You're late,' said he, 'by a day.'", '"You\'re late," said he, "by a day."'),
        ("“No”—and she _ran_ [Illustration: a girl]", '"No"--and she ran'),
        ("the kings’ horses and the dog's tail", "the kings' horses and the dog's tail"),
    ],
)
def test_quotes_dashes_and_markup_become_plain(printed: str, plain: str) -> None:
    assert normalise(printed) == plain


def test_paragraph_with_a_slur_is_dropped_whole_and_counted(tmp_path: Path) -> None:
    blocks = [WRAPPED, "The Redskins crept up behind the trees.", "Then they all went home to tea."]
    (tmp_path / "books.txt").write_text("\n\n".join(blocks))
    corpus = read_corpus(tmp_path)
    (document,) = corpus.train_books
    assert "trees" not in document
    assert document.endswith("home to tea.")
    assert corpus.left_out == Counter({"racial slurs": 1})


def test_production_notes_and_contents_are_not_stories() -> None:
    text = f"Produced by A. Volunteer\n\nCONTENTS\n\nThe Mouse\n\nThe Cat\n\nThe Dog\n\n{WRAPPED}"
    (tale,) = documents(text, verse=False, left_out=Counter())
    assert [block[:9] for block in tale] == ["Once upon"]


def test_held_out_works_are_whole_and_never_trained_on(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "text")
    corpus = read_corpus(folder)
    titles = [text.split("\n")[0] for text in corpus.held_out]
    assert titles == ["BLACK BEAUTY", *(f"Chapter {n}" for n in range(71, 80))]
    with (folder / "books.txt").open("a") as file:
        file.write(f"\n{SEPARATOR}\nChapter 99\n\n" + tale(75).split("\n\n")[1])  # a second edition
    again = read_corpus(folder)
    assert again.train_books == corpus.train_books
    assert again.held_out == corpus.held_out


def test_poems_of_the_held_out_poet_are_held_out(tmp_path: Path) -> None:
    poems = [f"Poem {n}\n\n{VERSE}\nVerse {n}." for n in range(3)]
    poems[1] = poems[1].replace("Poem 1", "A-Tishoo")
    (tmp_path / "poems.txt").write_text(f"\n\n{SEPARATOR}\n".join(poems))
    corpus = read_corpus(tmp_path)
    assert [text[:6] for text in corpus.train_poems] == ["Poem 0"]
    assert [text[:6] for text in corpus.held_out] == ["A-Tish", "Poem 2"]


def test_a_folder_without_texts_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no book\*\.txt"):
        read_corpus(tmp_path)


def test_token_stream_separates_documents_and_decodes_exactly() -> None:
    texts = [WRAPPED, VERSE, "naïve  café\n\n\t☂ "]
    tokenizer = build_tokenizer(texts, vocabulary=300)
    stream = encode(tokenizer, texts)
    assert stream.dtype == "uint16"
    decoded = tokenizer.decode(stream.tolist(), skip_special_tokens=False)
    assert decoded == SEPARATOR + SEPARATOR.join(texts) + SEPARATOR


def test_every_token_is_trained_on_once_a_pass() -> None:
    tokens = np.arange(101, dtype=np.uint16)
    windows = train_text.batches(tokens, size=2, length=10, seed=0)
    targets = torch.cat([next(windows)[:, 1:].flatten() for _ in range(4)])
    assert len(targets.unique()) == len(targets) == 80


def test_two_steps_make_a_folder_that_transformers_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_corpus(tmp_path / "text"), tmp_path / "model"
    words = f"train_text --data {data} --out {out} --max-steps 2 --minutes 1 --threads 1"
    size = "--width 64 --layers 1 --context 32 --batch-size 2 --dropout 0.1"
    monkeypatch.setattr("sys.argv", f"{words} {size}".split())
    monkeypatch.setattr("training.text_data.DATA_CACHE", tmp_path)
    train_text.main()

    tokenizer = AutoTokenizer.from_pretrained(out)
    text = '  "Why ,"  said the fox .\n\nWho knows ? ☂ '
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    ids = tokenizer("The fox", return_tensors="pt").input_ids
    assert model(ids, labels=ids).loss < 1.5 * math.log(len(tokenizer))
    assert max(path.stat().st_size for path in out.glob("*.safetensors")) < 10_000_000
    assert (out / "training.json").exists()
    assert (out / "checkpoint.pt").exists()
