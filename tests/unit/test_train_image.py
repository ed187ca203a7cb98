"""The image trainer: two steps of each stage give a folder that stock diffusers can use."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from training.critter_data import HELD_OUT_PAIRS, VALUES, Critters, sample_attributes
from training.image_live import measure_wishes
from training.live_prompts import PROMPTS
from training.train_image import SHARES, Run, share_out

CPU = torch.device("cpu")


def random_critters(count: int, seed: int) -> Critters:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    return Critters(images, sample_attributes(count, seed=seed), VALUES)


def new_run(out: Path, autoencoder: Path | None = None) -> Run:
    """A run on few critters, with a slim U-Net."""
    critters = random_critters(16, 0), random_critters(8, 1)
    options = {"seed": 0, "bfloat16": False, "width": 32, "batch": 4}
    return Run(out, *critters, CPU, autoencoder=autoencoder, **options)  # type: ignore[arg-type]


def draw(folder: Path, seed: int) -> np.ndarray:
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    rng = torch.Generator().manual_seed(seed)
    answer = pipeline("a red blob", num_inference_steps=2, generator=rng, output_type="np")
    return answer.images[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder after two steps of every stage, each of them resumed."""
    out = tmp_path_factory.mktemp("image-critters")
    new_run(out).train_autoencoder(1, max_steps=2)
    for stage in ("reader", "denoiser"):
        run = new_run(out)
        run.resume()
        getattr(run, f"train_{stage}")(1, max_steps=2)
    return out


def test_stock_pipeline_draws_from_the_exported_folder(trained: Path) -> None:
    first = draw(trained, 1)
    assert first.shape == (64, 64, 3)
    assert np.isfinite(first).all()
    assert np.array_equal(first, draw(trained, 1))
    assert not np.array_equal(first, draw(trained, 2))


def test_a_resumed_run_keeps_the_numbers_of_its_tokens(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    file = folder / "tokenizer" / "tokenizer.json"
    saved = json.loads(file.read_text())
    vocabulary = saved["model"]["vocab"]
    vocabulary["a</w>"], vocabulary["b</w>"] = vocabulary["b</w>"], vocabulary["a</w>"]
    file.write_text(json.dumps(saved))
    run = new_run(folder)
    run.resume()
    assert run.tokenizer.convert_tokens_to_ids("a</w>") == vocabulary["a</w>"]


def test_files_are_small_and_the_record_tells_of_every_stage(trained: Path) -> None:
    weights = list(trained.rglob("*.safetensors"))
    assert len(weights) >= 3
    assert all(file.stat().st_size < 10e6 for file in weights)
    record = json.loads((trained / "training.json").read_text())
    assert record["steps"] == dict.fromkeys(SHARES, 2)
    assert set(record["metrics"]) == {"autoencoder", "reader_accuracy", "velocity_loss"}
    assert len(record["held_out_pairs"]["body and top"]) == 40


@pytest.mark.parametrize("stage", ["reader", "denoiser"])
def test_without_an_autoencoder_the_other_stages_say_what_to_do(stage: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--stage autoencoder"):
        getattr(new_run(tmp_path), f"train_{stage}")(1, max_steps=1)


def test_another_models_autoencoder_is_taken_as_it_is(trained: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, autoencoder=trained)
    run.train_reader(1, max_steps=1)
    run.train_denoiser(1, max_steps=1)
    (weights,) = (trained / "vae").glob("*.safetensors")
    given, taken = load_file(weights), load_file(tmp_path / "vae" / weights.name)
    assert all(torch.equal(given[name], taken[name]) for name in given | taken)
    assert np.isfinite(draw(tmp_path, 1)).all()


def test_who_watches_sees_pictures_and_gets_the_model(trained: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, autoencoder=trained)
    run.watch(Namespace(out=tmp_path, seed=0, samples_every=1e-3, compare=trained))
    run.train_reader(1, max_steps=2)
    run.train_denoiser(1, max_steps=1)
    lines = (tmp_path / "live" / "reports.jsonl").read_text().splitlines()
    reports = [json.loads(line) for line in lines]
    kinds = [report["kind"] for report in reports]
    assert kinds == ["reference", "sample", "score", "loss", "loss", "sample", "score"]
    assert [set(report["losses"]) for report in reports if "losses" in report] == [
        set(),
        {"reading"},
        {"reading"},
        {"velocity"},
    ]
    assert all(
        0 <= report["scores"]["following"] <= 100 for report in reports if "scores" in report
    )
    (folder,) = (tmp_path / "live" / "models").iterdir()
    assert np.isfinite(draw(folder, 1)).all()
    assert not (tmp_path / "checkpoint.pt").exists()  # nobody will resume it


def test_the_time_is_shared_out() -> None:
    assert share_out("reader", 3, given=False) == {"reader": 3}
    whole = share_out("all", 100, given=False)
    assert list(whole) == ["autoencoder", "reader", "denoiser"]
    assert sum(whole.values()) == pytest.approx(100)
    assert share_out("all", 5, given=True) == pytest.approx({"reader": 1 / 3, "denoiser": 14 / 3})
    assert share_out("all", 20, given=True) == pytest.approx({"reader": 0.8, "denoiser": 19.2})


def test_the_prompts_ask_for_what_both_models_can_learn() -> None:
    assert len(PROMPTS) == 12
    for words in PROMPTS.values():
        for names, pairs in HELD_OUT_PAIRS.items():
            assert tuple(words.get(name, "") for name in names) not in pairs
    for text, words in PROMPTS.items():
        for name, word in words.items():
            # "round" is how one says domed, a mouth or a top may come with an article.
            assert word.replace("domed", "round").split()[0] in text, (text, name)


def test_wishes_are_counted_over_all_prompts() -> None:
    wished = {
        name: torch.tensor(
            [VALUES[name].index(words.get(name, values[0])) for words in PROMPTS.values()]
        )
        for name, values in VALUES.items()
    }
    assert measure_wishes(wished) == 1
    count = sum(len(words) for words in PROMPTS.values())
    wished["color"] = (wished["color"] + 1) % len(VALUES["color"])
    assert measure_wishes(wished) == pytest.approx(1 - 12 / count)
