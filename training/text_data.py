"""Turn a folder of old children's books and poems into training tokens.

The folder holds plain ``.txt`` files in UTF-8, works separated by a line ``<|endoftext|>``:

* ``poem*.txt``: verse, one poem per work; every line break is kept.
* ``book*.txt``: Project Gutenberg texts without their licence header. Wrapped lines are joined
  into paragraphs, and verse inside a book keeps its lines.

``python -m training.get_data`` fetches the books of the bundled model into the default folder,
``.cache/training/text/source``. Other books do as well: download "Plain Text UTF-8" files from
gutenberg.org, cut the header above ``*** START`` and everything below ``*** END``, and join them
with ``<|endoftext|>`` into ``books.txt``; the poems go the same way into ``poems.txt``.

What a filter takes out is counted by reason, and the counts travel with the model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.common import DATA_CACHE

SEPARATOR = "<|endoftext|>"
SOURCE = DATA_CACHE / "text" / "source"
VOCABULARY = 4096
# Held out whole, with all that their authors wrote: about a tenth. A title page tells a book.
HELD_OUT_BOOKS = (
    "BLACK BEAUTY",  # Anna Sewell
    "JAPANESE FAIRY TALES",  # Yei Theodora Ozaki
    "OLD MOTHER WEST WIND",  # Thornton W. Burgess
    "PETER PAN",  # J. M. Barrie
    "THE ADVENTURES OF PINOCCHIO",  # Carlo Collodi
    "THE PRINCESS AND THE GOBLIN",  # George MacDonald
)
# The file of poems goes author by author; from this one on, all are by Walter de la Mare.
HELD_OUT_POEMS_FROM = "A-Tishoo"
TITLE_PAGE = 700  # characters
POEM_COPIES = 2  # verse is a sixth of the text: shown twice, it becomes a quarter
LONGEST_DOCUMENT = 20_000  # characters; what is longer is a book without headings we recognise

# A paragraph that matches is left out whole. The lists are short and matter-of-fact: names for
# peoples that are insults today, and the stock figures of period prejudice. They err towards
# dropping a harmless paragraph (there are plenty), not towards keeping a harmful one.
PREJUDICE = {
    "racial slurs": re.compile(
        r"\b(nigg(er|ah|a)s?|negro(es)?|negress(es)?|dark(y|ey|ies)|blackamoors?|mulatto(es)?"
        r"|half-?breeds?|chinam[ae]n|japs?|injuns?|red-?skins?|squaws?|pic+anin+(y|ies)"
        r"|kaffirs?|hottentots?|sambo|golliwog\w*|eskimos?|hindoos?|gip?s(y|ies)|gyps(y|ies))\b",
        re.IGNORECASE,
    ),
    "prejudice against peoples": re.compile(
        r"\b(jew(s|ess|ish)?|savages|cannibals|blacks|(red|black|white|yellow) (wo)?m[ae]n"
        r"|black (slaves?|servants?|girls?|boys?|people|fellows?|faces?|skins?|races?)"
        r"|blackfellows?|slave-?(girl|boy|woman)s?|natives)\b",
        re.IGNORECASE,
    ),
}
# A story that loses this many paragraphs to one of those no longer hangs together.
MOST_PREJUDICE = 3

# Some bawdy verse tales for adults hide among the poems; two of these words give one away.
ADULT = re.compile(
    r"\b(cuckold\w*|lascivious\w*|harlots?|brothels?|virginity|lewd\w*|wantons?|courtesans?"
    r"|strumpets?|belle|gallants)\b"
)

FRONT_MATTER = re.compile(
    r"gutenberg|\be-?texts?\b|\be-?book\b|proofread|produced by|copyright|https?:|ftp:|www\."
    r"|\ball rights reserved|\billustrat(ed|ions) by\b|fulcrum edition|html version|line-art",
    re.IGNORECASE,
)
SMALL_PRINT_END = re.compile(r"\A.*END\W*THE SMALL PRINT[^\n]*\n", re.DOTALL)
SCHOLARLY_NOTES = re.compile(r"\nNOTES AND REFERENCES\n.*", re.DOTALL)
HEADING_START = re.compile(r"(chapter|part|book|story)\b|[IVXLC]+\.?$|([IVXLC]+|\d+)\. ", re.I)


@dataclass
class Corpus:
    """Cleaned documents (a tale, a chapter or a poem each), split, and what was left out."""

    train_books: list[str] = field(default_factory=list)
    train_poems: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class TokenData:
    """Token streams of type uint16, documents separated by the end-of-text token.

    ``held_out_characters`` counts the characters of the held-out stream, one per separator, so
    that a loss in nats per token can be given in bits per character.
    """

    tokenizer: Tokenizer
    train: np.ndarray  # (N,)
    held_out: np.ndarray  # (M,)
    held_out_characters: int
    facts: dict[str, int | dict[str, int]]


def normalise(text: str) -> str:
    """Return ``text`` with ASCII quotes and dashes, no markup and no editor's brackets."""
    text = text.replace("\r", "").replace("\t", " ").replace("&amp;", "and").replace("_", "")
    text = text.replace("\ufffdd", "ed")  # a lost accent: bless�d
    text = re.sub(r" ?\[[^\[\]]{0,1000}\]", "", text)
    text = re.sub(r"\s*[—–]\s*| *-{2,} *| - *(?=\n|$)|(?<=\S) - ", "--", text)
    text = re.sub(r"\. \. \.( \.)?|…", "...", text)
    return plain_quotes(text)


