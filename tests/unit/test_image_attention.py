"""Which words paint which pixels: watched beside the drawing, without touching it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload_with_hook
from diffusers import DiffusionPipeline
from PIL import Image

from demos.image.attention import (
    AttentionMaps,
    AttentionStep,
    _attend,
    attention_maps,
    has_attention_maps,
    share_network,
)
from demos.image.generate import ImageRequest, Word, generate_image
from demos.image.show_attention import describe_place, show_attention
from shared.errors import InvalidRequest

PROMPT = "a happy blue monster, with yellow horns"


def watch(pipeline: Any, **values: Any) -> list[AttentionStep]:
    request = ImageRequest.parse(
        **{"prompt": PROMPT, "num_inference_steps": 3, "seed": 1, **values}
    )
    return list(attention_maps(pipeline, request, Event()))


def maps_of(steps: list[AttentionStep]) -> AttentionMaps:
    assert steps[-1].maps
    return steps[-1].maps


def pixels(images: tuple[Image.Image, ...]) -> bytes:
    return images[0].tobytes()


@pytest.mark.parametrize("guidance", [0.0, 4.0])
def test_the_shares_of_all_tokens_sum_to_one_at_every_place_and_step(
    tiny_pipeline: Any, guidance: float
) -> None:
    maps = maps_of(watch(tiny_pipeline, guidance_scale=guidance)).maps
    assert maps.shape[:2] == (3, tiny_pipeline.tokenizer.model_max_length)
    assert maps.dtype == np.float16
    np.testing.assert_allclose(maps.sum(axis=1, dtype=np.float32), 1, atol=2e-3)


def test_with_guidance_the_half_that_knows_the_words_is_watched(tiny_pipeline: Any) -> None:
    plain = maps_of(watch(tiny_pipeline, guidance_scale=0.0)).maps
    guided = maps_of(watch(tiny_pipeline, guidance_scale=4.0)).maps
    # Both begin with the same noise.
    np.testing.assert_allclose(plain[0], guided[0], atol=1e-3)


def test_the_maps_are_the_attention_that_the_layers_compute(tiny_pipeline: Any) -> None:
    """One layer in reach: its output must be what the map says of its values."""
    unet = share_network(tiny_pipeline.unet)
    layer = next(part for name, part in unet.named_modules() if name.endswith("attn2"))
    places = torch.randn(1, 16, layer.to_q.in_features)
    tokens = torch.randn(1, 7, layer.to_k.in_features)
    shares = _attend(layer, places, tokens)  # one head
    assert layer.heads == 1
    expected = layer.to_out[0](shares.T[None] @ layer.to_v(tokens))
    torch.testing.assert_close(layer(places, encoder_hidden_states=tokens), expected)


@pytest.mark.parametrize("scheduler", ["own", "euler", "dpm++"])
def test_watching_changes_no_pixel(tiny_pipeline: Any, scheduler: str) -> None:
    settings: dict[str, Any] = {"guidance_scale": 5.0, "scheduler": scheduler}
    steps = watch(tiny_pipeline, **settings)
    request = ImageRequest.parse(prompt=PROMPT, num_inference_steps=3, seed=1, **settings)
    *_, plain = generate_image(tiny_pipeline, request, Event())
    assert pixels(steps[-1].drawing.images) == pixels(plain.images)
    assert [step.drawing.index for step in steps] == [1, 2, 3, 3]
    assert [step.maps is None for step in steps] == [True, True, True, False]


def test_the_shared_network_is_left_alone(tiny_pipeline: Any) -> None:
    before = dict(tiny_pipeline.unet.attn_processors)
    watch(tiny_pipeline)
    assert tiny_pipeline.unet.attn_processors == before
    assert not tiny_pipeline.unet._forward_hooks
    assert not tiny_pipeline.unet._forward_pre_hooks


def test_a_copy_shares_every_weight_even_under_offloading(tiny_pipeline: Any) -> None:
    whole = share_network(tiny_pipeline.unet)  # hooks are not for the network of other tests
    _, text_hook = cpu_offload_with_hook(share_network(tiny_pipeline.text_encoder), "cpu")
    network, _ = cpu_offload_with_hook(whole, "cpu", prev_module_hook=text_hook)
    copy = share_network(network)
    assert copy._hf_hook is network._hf_hook
    assert copy.forward.args[0] is copy, "what accelerate wraps runs the copy"
    pairs = zip(copy.state_dict().values(), tiny_pipeline.unet.state_dict().values(), strict=True)
    assert all(one.data_ptr() == other.data_ptr() for one, other in pairs)


def test_visitors_at_the_same_time_do_not_disturb_each_other(tiny_pipeline: Any) -> None:
    wishes: list[dict[str, Any]] = [
        {"seed": seed, "prompt": prompt, "num_inference_steps": steps}
        for seed, prompt, steps in [(1, "a red beast", 2), (2, PROMPT, 6), (3, "grey horns", 4)]
    ]
    alone = [maps_of(watch(tiny_pipeline, **wish)) for wish in wishes]
    with ThreadPoolExecutor() as visitors:
        together = visitors.map(lambda wish: maps_of(watch(tiny_pipeline, **wish)), wishes)
        for one, other in zip(alone, together, strict=True):
            assert one.words == other.words
            np.testing.assert_array_equal(one.maps, other.maps)


def test_stop_ends_it_without_maps(tiny_pipeline: Any) -> None:
    stop, seen = Event(), []
    for step in attention_maps(tiny_pipeline, ImageRequest.parse(num_inference_steps=50), stop):
        seen.append(step)
        stop.set()
    assert seen[-1].drawing.index < 50
    assert seen[-1].maps is None


def test_a_model_without_such_layers_is_told_apart(tiny_pipeline: Any) -> None:
    transformer = DiffusionPipeline()
    assert has_attention_maps(tiny_pipeline)
    assert not has_attention_maps(transformer)
    with pytest.raises(InvalidRequest, match="This model is no U-Net"):
        next(attention_maps(transformer, ImageRequest.parse(seed=1), Event()))


def test_tokens_become_words_again(tiny_pipeline: Any) -> None:
    result = maps_of(watch(tiny_pipeline, prompt="a dragon, blue" + " horns" * 40))
    words, shares = result.of_words()
    assert words[:4] == ["a", "dragon", "blue", "horns"]
    pieces = result.words[1].pieces
    assert pieces > 1
    np.testing.assert_allclose(
        shares[:, 1], result.maps[:, 2 : 2 + pieces].astype(np.float32).sum(axis=1)
    )
    comma_and_marks = 1 - shares.sum(axis=1)
    assert 0 < comma_and_marks.min() <= comma_and_marks.max() < 1
    last = tiny_pipeline.tokenizer.model_max_length - 1
    np.testing.assert_allclose(shares[:, -1], result.maps[:, last - 1])  # the last one that fits


def make_maps(*words: str) -> AttentionMaps:
    """Maps in which the first word is looked up in the upper left, others everywhere."""
    maps = np.full((2, len(words) + 2, 6, 6), 0.1, np.float16)
    maps[:, 1] = 0.02
    maps[:, 1, :2, :2] = 0.6
    return AttentionMaps(maps, tuple(Word(word, 1, True) for word in words))


def test_the_page_gets_a_figure_for_each_word_in_order() -> None:
    page = show_attention(make_maps("<horns>", "blue"), Image.new("RGB", (64, 64), "red"))
    looks = [json.loads(unescape(found)) for found in re.findall(r'data-looks="([^"]+)"', page)]
    assert [look["word"] for look in looks] == ["<horns>", "blue"]
    assert looks[0]["where"] == ["mostly upper left"] * 3, "all steps, and each of the two"
    assert "<horns>" not in page
    assert 'max="2"' in page


def test_a_prompt_without_words_says_so() -> None:
    page = show_attention(make_maps("!?", ","), Image.new("RGB", (64, 64)))
    assert "no word" in page


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (slice(0, 2), slice(2, 4), "mostly upper middle"),
        (slice(2, 4), slice(2, 4), "mostly in the middle"),
        (slice(2, 4), slice(4, 6), "mostly right"),
        (slice(4, 6), slice(0, 2), "mostly lower left"),
        (slice(0, 2), slice(0, 6), "mostly in the upper third"),
        (slice(0, 6, 5), slice(3, 4), "mostly halfway across"),
        (slice(0, 6, 5), slice(0, 6, 5), "in several places"),
        (slice(0, 6), slice(0, 6), "spread widely"),
        (slice(0, 4), slice(0, 4), "spread widely"),
    ],
)
def test_a_place_is_put_into_words(rows: slice, columns: slice, words: str) -> None:
    share = np.full((6, 6), 0.1)
    share[rows, columns] = 0.9
    assert describe_place(share) == words


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 5)])
def test_a_place_on_a_tiny_map_is_put_into_words(size: tuple[int, int]) -> None:
    assert describe_place(np.ones(size))
