"""llama.cpp: on a CPU it writes with a quantised model several times as fast as torch.

The library comes inside the wheel of ``xllamacpp``. That package's own classes wrap llama.cpp's web
server, which listens on a port, keeps the logits to itself, honours no rules but its own, and
streams no token that ends within a character. So the functions of ``llama.h`` are called instead,
which the same file exports: decoding is llama.cpp's, and tokens are drawn as by every other engine.
"""

from __future__ import annotations

import ctypes
import functools
import queue
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from shared.sampling import SampledToken, TokenSequence, draw_tokens

if TYPE_CHECKING:
    import torch

CONTEXT = 4096  # tokens that a text may have; memory is set aside for all of them
TEXTS = 2  # that one request may write by turns
CHUNK = 128  # tokens of a prompt that are read between two looks at the stop flag


class _Struct(ctypes.Structure):
    """Any structure that ``llama.h`` passes by value: 1 kB, larger than each of them.

    Whoever returns one writes its own length, and whoever takes one reads its own length, so that
    a version with more fields does no harm. What is set here comes first in its structure.
    """

    _fields_ = [("words", ctypes.c_uint32 * 256)]


_POINTER, _INT = ctypes.c_void_p, ctypes.c_int32
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_be_quiet = _LOG(lambda *_: None)  # its log would fill that of the gallery

# Result and arguments of each function.
_FUNCTIONS: Mapping[str, tuple[Any, ...]] = {
    "llama_log_set": (None, _LOG, _POINTER),
    "llama_backend_init": (None,),
    "llama_model_default_params": (_Struct,),
    "llama_model_load_from_file": (_POINTER, ctypes.c_char_p, _Struct),
    "llama_model_free": (None, _POINTER),
    "llama_model_get_vocab": (_POINTER, _POINTER),
    "llama_model_meta_val_str": (_INT, _POINTER, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t),
    "llama_model_n_ctx_train": (_INT, _POINTER),
    "llama_model_n_embd": (_INT, _POINTER),
    "llama_model_n_head": (_INT, _POINTER),
    "llama_model_n_head_kv": (_INT, _POINTER),
    "llama_model_n_layer": (_INT, _POINTER),
    "llama_model_size": (ctypes.c_uint64, _POINTER),
    "llama_vocab_n_tokens": (_INT, _POINTER),
    "llama_vocab_is_eog": (ctypes.c_bool, _POINTER, _INT),
    "llama_context_default_params": (_Struct,),
    "llama_init_from_model": (_POINTER, _POINTER, _Struct),
    "llama_free": (None, _POINTER),
    "llama_set_n_threads": (None, _POINTER, _INT, _INT),
    "llama_get_memory": (_POINTER, _POINTER),
    "llama_memory_clear": (None, _POINTER, ctypes.c_bool),
    "llama_batch_get_one": (_Struct, _POINTER, _INT),
    "llama_decode": (_INT, _POINTER, _Struct),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), _POINTER, _INT),
}
# How a context's settings begin: n_ctx, n_batch, n_ubatch, n_seq_max. Another version may differ.
_CONTEXT_DEFAULTS = [512, 2048, 512, 1]


def is_available() -> bool:
    """Whether llama.cpp is installed here in a form that can be used."""
    return _open_library() is not None


@functools.cache
def _open_library() -> Any | None:
    """Return llama.cpp, or None where it is missing, hides its functions (Windows), or differs."""
    package = find_spec("xllamacpp")
    if not package or not package.submodule_search_locations:
        return None
    for file in Path(package.submodule_search_locations[0]).glob("xllamacpp*.so"):
        try:
            library = ctypes.CDLL(str(file))
            for name, (result, *arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):
            return None
        library.llama_log_set(_be_quiet, None)
        library.llama_backend_init()
        if library.llama_context_default_params().words[:4] == _CONTEXT_DEFAULTS:
            return library
    return None


