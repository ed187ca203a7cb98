"""How prompt following is measured: the right captions, a fair judge, every figure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import nn

from shared.critters.attributes import VALUES
from shared.critters.captions import Caption
from shared.critters.picture_metrics import to_model_range
from shared.critters.world import World
from shared.critters.worlds import WORLDS
from training import evaluate_image
from training.caption_tokenizer import build_tokenizer
from training.evaluate_image import choose_words, measure_diversity, measure_following
from training.image_nets import (
    build_autoencoder,
    build_pipeline,
    build_text_encoder,
    build_unet,
)


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    """An untrained model of the bundled one's kind, with a slim U-Net."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    parts = {"unet": build_unet(width=32), "text_encoder": build_text_encoder(tokenizer)}
    return build_pipeline(build_autoencoder(), nn.ModuleDict(parts).eval(), tokenizer)


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


def count(words: list[dict[str, str]], world: World) -> np.ndarray:
    return world.count_held_out(
        {
            name: np.array([values.index(one[name]) for one in words])
            for name, values in world.values.items()
        }
    )


def test_captions_ask_for_held_out_pairs_only_or_never(world: World) -> None:
    held_out = choose_words(50, world, held_out=True, seed=1)
    seen = choose_words(50, world, held_out=False, seed=1)
    assert len(held_out) == len(seen) == 50
    assert (count(held_out, world) > 0).all()
    assert (count(seen, world) == 0).all()
    assert seen == choose_words(50, world, held_out=False, seed=1)
    assert seen != choose_words(50, world, held_out=False, seed=2)


def test_an_untrained_model_is_measured(pipeline: StableDiffusionPipeline) -> None:
    words = choose_words(4, held_out=False, seed=1)
    following = measure_following(pipeline, words, steps=1, guidance=1.5)
    assert following.images.shape[:2] == (4, 3)
    assert set(following.scores) <= set(VALUES)
    assert 0 <= following.overall <= 0.6
    again = measure_following(pipeline, words, steps=1, guidance=1.5)
    assert torch.equal(following.images, again.images)
    other = measure_following(pipeline, words, steps=1, guidance=1.5, seed=1)
    assert not torch.equal(following.images, other.images)
    assert 0 <= measure_diversity(pipeline, 2) <= 2


def test_perfect_pictures_score_as_such(
    pipeline: StableDiffusionPipeline, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = choose_words(40, world, held_out=True, seed=3)
    perfect = to_model_range(np.stack([world.render(one) for one in words]))
    captions: list[Caption] = []

    def draw(_: Any, asked: list[Caption], noise: Any, **settings: Any) -> torch.Tensor:
        captions.extend(asked)
        return perfect

    monkeypatch.setattr(evaluate_image, "draw", draw)
    following = measure_following(pipeline, words, world, drop=0.3)
    assert following.overall > 0.98
    counted = sum(len(hits) for hits in following.right.values())
    assert counted == sum(len(caption.named) for caption in captions)  # what is left open is not
    shuffled = perfect.flip(0)
    monkeypatch.setattr(evaluate_image, "draw", lambda *_, **__: shuffled)
    assert measure_following(pipeline, words, world).overall < 0.5


def test_json_is_one_flat_line_and_the_file_has_every_figure(
    pipeline: StableDiffusionPipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.common.DATA_CACHE", tmp_path / "cache")
    monkeypatch.setattr(evaluate_image, "TRAINING_PICTURES", 20)
    monkeypatch.setattr(evaluate_image, "FULL_STEPS", 2)
    pipeline.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "training.json").write_text('{"worlds": ["critters", "sprouts"]}')
    file = tmp_path / "evaluation.json"
    command = ["evaluate_image", "--count", "4", "--json", "--model", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(file)])
    evaluate_image.main()
    (line,) = capsys.readouterr().out.splitlines()
    figures = json.loads(file.read_text())
    flat = json.loads(line)
    assert flat.items() < figures.items()
    assert not any(isinstance(value, dict | list) for value in flat.values())
    shares = {"oracle_acc", "attr_acc_seen", "attr_acc_heldout"}
    assert shares | {"fewstep_share", "diversity", "near_copy_ratio", "steps"} <= set(flat)
    assert all(0 <= figures[name] <= 1 for name in shares)
    assert figures["oracle_acc"] > 0.9
    assert figures["captions"] == 4
    assert set(figures["worlds"]) == {"sprouts"}
    assert shares | {"seen", "held_out"} <= set(figures["worlds"]["sprouts"])
    assert figures["worlds"]["sprouts"]["oracle_acc"] > 0.9
