"""Where models run. torch is imported late, so that the page is up before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """Return the named device; ``auto`` takes CUDA, then MPS, then the CPU."""
    import torch

    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(device: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 elsewhere: CPUs without AVX-512 emulate half precision slowly."""
    import torch

    return torch.float16 if device.type == "cuda" else torch.float32
