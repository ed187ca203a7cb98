"""Errors whose message a visitor reads.

    GalleryError
    ├── InvalidRequest      a field is outside its range; nothing was run
    │   └── UnknownModel    no such key in the catalogue
    ├── ModelUnavailable    weights missing, damaged or not reachable
    └── CacheFull           the model does not fit beside those in use
        ├── CacheBusy       the model takes one visitor at a time, and others were first
        ├── OutOfMemory     the machine had less memory than the books said
        └── CacheClosed     the gallery is shutting down

Each message says what is wrong and what to do about it. Anything else that escapes is a bug.
"""

from __future__ import annotations


class GalleryError(Exception):
    """Base of all errors that are shown to visitors as they are."""


class InvalidRequest(GalleryError):
    """A value that the visitor gave cannot be used."""


class UnknownModel(InvalidRequest):
    """The catalogue has no model of that name."""


class ModelUnavailable(GalleryError):
    """The model exists in the catalogue but cannot be loaded."""


class CacheFull(GalleryError):
    """No room for the model while others are in use."""


class CacheBusy(CacheFull):
    """Others use the model, it does not take more at once, and the wait was too long."""


class OutOfMemory(CacheFull):
    """Memory ran out for real, and dropping what was idle did not help."""


class CacheClosed(CacheFull):
    """The gallery is ending; nothing is lent any more."""
