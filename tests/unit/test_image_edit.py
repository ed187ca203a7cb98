"""Changing a picture: the stock pipelines' image-to-image classes with tiny networks."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForImage2Image
from PIL import Image, ImageDraw

from demos.image.edit import EditRequest, edit_image, find_own_size, fit_mask, fit_picture
from demos.image.generate import ImageStep
from demos.image.noise import SCHEDULERS, is_flow
from demos.image.tabs.change import ALL, PART, describe_part, read_pad
from shared.data_urls import to_data_url
from shared.errors import InvalidRequest

pytestmark = pytest.mark.usefixtures("drawings")

SIZE = (16, 16)
# Schedulers of diffusers turn tensors into arrays in a way that NumPy means to forbid.


@pytest.fixture(params=["tiny_pipeline", "flow_pipeline"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    """One that takes noise away, and one that follows a flow."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def picture() -> Image.Image:
    """A red disc on blue, 160 x 160."""
    picture = Image.new("RGB", (160, 160), (30, 60, 200))
    ImageDraw.Draw(picture).ellipse((30, 40, 110, 120), fill=(220, 40, 40))
    return picture


@pytest.fixture
def mask() -> Image.Image:
    """The right half."""
    mask = Image.new("L", (160, 160))
    mask.paste(255, (90, 0, 160, 160))
    return mask


def edit(pipeline: Any, picture: Image.Image, mask: Any = None, **values: Any) -> list[ImageStep]:
    request = EditRequest.parse(**{"num_inference_steps": 6, "seed": 1, **values})
    return list(edit_image(pipeline, request, picture, Event(), mask))


def result(*args: Any, **values: Any) -> np.ndarray:
    """The finished picture as (H, W, 3) int."""
    return np.asarray(edit(*args, **values)[-1].images[0]).astype(int)