def plain_quotes(text: str) -> str:
    """Give speech double quotes whatever the edition used, and make every quote ASCII.

    Half of the books quote speech as ‘this,’ and half as “this”. A single-quoted stretch is
    taken for speech when it ends in punctuation; anything unclear stays an apostrophe.
    """
    text = re.sub(
        r"(?<!\w)[‘'](?! )((?:[^‘’'“”\"]|(?<=\w)[’'])*)(?<=[,.!?;:-])[’'](?!\w)", r'"\1"', text
    )
    text = re.sub(r"[“”]", '"', text)
    return re.sub(r"[‘’`´]", "'", text)


def is_verse(lines: list[str]) -> bool:
    """True when all but the last of a paragraph's lines stop well short of the wrap."""
    full = [len(line.strip()) for line in lines[:-1]]
    return bool(full) and sum(full) / len(full) < 52


def join_lines(paragraph: str) -> str:
    """Join the wrapped lines of a prose paragraph; verse keeps its lines."""
    lines = [re.sub(r" +", " ", line).strip() for line in paragraph.split("\n")]
    return ("\n" if is_verse(lines) else " ").join(lines)


def paragraphs(text: str, *, verse: bool) -> list[str]:
    """Split one work at blank lines into clean paragraphs, or stanzas when it is ``verse``."""
    text = normalise(text)
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", text) if block.strip()]
    if not verse:
        return [re.sub(r"^\d+\.? +(?=[A-Z])", "", join_lines(block)) for block in blocks]
    return [
        "\n".join(re.sub(r" +", " ", line).strip() for line in block.split("\n"))
        for block in blocks
    ]


def is_heading(paragraph: str) -> bool:
    """True for the title of a chapter or tale: one short line, in capitals or title case."""
    if "\n" in paragraph or len(paragraph) > 70 or not re.search(r"[A-Za-z]", paragraph):
        return False
    if HEADING_START.match(paragraph) or paragraph.isupper():
        return True
    words = re.findall(r"[A-Za-z']+", paragraph)
    telling = [word for word in words if len(word) > 3] or words
    return paragraph[-1].isalpha() and all(word[0].isupper() for word in telling)


def is_contents(paragraph: str) -> bool:
    """True for several lines of titles: a table of contents or a title page."""
    lines = paragraph.split("\n")
    return len(lines) > 2 and sum(map(is_heading, lines)) > 0.7 * len(lines)


def drop_front_matter(blocks: list[str], left_out: Counter[str]) -> list[str]:
    """Remove production notes, contents and runs of more than three headings."""
    kept: list[str] = []
    run: list[str] = []
    for block in [*blocks, ""]:
        if block and is_heading(block) and not FRONT_MATTER.search(block):
            run.append(block)
            continue
        if len(run) <= 3:
            kept += run
        else:
            left_out["front matter and contents"] += len(run)
        run = []
        if not re.search(r"[A-Za-z]", block):
            continue
        if FRONT_MATTER.search(block) or is_contents(block):
            left_out["front matter and contents"] += 1
        else:
            kept.append(block)
    return kept


def split_tales(blocks: list[str]) -> Iterator[list[str]]:
    """Cut a book before its headings, and after ``LONGEST_DOCUMENT`` characters without one."""
    tale: list[str] = []
    size = 0
    for block in blocks:
        new = is_heading(block) and tale and not is_heading(tale[-1])
        if new or size > LONGEST_DOCUMENT:
            yield tale
            tale, size = [], 0
        tale.append(block)
        size += len(block)
    if tale:
        yield tale


def works(text: str, *, verse: bool) -> Iterator[tuple[str, bool]]:
    """Yield the works of one file's text, and whether each is held out."""
    held_out = False
    for work in text.split(SEPARATOR):
        if verse:
            held_out |= work.lstrip().startswith(f"{HELD_OUT_POEMS_FROM}\n")
        else:
            held_out = any(title in work[:TITLE_PAGE] for title in HELD_OUT_BOOKS)
        yield work, held_out


