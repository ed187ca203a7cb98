"""Errors whose message a visitor reads.

    GalleryError
    ├── InvalidRequest      a field is outside its range; nothing was run
    │   └── UnknownModel    no such key in the catalogue
    ├── ModelUnavailable    weights missing, damaged or not reachable
    └── CacheUnavailable    the model cache cannot give the model now
        ├── CacheFull       the model does not fit beside those in use
        ├── OutOfMemory     memory ran out although the budget allowed the model
        └── CacheClosed     the gallery is shutting down

Each message says what is wrong and what to do. Any other exception that escapes is a bug.
"""

from __future__ import annotations


class GalleryError(Exception):
    """Base of all errors whose message is shown to visitors."""


class InvalidRequest(GalleryError):
    """A value that the visitor gave cannot be used."""


class UnknownModel(InvalidRequest):
    """The catalogue has no such model."""


class ModelUnavailable(GalleryError):
    """The model exists in the catalogue but cannot be loaded."""


class CacheUnavailable(GalleryError):
    """The model cache cannot give the model now."""


class CacheFull(CacheUnavailable):
    """No room for the model while others are in use."""


class OutOfMemory(CacheUnavailable):
    """The machine ran out of memory, and dropping idle models did not help."""


class CacheClosed(CacheUnavailable):
    """The gallery is shutting down; the cache takes no more requests."""
