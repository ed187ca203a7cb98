"""The image trainer: two steps of each stage give a folder that stock diffusers can use."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from shared.critters.attributes import CRITTERS, VALUES
from shared.critters.live_prompts import PROMPTS
from shared.critters.vocabulary import GRAMMARS
from shared.critters.world import World
from shared.critters.worlds import SPROUTS
from training.caption_tokenizer import build_tokenizer
from training.image_live import measure_fulfilled
from training.image_run import Run
from training.mixture import Mixture
from training.pictures import Pictures
from training.train_image import SHARES, mix, share_out

CPU = torch.device("cpu")


def random_pictures(worlds: tuple[World, ...], count: int, seed: int) -> Mixture:
    rng = np.random.default_rng(seed)
    parts = [
        Pictures(
            rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8),
            world.sample(count, rng),
            world,
        )
        for world in worlds
    ]
    return Mixture(parts, [1 / len(parts)] * len(parts))


def new_run(out: Path, *worlds: World, **options: Any) -> Run:
    """A run on few pictures, of critters if no worlds are named, with a slim U-Net."""
    slim = {"seed": 0, "bfloat16": False, "width": 32, "batch": 4, **options}
    train, held_out = (random_pictures(worlds or (CRITTERS,), count, count) for count in (16, 8))
    return Run(out, train, held_out, CPU, **slim)


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


def test_a_finished_model_learns_another_world(trained: Path, tmp_path: Path) -> None:
    before = CLIPTokenizer.from_pretrained(build_small_start(trained, tmp_path / "start"))
    options = {"start": tmp_path / "start"}
    run = new_run(tmp_path / "out", CRITTERS, SPROUTS, **options)
    given = {name: value.clone() for name, value in run.denoiser.model["unet"].state_dict().items()}
    for stage in ("autoencoder", "reader", "denoiser"):
        run = new_run(tmp_path / "out", CRITTERS, SPROUTS, **options)
        if stage != "autoencoder":
            run.resume()
        getattr(run, f"train_{stage}")(1, max_steps=1)
    trained_unet = run.denoiser.model["unet"].state_dict()
    moved = [(trained_unet[name] - value).abs().max() for name, value in given.items()]
    assert 0 < max(moved) < 0.01  # it went on from there
    after = CLIPTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    assert before.get_vocab().items() < after.get_vocab().items()
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["worlds"] == ["critters", "sprouts"]
    assert record["steps"] == dict.fromkeys(SHARES, 3)  # two before, one now
    pairs = {
        "body and top",
        "eyes and mouth",
        "sprouts: plant and pot",
        "sprouts: eyes and mouth",
    }
    assert set(record["held_out_pairs"]) == pairs
    assert "plant" in record["metrics"]["reader_accuracy"]
    assert np.isfinite(draw(tmp_path / "out", 1)).all()


def build_small_start(trained: Path, folder: Path) -> Path:
    """Copy a model and cut its vocabulary down to what critters need; return its tokenizer."""
    shutil.copytree(trained, folder)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    tokenizer = build_tokenizer(GRAMMARS["critters"].phrases())
    pipeline.text_encoder.resize_token_embeddings(len(tokenizer))
    pipeline.text_encoder.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder / "tokenizer"


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
        for names, pairs in CRITTERS.held_out_pairs.items():
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
    assert measure_fulfilled(wished) == 1
    count = sum(len(words) for words in PROMPTS.values())
    wished["color"] = (wished["color"] + 1) % len(VALUES["color"])
    assert measure_fulfilled(wished) == pytest.approx(1 - 12 / count)


def test_worlds_are_mixed_by_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.common.DATA_CACHE", tmp_path)
    data = mix(["critters", "sprouts"], 100, seed=0, all_pairs=False)
    assert [part.world.name for part in data.parts] == ["critters", "sprouts"]
    assert not any(part.world.count_held_out(part.attributes).any() for part in data.parts)
    torch.manual_seed(0)
    chosen = data.choose(3000)
    critters = sum(data.find(index)[0] is data.parts[0] for index in chosen) / len(chosen)
    assert critters == pytest.approx(2 / 3, abs=0.04)
    assert set(chosen) == set(range(len(data)))
    for index in (0, len(data.parts[0]) - 1, len(data.parts[0]), len(data) - 1):
        part, row = data.find(index)
        assert np.array_equal(data.images[index], part.images[row])
        assert np.array_equal(data.images[index], part.world.render(data.describe(index)))
    with pytest.raises(IndexError):
        data.find(len(data))
    assert [len(part) for part in data.first(30).parts] == [20, min(10, len(data.parts[1]))]


def test_what_has_several_worlds_has_all_their_words() -> None:
    values = random_pictures((CRITTERS, SPROUTS), 2, 0).values
    assert set(values) == set(CRITTERS.values) | set(SPROUTS.values)
    assert values["color"] == CRITTERS.values["color"]
    assert set(SPROUTS.values["eyes"]) < set(values["eyes"])
