"""Devices, dtypes and memory. torch is imported late, so that the page starts faster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from shared.errors import GalleryError

if TYPE_CHECKING:
    import torch

# Share of a GPU's memory for models; the rest is for activations and the driver.
GPU_SHARE = 0.85


def pick_device(name: str = "auto") -> torch.device:
    """Return the named device; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        GalleryError: This machine has no such device.
    """
    import torch

    available = [
        *(["cuda"] if torch.cuda.is_available() else []),
        *(["mps"] if torch.backends.mps.is_available() else []),
        "cpu",
    ]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise GalleryError(
            f"GALLERY_DEVICE asks for {name}, but torch finds no such device here. "
            "Start the gallery with GALLERY_DEVICE=auto."
        )
    return torch.device(name)


def pick_dtype(device: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 elsewhere: CPUs without AVX-512 emulate half precision slowly."""
    import torch

    return torch.float16 if device.type == "cuda" else torch.float32


def device_memory_bytes(name: str) -> int:
    """Return the bytes that models may use on ``name``, such as ``cuda:0``, ``mps`` or ``cpu``."""
    import torch

    device_type = torch.device(name).type
    if device_type == "cuda":
        return int(torch.cuda.get_device_properties(name).total_memory * GPU_SHARE)
    if device_type == "mps":
        return int(torch.mps.recommended_max_memory())
    return host_memory_bytes()


def host_memory_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that this process can use.

    In a container, psutil reports the memory of the whole machine. So the limits of the process and
    of its control groups are taken into account.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    return min([psutil.virtual_memory().total, *_process_limits(), *_control_group_limits(root)])


def _process_limits() -> Iterator[int]:
    """Yield the limit of the address space (``ulimit -v``), if there is one."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield limit


def _control_group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups and of those above them.

    Version 1 writes a huge number where there is no limit, version 2 the word ``max``.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, or not readable
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            tops, files = [mounts, mounts / "unified"], ["memory.max", "memory.high"]
        elif "memory" in controllers.split(","):
            tops, files = [mounts / "memory"], ["memory.limit_in_bytes"]
        else:
            continue
        # Within a container this may be a path of the host: missing files are skipped.
        own = Path(path.strip("/"))
        for top in tops:
            for group in (own, *own.parents):
                for file in files:
                    yield from _read_number(top / group / file)


def _read_number(path: Path) -> Iterator[int]:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return
    if text.isdigit():
        yield int(text)