def test_only_the_last_steps_are_taken_and_the_picture_comes_last(
    pipeline: Any, picture: Image.Image
) -> None:
    steps = edit(pipeline, picture, strength=0.5)
    assert [(step.index, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert [len(step.images) for step in steps] == [0, 0, 0, 1]
    assert steps[-1].images[0].size == SIZE == find_own_size(pipeline)
    assert len(steps[-1].film.frames) == 4


def test_same_seed_same_result_and_another_seed_another(
    pipeline: Any, picture: Image.Image, mask: Image.Image
) -> None:
    for part in (None, mask):
        first = result(pipeline, picture, part, seed=5)
        assert (first == result(pipeline, picture, part, seed=5)).all()
        assert (first != result(pipeline, picture, part, seed=6)).any()


def test_it_makes_what_the_stock_pipeline_makes(pipeline: Any, picture: Image.Image) -> None:
    stock = AutoPipelineForImage2Image.from_pipe(copy.deepcopy(pipeline))
    stock.set_progress_bar_config(disable=True)
    (made,) = stock(
        "a red beast",
        image=fit_picture(picture, SIZE),
        strength=0.5,
        num_inference_steps=6,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(1),
    ).images
    ours = result(pipeline, picture, prompt="a red beast", guidance_scale=2, strength=0.5)
    assert (ours == np.asarray(made)).all()


def distance_of_latents(pipeline: Any, picture: Image.Image, **values: Any) -> float:
    """How far the latents, before they are decoded, are from those of the picture."""
    frames = edit(pipeline, picture, **values)[-1].film.frames
    # What one step of a tenth comes to can hardly be told from the picture.
    still = edit(pipeline, picture, num_inference_steps=50, strength=0.02, guidance_scale=0)
    return float(np.abs(frames[-1].latents - still[-1].film.frames[-1].latents).mean())


def test_the_stronger_the_further_away(pipeline: Any, picture: Image.Image) -> None:
    near, far = (
        distance_of_latents(pipeline, picture, num_inference_steps=20, strength=strength)
        for strength in (0.1, 1.0)
    )
    assert near < far / 2


def test_at_full_strength_nothing_is_left_of_the_picture(
    tiny_pipeline: Any, picture: Image.Image
) -> None:
    pipeline = copy.copy(tiny_pipeline)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(
        tiny_pipeline.scheduler.config,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
    )
    other = Image.new("RGB", (50, 50), "yellow")
    assert (result(pipeline, picture, strength=1) == result(pipeline, other, strength=1)).all()
    assert (result(pipeline, picture) != result(pipeline, other)).any()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_outside_the_mask_no_pixel_changes(
    pipeline: Any, picture: Image.Image, mask: Image.Image, scheduler: str
) -> None:
    if is_flow(pipeline.scheduler) and scheduler == "ddim":
        with pytest.raises(InvalidRequest, match="DDIM cannot be used with this model"):
            edit(pipeline, picture, mask, scheduler=scheduler)
        return
    made = result(pipeline, picture, mask, strength=1, scheduler=scheduler)
    given = np.asarray(fit_picture(picture, SIZE)).astype(int)
    assert (made[:, :9] == given[:, :9]).all()
    assert (made[:, 9:] != given[:, 9:]).any()


@pytest.mark.parametrize("scheduler", ["own", "euler", "dpm++"])
def test_while_a_part_is_replaced_the_rest_keeps_its_noise_and_ends_as_it_was(
    pipeline: Any, picture: Image.Image, mask: Image.Image, scheduler: str
) -> None:
    frames = edit(pipeline, picture, mask, scheduler=scheduler)[-1].film.frames
    # The picture's own latents, plus the noise of the first frame, by the share of each frame.
    clean = frames[-1].latents[..., :4].astype(float)
    first = frames[0]

    noise = first.latents[..., :4] - (1 - first.noise**2) ** 0.5 * clean
    noise /= first.noise
    for frame in frames:
        wanted = (1 - frame.noise**2) ** 0.5 * clean + frame.noise * noise
        np.testing.assert_allclose(frame.latents[..., :4], wanted, atol=0.02)
    assert np.abs(frames[-1].latents[..., 5:] - wanted[..., -3:]).max() > 0.05


def test_the_shared_pipeline_is_not_changed(
    pipeline: Any, picture: Image.Image, mask: Image.Image
) -> None:
    def state() -> list[Any]:
        parts = pipeline.components.items()
        return [
            {name: id(part) for name, part in parts},
            {key: repr(value) for key, value in vars(pipeline.scheduler).items()},
            dict(pipeline.config),
            [dict(part.config) for _, part in parts if hasattr(part, "save_config")],
            [value.sum().item() for value in pipeline.vae.state_dict().values()],
            pipeline._progress_bar_config,
        ]

    before = state()
    for scheduler in ("own", "euler", "dpm++"):
        edit(pipeline, picture, mask, scheduler=scheduler)
    assert state() == before


def test_visitors_at_the_same_time_do_not_disturb_each_other(
    pipeline: Any, picture: Image.Image, mask: Image.Image
) -> None:
    wishes = [(None, 1, 0.5), (mask, 2, 1.0), (mask, 3, 0.4)]

    def work(wish: Any) -> bytes:
        part, seed, strength = wish
        return result(pipeline, picture, part, seed=seed, strength=strength).tobytes()

    alone = [work(wish) for wish in wishes]
    with ThreadPoolExecutor() as visitors:
        assert list(visitors.map(work, wishes)) == alone


def test_stop_ends_it_within_a_step(pipeline: Any, picture: Image.Image, mask: Image.Image) -> None:
    stop, seen = Event(), []
    request = EditRequest.parse(num_inference_steps=50)
    for step in edit_image(pipeline, request, picture, stop, mask):
        seen.append(step)
        stop.set()
    assert seen[-1].index < seen[-1].total
    assert not seen[-1].images


def test_a_withheld_picture_stays_black(
    tiny_pipeline: Any,
    picture: Image.Image,
    mask: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def withhold(_: Any, pixels: torch.Tensor, *__: Any) -> Any:
        return torch.zeros_like(pixels), [True]  # as the genuine one does

    stock = diffusers.StableDiffusionImg2ImgPipeline
    monkeypatch.setattr(stock, "run_safety_checker", withhold)
    last = edit(tiny_pipeline, picture, mask)[-1]
    assert last.withheld == (True,)
    assert not last.images[0].getbbox()


def test_a_model_without_image_to_image_says_so(tiny_pipeline: Any, picture: Image.Image) -> None:
    class WordsOnlyPipeline(diffusers.StableDiffusionPipeline):
        pass

    words_only = copy.copy(tiny_pipeline)
    words_only.__class__ = WordsOnlyPipeline
    with pytest.raises(InvalidRequest, match="cannot start from a picture"):
        edit(words_only, picture)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": " "}, "The prompt is empty"),
        ({"strength": 1.2}, "The strength must be at most 1, not 1.2"),
        ({"strength": float("nan")}, "The strength must be"),
        ({"strength": 0}, r"The strength must be at least 0.17 with 6 steps, or there is no step"),
        ({"num_inference_steps": 1}, r"The strength must be at least 1 with 1 step,"),
        ({"num_inference_steps": 99}, r"^The num inference steps must be at most 50, not 99.$"),
        ({"scheduler": "magic"}, "The scheduler is unknown"),
    ],
)
def test_bad_values_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        EditRequest.parse(**values)


@pytest.mark.parametrize("steps", range(1, 51))
def test_the_least_strength_that_is_named_is_enough(steps: int) -> None:
    with pytest.raises(InvalidRequest, match="at least") as refused:
        EditRequest.parse(num_inference_steps=steps, strength=0.01)
    least = float(str(refused.value).split("at least ")[1].split()[0])
    assert EditRequest.parse(num_inference_steps=steps, strength=least).strength == least


def test_pictures_are_fitted_without_blurring_pixels() -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    for side in (16, 48, 160):
        enlarged = small.resize((side, side), Image.Resampling.NEAREST)
        assert fit_picture(enlarged, (16, 16)).tobytes() == small.tobytes()
    assert fit_picture(small, (64, 64)).resize((16, 16), Image.Resampling.NEAREST) == small
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste((255, 0, 0), (100, 0, 200, 100))
    assert fit_picture(wide, (16, 16)).getcolors() == [(256, (255, 0, 0))]


def test_the_mask_is_fitted_like_the_picture() -> None:
    mask = Image.new("L", (320, 160))
    mask.paste(255, (80, 0, 125, 160))
    part = np.asarray(fit_mask(mask, (16, 16)))
    assert set(np.unique(part)) == {0, 255}
    assert (part[:, :4] == 255).all()
    assert (part[:, 4:] == 0).all(), "less than half a pixel"
    for nothing in (Image.new("L", (64, 64)), Image.new("L", (640, 64), 0)):
        with pytest.raises(InvalidRequest, match="Nothing is marked"):
            fit_mask(nothing, (16, 16))


def test_the_pad_is_read_with_its_marks(picture: Image.Image) -> None:
    marks = Image.new("RGBA", picture.size)
    marks.paste((217, 70, 239, 255), (10, 20, 30, 40))
    urls = to_data_url(picture), to_data_url(marks)
    assert read_pad(ALL, *urls).mask is None
    taken = read_pad(PART, *urls)
    assert taken.picture.tobytes() == picture.tobytes()
    assert taken.mask
    assert taken.mask.getbbox() == (10, 20, 30, 40)
    assert taken.mask.getcolors() == [(160 * 160 - 400, 0), (400, 255)]
    nothing = to_data_url(Image.new("RGBA", picture.size))
    for mode, drawn, marked, words in [
        (ALL, "", "", "no picture yet"),
        (PART, "", urls[1], "no picture yet"),
        (PART, urls[0], "", "Nothing is marked"),
        (PART, urls[0], nothing, "Nothing is marked"),
        (ALL, "nonsense", "", "cannot be read"),
    ]:
        with pytest.raises(InvalidRequest, match=words):
            read_pad(mode, drawn, marked)


def test_the_recipe_says_which_part_was_replaced() -> None:
    assert describe_part(None, SIZE) == {"changed": "all"}
    mask = Image.new("L", (160, 160))
    ImageDraw.Draw(mask).rectangle((80, 0, 159, 79), fill=255)
    told = describe_part(mask, SIZE)
    assert told == {"changed": "part", "part_share": 0.25, "part_box": (8, 0, 16, 8)}
