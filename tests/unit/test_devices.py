"""What a container allows counts, wherever the system writes it down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from shared.devices import device_memory_bytes, host_memory_bytes, pick_device
from shared.errors import GalleryError
from shared.settings import ROOT

MB = 10**6
NO_LIMIT = str(2**63 - 4096)  # what version 1 of control groups writes


def machine(root: Path, groups: str, **limits: str) -> Path:
    """A ``/proc`` and a ``/sys``: ``limits`` are files below the control groups' folder."""
    files = {"proc/self/cgroup": groups}
    files |= {f"sys/fs/cgroup/{path}": text for path, text in limits.items()}
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/app", {"app/memory.max": str(300 * MB)}),
        ("0::/app", {"app/memory.max": "max", "app/memory.high": str(300 * MB)}),
        ("0::/slice/app", {"slice/memory.max": str(300 * MB), "slice/app/memory.max": "max"}),
        ("0::/", {"memory.max": str(300 * MB)}),
        ("0::/on/the/host", {"memory.max": str(300 * MB)}),
        ("0::/app", {"unified/app/memory.max": str(300 * MB)}),
        ("3:cpu,memory:/app\n0::/", {"memory/app/memory.limit_in_bytes": str(300 * MB)}),
        (
            "4:memory:/docker/1\n1:cpu:/",
            {
                "memory/docker/1/memory.limit_in_bytes": NO_LIMIT,
                "memory/memory.limit_in_bytes": str(300 * MB),
            },
        ),
    ],
)
def test_the_limit_of_a_container_is_found(
    tmp_path: Path, groups: str, limits: dict[str, str]
) -> None:
    assert host_memory_bytes(machine(tmp_path, groups, **limits)) == 300 * MB


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/app", {"app/memory.max": "max"}),
        ("4:memory:/app", {"memory/app/memory.limit_in_bytes": NO_LIMIT}),
        ("1:name=systemd:/", {}),
        ("0::/app", {"neighbour/memory.max": str(300 * MB)}),
    ],
)
def test_without_a_limit_it_is_the_machines_memory(
    tmp_path: Path, groups: str, limits: dict[str, str]
) -> None:
    root = machine(tmp_path, groups, **limits)
    assert host_memory_bytes(root) == psutil.virtual_memory().total


def test_other_systems_have_no_control_groups(tmp_path: Path) -> None:
    assert host_memory_bytes(tmp_path) == psutil.virtual_memory().total


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to the limit")
def test_a_limited_address_space_counts(tmp_path: Path) -> None:
    script = (
        "import resource, pathlib, sys; from shared.devices import host_memory_bytes;"
        "resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9));"
        "print(host_memory_bytes(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == 10**9


@pytest.mark.skipif(torch.cuda.is_available(), reason="There is a CUDA device here.")
def test_a_device_that_is_not_there_is_no_silent_fallback() -> None:
    with pytest.raises(GalleryError, match="GALLERY_DEVICE asks for cuda"):
        pick_device("cuda")
    assert pick_device("cpu") == torch.device("cpu")


def test_models_on_the_cpu_live_in_host_memory() -> None:
    assert device_memory_bytes("cpu") == host_memory_bytes()


def test_a_graphics_card_keeps_some_memory_for_the_work() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("No CUDA device here.")
    total = torch.cuda.get_device_properties("cuda:0").total_memory
    assert 0.8 * total < device_memory_bytes("cuda:0") < 0.9 * total
