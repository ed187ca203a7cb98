"""Tokenizer, text encoder, autoencoder and denoiser, each run alone on genuine tiny parts."""

from __future__ import annotations

import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from demos.image.noise import make_scheduler
from demos.image.parts import (
    AutoencoderRequest,
    DenoiserRequest,
    autoencode,
    denoise_once,
    draw_critter,
    find_side,
    measure_psnr,
)
from demos.image.parts_text import (
    TokensRequest,
    VectorsRequest,
    compare_words,
    encode_texts,
    read_tokens,
)
from demos.image.show_parts import (
    color_numbers,
    describe_denoised,
    describe_latents,
    show_autoencoded,
    show_denoised,
    show_tiles,
    show_tokens,
    show_vectors,
)
from shared.errors import InvalidRequest


def test_tokens_are_those_that_the_pipeline_feeds_its_encoder(tiny_pipeline: Any) -> None:
    tokenizer = tiny_pipeline.tokenizer
    for prompt in ("a green Dragon, smiling", "", "horns " * 60):
        shown = [token.number for token in read_tokens_of(tiny_pipeline, prompt) if token.is_read]
        fed = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length).input_ids
        assert shown == fed


def read_tokens_of(pipeline: Any, prompt: str) -> Any:
    return read_tokens(pipeline, TokensRequest.parse(prompt=prompt)).tokens


def test_an_unknown_word_is_in_pieces_and_what_does_not_fit_is_cut(tiny_pipeline: Any) -> None:
    tokens = read_tokens_of(tiny_pipeline, "blue dragon" + " smile" * 40)
    assert [token.text for token in tokens[:2]] == ["<|startoftext|>", "blue"]
    dragon = [token for token in tokens if token.word == 1]
    assert len(dragon) > 1
    assert "".join(token.text for token in dragon) == "dragon"
    assert sum(token.is_read for token in tokens) == tiny_pipeline.tokenizer.model_max_length
    assert not tokens[-1].is_read
    page = show_tokens(read_tokens(tiny_pipeline, TokensRequest.parse(prompt="<b> dragon " * 20)))
    assert "lacks this word" in page
    assert "struck through" in page
    assert "<b>&" not in page


def test_the_encoder_s_vectors_are_those_the_pipeline_hands_to_the_denoiser(
    tiny_pipeline: Any,
) -> None:
    request = VectorsRequest.parse(prompt="a blue monster", other="")
    one, other = encode_texts(tiny_pipeline, request)
    with torch.inference_mode():
        embeds = tiny_pipeline.encode_prompt("a blue monster", "cpu", 1, False)[0]
    np.testing.assert_allclose(one.after, embeds[0, : len(one.tokens)], atol=1e-6)
    assert one.before.shape == one.after.shape == (5, 8)
    assert len(other.tokens) == 2
    assert "share no word" in show_vectors(one, other)


def test_looked_up_a_word_is_always_the_same_and_encoded_it_is_not(tiny_pipeline: Any) -> None:
    one, other = encode_texts(tiny_pipeline, VectorsRequest.parse())
    compared = compare_words(one, other)
    assert {word for word, _, _ in compared} == {"a", "blue", "monster", "with", "yellow", "horns"}
    assert all(math.isclose(before, 1, rel_tol=1e-5) for _, before, _ in compared)
    assert min(after for _, _, after in compared) < 0.999
    assert 'class="part-alike"' in show_vectors(one, other)