def documents(work: str, *, verse: bool, left_out: Counter[str]) -> Iterator[list[str]]:
    """Yield the documents of one work as lists of paragraphs."""
    if verse:
        work = re.sub(r"(Nursery Rhyme\.) [IVXLCDM]+\.", r"\1", work)
        yield paragraphs(work, verse=True)
    else:
        work = SCHOLARLY_NOTES.sub("", SMALL_PRINT_END.sub("", work))
        yield from split_tales(drop_front_matter(paragraphs(work, verse=False), left_out))


def prejudice(paragraph: str) -> str | None:
    """Name the reason for which a paragraph is left out, or None."""
    return next((name for name, words in PREJUDICE.items() if words.search(paragraph)), None)


def keep(blocks: list[str], seen: set[str], left_out: Counter[str]) -> str | None:
    """Filter one document's paragraphs and join the rest; None when nothing useful is left.

    ``seen`` holds the long paragraphs of earlier documents. What repeats one is dropped, so
    that no passage is both trained on and held out.
    """
    if len(ADULT.findall("\n".join(blocks))) >= 2:
        left_out["verse tales for adults"] += len(blocks)
        return None
    reasons = [prejudice(block) for block in blocks]
    left_out.update(reason for reason in reasons if reason)
    if sum(reason is not None for reason in reasons) >= MOST_PREJUDICE:
        left_out["rest of a story that lost three or more"] += reasons.count(None)
        return None
    kept: list[str] = []
    new: set[str] = set()
    for block in (block for block, reason in zip(blocks, reasons, strict=True) if not reason):
        letters = re.sub(r"\W", "", block).lower()
        if letters in seen:
            left_out["repeated passages"] += 1
        elif "\ufffd" in block:
            left_out["damaged characters"] += 1
        elif letters:
            kept.append(block)
            if len(letters) >= 60:
                new.add(letters)
    seen |= new
    text = "\n\n".join(kept)
    return text if len(text) >= 60 else None


def read_corpus(folder: Path) -> Corpus:
    """Clean and split every ``book*.txt`` and ``poem*.txt`` of ``folder``.

    The works of some authors are held out, whole: see ``HELD_OUT_BOOKS``.

    Raises:
        FileNotFoundError: the folder holds no such file.
    """
    files = sorted([*folder.glob("book*.txt"), *folder.glob("poem*.txt")])
    if not files:
        raise FileNotFoundError(f"no book*.txt or poem*.txt in {folder}; see training/text_data.py")
    corpus = Corpus()
    seen: set[str] = set()
    for path in files:
        verse = path.name.startswith("poem")
        train = corpus.train_poems if verse else corpus.train_books
        for work, held_out in works(path.read_text("utf-8"), verse=verse):
            for blocks in documents(work, verse=verse, left_out=corpus.left_out):
                document = keep(blocks, seen, corpus.left_out)
                if document:
                    (corpus.held_out if held_out else train).append(document)
    return corpus


def build_tokenizer(texts: list[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016; bytes as in GPT-2).

    Every text can be encoded, and decoding gives it back exactly.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Return the token stream of ``texts``, shape (N,), uint16, the separator first and last."""
    end = tokenizer.token_to_id(SEPARATOR)
    stream = [end]
    for encoding in tokenizer.encode_batch(texts):
        stream += [*encoding.ids, end]
    return np.array(stream, dtype=np.uint16)


def load_tokens(folder: Path) -> TokenData:
    """Clean and tokenize ``folder`` once; later calls read ``.cache/training/text``.

    The cache is keyed by the files' bytes and by this module's source, so that it is never stale.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted([*folder.glob("book*.txt"), *folder.glob("poem*.txt")]):
        digest.update(path.name.encode() + path.read_bytes())
    cache = DATA_CACHE / "text" / digest.hexdigest()[:12]
    facts_path = cache / "facts.json"
    if not facts_path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        corpus = read_corpus(folder)
        train = corpus.train_books + POEM_COPIES * corpus.train_poems
        tokenizer = build_tokenizer(train)
        tokenizer.save(str(cache / "tokenizer.json"))
        np.save(cache / "train.npy", encode(tokenizer, train))
        np.save(cache / "held_out.npy", encode(tokenizer, corpus.held_out))
        facts = {
            "book_documents": len(corpus.train_books),
            "poems": len(corpus.train_poems),
            "held_out_documents": len(corpus.held_out),
            "book_characters": sum(map(len, corpus.train_books)),
            "poem_characters": sum(map(len, corpus.train_poems)),
            "poem_copies": POEM_COPIES,
            "held_out_characters": sum(len(text) + 1 for text in corpus.held_out),
            "paragraphs_left_out": dict(corpus.left_out.most_common()),
        }
        facts_path.write_text(json.dumps(facts, indent=2))
    facts = json.loads(facts_path.read_text())
    return TokenData(
        tokenizer=Tokenizer.from_file(str(cache / "tokenizer.json")),
        train=np.load(cache / "train.npy"),
        held_out=np.load(cache / "held_out.npy"),
        held_out_characters=facts["held_out_characters"],
        facts=facts,
    )
