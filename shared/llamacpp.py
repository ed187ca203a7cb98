"""llama.cpp: on a CPU it runs a quantised model several times as fast as torch.

The library is part of the wheel of ``xllamacpp``. That package's own classes wrap llama.cpp's web
server, which listens on a port, returns no logits, takes no logits processors, and streams no token
that ends within a character. So this module calls the functions of ``llama.h``, which the same file
exports. llama.cpp computes the logits; tokens are drawn as for every other engine.
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

CONTEXT = 4096  # most tokens of a text; memory is allocated for all of them
TEXTS = 2  # texts of one request, which are written alternately
CHUNK = 128  # tokens of a prompt between two checks of the stop flag


class _Struct(ctypes.Structure):
    """Any structure that ``llama.h`` passes by value: 1 kB, larger than each of them.

    Callers and functions use only the bytes of the real structure, so a version with more fields
    does no harm. The fields set here are the first ones.
    """

    _fields_ = [("words", ctypes.c_uint32 * 256)]


_POINTER, _INT = ctypes.c_void_p, ctypes.c_int32
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_ignore_log = _LOG(lambda *_: None)  # it would flood the gallery's log

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
# The first fields of llama_context_params: n_ctx, n_batch, n_ubatch, n_seq_max. They tell whether
# this version has the expected layout.
_CONTEXT_DEFAULTS = [512, 2048, 512, 1]


def is_available() -> bool:
    """Whether a usable llama.cpp is installed."""
    return _open_library() is not None


@functools.cache
def _open_library() -> Any | None:
    """Return llama.cpp; None if it is missing, exports no functions (Windows), or differs."""
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
        library.llama_log_set(_ignore_log, None)
        library.llama_backend_init()
        if library.llama_context_default_params().words[:4] == _CONTEXT_DEFAULTS:
            return library
    return None


class LlamaCppEngine:
    """Runs a GGUF file, for up to ``texts`` texts at once; shared/turns.py admits one request.

    llama.cpp multiplies quantised weights with eight-bit activations: probabilities are within a
    few hundredths of torch's for the same weights.

    Each text has its own context, so that requests do not change each other's results, not even in
    the last bit. No cache is kept between texts: a prompt read in other chunks gives slightly
    different numbers, and a seed would not always give the same text.

    Attributes:
        context: Context length in tokens, at most what the model was trained on.
        ends: Token ids that end a text.
        memory: Bytes by owner, see ``Loader.measure``.
    """

    def __init__(self, file: Path, *, context: int = CONTEXT, texts: int = TEXTS) -> None:
        """Load ``file`` and allocate ``texts`` contexts.

        Raises:
            RuntimeError: llama.cpp is not available; see ``is_available``.
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
        # Runs when nothing uses the engine any more; at exit the system frees the memory.
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
            raise RuntimeError("All contexts are in use: more texts than were admitted.") from None
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

        They are a view of llama.cpp's memory, which the next call overwrites.
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
            raise MemoryError("llama.cpp cannot allocate a context.")
        threads = count_threads()
        self._library.llama_set_n_threads(context, threads, threads)
        return int(context)

    def _count_cache_bytes(self, model: int) -> int:
        """Bytes of the KV cache of a text, in half precision."""
        library = self._library
        size = library.llama_model_n_embd(model) // library.llama_model_n_head(model)
        architecture = self._look_up(model, "general.architecture")
        per_head = sum(
            int(self._look_up(model, f"{architecture}.attention.{name}_length") or size)
            for name in ("key", "value")
        )
        heads = library.llama_model_n_layer(model) * library.llama_model_n_head_kv(model)
        return 2 * self.context * int(heads) * per_head

    def _look_up(self, model: int, name: str) -> str:
        """Return a value of the file's metadata, empty if there is none."""
        text = ctypes.create_string_buffer(256)
        self._library.llama_model_meta_val_str(model, name.encode(), text, len(text))
        return text.value.decode()


def count_threads() -> int:
    """One per physical core, and no more than torch uses."""
    import psutil
    import torch

    return min(psutil.cpu_count(logical=False) or 1, torch.get_num_threads())


def _free(library: Any, model: int, contexts: Sequence[int]) -> None:
    for context in contexts:
        library.llama_free(context)
    library.llama_model_free(model)