@pytest.mark.parametrize("size", [(64, 64), (300, 120), (9, 40)])
def test_any_picture_goes_through_the_autoencoder_as_a_square(
    tiny_pipeline: Any, size: tuple[int, int]
) -> None:
    picture = Image.new("RGB", size, "teal")
    result = autoencode(tiny_pipeline, AutoencoderRequest.parse(picture=picture, factor=1.0))
    side = find_side(tiny_pipeline)
    assert {one.size for one in (result.original, result.decoded, result.changed)} == {(side, side)}
    channels = tiny_pipeline.vae.config.latent_channels
    assert result.latents.shape == (channels, side // 2, side // 2)
    assert measure_psnr(result.decoded, result.changed) == math.inf, "times one changes nothing"
    assert f"<b>{result.latents.size:,}</b>" in describe_latents(result)
    assert show_tiles(result).count("<button") == channels


def test_a_channel_can_be_switched_off_and_one_that_is_not_there_changes_nothing(
    tiny_pipeline: Any,
) -> None:
    off = autoencode(tiny_pipeline, AutoencoderRequest.parse(seed=7, channel=2, factor=0.0))
    assert off.channel == 2
    assert measure_psnr(off.decoded, off.changed) < math.inf
    assert "Channel 3 switched off" in show_autoencoded(off, 0.0)
    absent = autoencode(tiny_pipeline, AutoencoderRequest.parse(seed=7, channel=99))
    assert absent.channel is None
    assert measure_psnr(absent.decoded, absent.changed) == math.inf
    assert "Channel" not in show_autoencoded(absent, 0.0)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_one_step_has_the_noise_asked_for_and_is_told_the_nearest_it_knows(
    tiny_pipeline: Any, noise: float
) -> None:
    request = DenoiserRequest.parse(seed=3, prompt="a blue monster", noise=noise)
    result = denoise_once(tiny_pipeline, request)
    shares = (1 - make_scheduler(tiny_pipeline, "ddim").alphas_cumprod).sqrt()
    assert result.noise == noise
    assert abs(result.nearest - noise) == pytest.approx(
        float((shares - noise).abs().min()), abs=1e-5
    )
    assert result.difference.shape == result.latents.shape[1:]
    assert result.original == draw_critter(3, find_side(tiny_pipeline))[0]
    assert show_denoised(result, 3.0).count("<figure>") == 6
    assert f"<b>{noise:.0%} noise</b>" in show_denoised(result, 3.0)
    described = describe_denoised(result)
    assert f"time step {result.timestep}" in described
    assert ("nearest" in described) == (f"{result.nearest:.0%}" != f"{noise:.0%}")


def test_without_noise_the_denoiser_believes_what_it_sees(tiny_pipeline: Any) -> None:
    result = denoise_once(tiny_pipeline, DenoiserRequest.parse(seed=3, noise=0.0))
    assert measure_psnr(result.noisy, result.worded) > 25


def test_words_make_the_difference_and_guidance_goes_on_with_it(tiny_pipeline: Any) -> None:
    def look(prompt: str, guidance: float) -> Any:
        values: dict[str, Any] = {"prompt": prompt, "guidance_scale": guidance, "seed": 3}
        return denoise_once(tiny_pipeline, DenoiserRequest.parse(noise=0.95, **values))

    assert look("", 3.0).difference.max() == pytest.approx(0, abs=1e-5)
    told = look("a blue monster", 1.0)
    assert told.difference.max() > 1e-5
    assert told.guided == told.worded
    assert look("a blue monster", 0.0).guided == told.plain


def test_visitors_at_the_same_time_get_what_they_would_get_alone(tiny_pipeline: Any) -> None:
    requests = [DenoiserRequest.parse(seed=seed, prompt="horns " * seed) for seed in (1, 2, 40)]
    alone = [denoise_once(tiny_pipeline, request).guided for request in requests]
    with ThreadPoolExecutor() as visitors:
        together = visitors.map(lambda one: denoise_once(tiny_pipeline, one).guided, requests)
        assert alone == list(together)


def test_the_switches_of_the_shared_tokenizer_stay_as_they_are(tiny_pipeline: Any) -> None:
    backend = tiny_pipeline.tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(5)
    denoise_once(tiny_pipeline, DenoiserRequest.parse(seed=1, prompt="a blue monster"))
    encode_texts(tiny_pipeline, VectorsRequest.parse())
    read_tokens(tiny_pipeline, TokensRequest.parse())
    assert backend.padding is None
    assert backend.truncation["max_length"] == 5
    backend.no_truncation()


def test_a_denoiser_of_another_kind_is_refused_in_plain_words() -> None:
    with pytest.raises(InvalidRequest, match="built differently"):
        denoise_once(object(), DenoiserRequest.parse(seed=1))


def test_requests_and_results_can_cross_to_a_worker(tiny_pipeline: Any) -> None:
    request = DenoiserRequest.parse(seed=3, picture=Image.new("RGB", (20, 30), "red"))
    result = denoise_once(tiny_pipeline, pickle.loads(pickle.dumps(request)))
    assert pickle.loads(pickle.dumps(result)).guided == result.guided


def test_a_critter_is_described_as_it_is() -> None:
    picture, words = draw_critter(7)
    assert picture.size == (64, 64)
    assert (picture, words) == draw_critter(7)
    assert words != draw_critter(8)[1]
    assert draw_critter(7, 128)[0].size == (128, 128)


def test_numbers_are_painted_by_sign_and_size() -> None:
    picture = color_numbers(np.array([[-1.0, 0.0, 2.0]]))
    left, middle, right = np.asarray(picture)[0]
    assert left[3] == right[3] == 255
    assert middle[3] == 0
    assert left[2] > left[0]
    assert right[0] > right[2]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (TokensRequest, {"prompt": "x" * 1001}, "The prompt is too long"),
        (AutoencoderRequest, {"factor": 4}, "factor must be at most 3"),
        (DenoiserRequest, {"noise": -0.1}, "noise must be at least 0"),
    ],
)
def test_bad_values_name_the_field(kind: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        kind.parse(**values)
