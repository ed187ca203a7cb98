from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from shared.nets import VAE, Generator, GeneratorConfig, VAEConfig

CHANNELS = (8, 8, 8, 8)


@pytest.fixture(scope="module")
def vae() -> VAE:
    """A tiny untrained one."""
    torch.manual_seed(0)
    return VAE(VAEConfig(channels=(8, *CHANNELS), encoder_channels=CHANNELS)).eval()


@pytest.fixture(scope="module")
def gan() -> Generator:
    """The generator of a tiny untrained one."""
    torch.manual_seed(1)
    return Generator(GeneratorConfig(channels=(8, *CHANNELS))).eval()


@pytest.fixture
def small_heap() -> Iterator[None]:
    """Keep the garbage collector, which the cache calls, from walking all that tests import."""
    gc.freeze()
    yield
    gc.unfreeze()
