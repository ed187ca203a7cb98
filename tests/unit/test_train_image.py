"""The image trainer: two steps of each stage give a folder that stock diffusers can use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from training.critter_data import VALUES, Critters, sample_attributes
from training.train_image import Run


def random_critters(count: int, seed: int) -> Critters:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    return Critters(images, sample_attributes(count, seed=seed), VALUES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder after two steps of the autoencoder and, resumed, of the denoiser."""
    out = tmp_path_factory.mktemp("image-critters")
    critters = random_critters(16, 0), random_critters(8, 1)
    Run(out, *critters, torch.device("cpu"), seed=0, bfloat16=False).train_autoencoder(
        1, max_steps=2
    )
    resumed = Run(out, *critters, torch.device("cpu"), seed=0, bfloat16=False)
    resumed.resume()
    resumed.train_denoiser(1, max_steps=2)
    return out


def test_stock_pipeline_draws_from_the_exported_folder(trained: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(trained, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def draw(seed: int) -> np.ndarray:
        rng = torch.Generator().manual_seed(seed)
        answer = pipeline("a red blob", num_inference_steps=2, generator=rng, output_type="np")
        return answer.images[0]

    first = draw(1)
    assert first.shape == (64, 64, 3)
    assert np.isfinite(first).all()
    assert np.array_equal(first, draw(1))
    assert not np.array_equal(first, draw(2))


def test_a_resumed_run_keeps_the_numbers_of_its_tokens(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    file = folder / "tokenizer" / "tokenizer.json"
    saved = json.loads(file.read_text())
    vocabulary = saved["model"]["vocab"]
    vocabulary["a</w>"], vocabulary["b</w>"] = vocabulary["b</w>"], vocabulary["a</w>"]
    file.write_text(json.dumps(saved))
    critters = random_critters(2, 0)
    run = Run(folder, critters, critters, torch.device("cpu"), seed=0, bfloat16=False)
    run.resume()
    assert run.tokenizer.convert_tokens_to_ids("a</w>") == vocabulary["a</w>"]


def test_files_are_small_and_the_record_is_there(trained: Path) -> None:
    weights = list(trained.rglob("*.safetensors"))
    assert len(weights) >= 3
    assert all(file.stat().st_size < 10e6 for file in weights)
    assert (trained / "training.json").exists()


def test_denoiser_without_autoencoder_says_what_to_do(tmp_path: Path) -> None:
    critters = random_critters(2, 0)
    run = Run(tmp_path, critters, critters, torch.device("cpu"), seed=0, bfloat16=False)
    with pytest.raises(SystemExit, match="--stage autoencoder"):
        run.train_denoiser(1, max_steps=1)