class LlamaCppEngine:
    """Writes with a GGUF file, up to ``texts`` texts at once; shared/turns.py admits one request.

    llama.cpp multiplies quantised weights with activations of eight bits: probabilities are within
    a few hundredths of those that torch finds for the same weights.

    Each text has a context of its own, so that what one visitor asks changes nothing for another,
    to the last bit. Nothing is kept from one text to the next: a prompt that has been read in
    other pieces gives slightly other numbers, and a seed would not always give the same text.

    Attributes:
        context: Tokens that it can look back on, at most what the model was trained on.
        ends: Tokens that end a text.
        memory: Bytes that it holds, by an identity.
    """

    def __init__(self, file: Path, *, context: int = CONTEXT, texts: int = TEXTS) -> None:
        """Load ``file`` and set the memory for ``texts`` texts aside.

        Raises:
            RuntimeError: llama.cpp is not installed; see ``is_available``.
            ValueError: llama.cpp cannot read the file.
            MemoryError: There is no memory for it.
        """
        library = _open_library()
        if library is None:
            raise RuntimeError("There is no llama.cpp here that can be used.")
        self._library = library
        model = library.llama_model_load_from_file(
            str(file).encode(), library.llama_model_default_params()
        )
        if not model:
            raise ValueError(f"llama.cpp cannot read {file.name}")
        handles: list[int] = []
        # Runs when the last text in the making lets go of the engine; at exit the system does it.
        weakref.finalize(self, _free, library, model, handles).atexit = False

        self.context = min(context, library.llama_model_n_ctx_train(model))
        self._contexts: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(texts):
            handles.append(self._open_context(model))
            self._contexts.put(handles[-1])
        vocabulary = library.llama_model_get_vocab(model)
        self._vocabulary = range(library.llama_vocab_n_tokens(vocabulary))
        self.ends = frozenset(
            token for token in self._vocabulary if library.llama_vocab_is_eog(vocabulary, token)
        )
        kept = texts * self._count_cache_bytes(model)
        size = int(library.llama_model_size(model))
        self.memory: dict[Hashable, int] = {("llama.cpp", model): size + kept}

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """See ``shared.sampling.Engine``."""
        try:
            context = self._contexts.get_nowait()
        except queue.Empty:
            raise RuntimeError("All contexts are taken: more texts than were admitted.") from None
        try:
            self._library.llama_memory_clear(self._library.llama_get_memory(context), False)
            new = list(sequence.ids)
            for _ in range(self.context - len(new)):
                logits = self._read(context, new, stop)
                if logits is None:
                    return
                (token,) = draw_tokens([sequence], logits)
                yield token
                new = [token.id]
        finally:
            self._contexts.put(context)

    def _read(self, context: int, ids: Sequence[int], stop: Event) -> torch.Tensor | None:
        """Add ``ids`` to a text and return the logits after it, (1, V); None if ``stop`` is set.

        They lie in memory of llama.cpp, which the next call overwrites.
        """
        import numpy as np
        import torch

        for start in range(0, len(ids), CHUNK):
            if stop.is_set():
                return None
            chunk = ids[start : start + CHUNK]
            tokens = (_INT * len(chunk))(*chunk)
            batch = self._library.llama_batch_get_one(tokens, len(chunk))
            status = self._library.llama_decode(context, batch)
            if status:
                raise RuntimeError(f"llama.cpp cannot go on: its llama_decode returned {status}.")
        logits = self._library.llama_get_logits_ith(context, -1)
        return torch.from_numpy(np.ctypeslib.as_array(logits, (1, len(self._vocabulary))))

    def _open_context(self, model: int) -> int:
        settings = self._library.llama_context_default_params()
        settings.words[:3] = [self.context, CHUNK, CHUNK]
        context = self._library.llama_init_from_model(model, settings)
        if not context:
            raise MemoryError("llama.cpp got no memory for a text.")
        threads = count_threads()
        self._library.llama_set_n_threads(context, threads, threads)
        return int(context)

    def _count_cache_bytes(self, model: int) -> int:
        """Bytes of the keys and values of a text, in half precision."""
        library = self._library
        size = library.llama_model_n_embd(model) // library.llama_model_n_head(model)
        family = self._look_up(model, "general.architecture")
        per_head = sum(
            int(self._look_up(model, f"{family}.attention.{name}_length") or size)
            for name in ("key", "value")
        )
        heads = library.llama_model_n_layer(model) * library.llama_model_n_head_kv(model)
        return 2 * self.context * int(heads) * per_head

    def _look_up(self, model: int, name: str) -> str:
        """Return a value of the file's head, empty if there is none."""
        text = ctypes.create_string_buffer(256)
        self._library.llama_model_meta_val_str(model, name.encode(), text, len(text))
        return text.value.decode()


def count_threads() -> int:
    """One per real core, and no more than torch takes."""
    import psutil
    import torch

    return min(psutil.cpu_count(logical=False) or 1, torch.get_num_threads())


def _free(library: Any, model: int, contexts: Sequence[int]) -> None:
    for context in contexts:
        library.llama_free(context)
    library.llama_model_free(model)
