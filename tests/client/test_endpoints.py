"""Every public endpoint of the real app, used the way a program would."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from symusic import Score

from shared.recipe_files import read_recipe

PICTURE = {"num_inference_steps": 2}
TUNE = {"duration": 5}


@pytest.fixture(scope="module")
def client(app_url: str) -> Iterator[Client]:
    client = Client(app_url, verbose=False)
    yield client
    client.close()


def pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def test_endpoints_have_the_promised_names_parameters_and_defaults(client: Client) -> None:
    promised = {
        "/generate_text": "prompt model max_new_tokens temperature top_k top_p seed "
        "min_p repetition_penalty keep_end as_message begun turns",
        "/generate_image": "prompt negative_prompt model num_inference_steps guidance_scale seed",
        "/generate_music": "description model duration temperature seed style key mode meter "
        "tempo instrument accompaniment bars top_p loop",
        "/sample_latent": "dataset seed truncation",
        "/reconstruct": "dataset image",
        "/list_models": "",
        "/cache_snapshot": "",
    }
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == set(promised)
    for name, parameters in promised.items():
        found = endpoints[name]["parameters"]
        assert [parameter["parameter_name"] for parameter in found] == parameters.split()
        assert endpoints[name]["description"], "the docstring documents the endpoint"
        with_default = {p["parameter_name"] for p in found if p["parameter_has_default"]}
        assert with_default == set(parameters.split()) - {"image"}


def test_text_streams_and_repeats_with_its_seed(client: Client) -> None:
    job = client.submit("Once upon a time", max_new_tokens=40, seed=3, api_name="/generate_text")
    text, recipe = job.result()
    assert len(text.split()) > 10
    assert len({update[0] for update in job.outputs()}) > 1, "the text grows on the way"
    again, _ = client.predict(
        "Once upon a time", max_new_tokens=40, seed=3, api_name="/generate_text"
    )
    assert again == text
    assert recipe["seed"] == 3


def test_a_drawn_seed_is_reported_and_gives_the_same_text(client: Client) -> None:
    text, recipe = client.predict("The owl", max_new_tokens=12, api_name="/generate_text")
    again, _ = client.predict(
        "The owl", max_new_tokens=12, seed=recipe["seed"], api_name="/generate_text"
    )
    assert again == text


def test_a_recipe_goes_back_in_and_gives_the_same_text(client: Client) -> None:
    text, recipe = client.predict(
        "The owl",
        max_new_tokens=12,
        min_p=0.02,
        repetition_penalty=1.2,
        begun=[350, 631],
        api_name="/generate_text",
    )
    wish = {**recipe["settings"], "model": recipe["model"], "seed": recipe["seed"]}
    again, replayed = client.predict(**wish, api_name="/generate_text")
    assert again == text
    assert replayed["settings"] == recipe["settings"]


def test_a_picture_is_drawn_and_repeats_with_its_seed(client: Client) -> None:
    drawn = [
        client.predict("a blue critter", seed=seed, **PICTURE, api_name="/generate_image")
        for seed in (5, 5, 6)
    ]
    first, second, other = (pixels(path) for path, _ in drawn)
    assert first == second
    assert first != other
    assert drawn[0][1]["model"] == "image/critters"
    assert read_recipe(Path(drawn[0][0])) == drawn[0][1], "the file says how it was made"


def test_a_tune_is_composed_and_repeats_with_its_seed(client: Client) -> None:
    wav, midi, recipe = client.predict("a jig", seed=5, **TUNE, api_name="/generate_music")
    sound, rate = soundfile.read(wav)
    assert 3 < len(sound) / rate < 12
    assert abs(sound).max() > 0.05
    assert Path(midi).read_bytes().startswith(b"MThd")
    again, *_ = client.predict("a jig", seed=recipe["seed"], **TUNE, api_name="/generate_music")
    assert (soundfile.read(again)[0] == sound).all()


def test_a_tune_keeps_to_its_controls(client: Client) -> None:
    wanted = {"style": "Air", "key": "F", "mode": "Minor", "meter": "3/4", "tempo": 90, "bars": 5}
    wav, midi, recipe = client.predict(
        "a jig for harp alone", accompaniment="cello", seed=2, **wanted, api_name="/generate_music"
    )
    assert wanted.items() <= recipe["settings"].items()
    score = Score(midi)
    assert [track.program for track in score.tracks] == [46, 42]
    assert (score.time_signatures[0].numerator, round(score.tempos[0].qpm)) == (3, 90)
    assert read_recipe(Path(wav)) == recipe


def test_one_z_goes_through_both_latent_models(client: Client) -> None:
    vae, gan, recipe = client.predict(seed=8, api_name="/sample_latent")
    assert pixels(vae) != pixels(gan)
    assert recipe["seed"] == 8
    vae_again, gan_again, _ = client.predict(seed=8, api_name="/sample_latent")
    assert (pixels(vae_again), pixels(gan_again)) == (pixels(vae), pixels(gan))


def test_the_vae_rebuilds_a_picture_of_its_world(client: Client) -> None:
    critter, *_ = client.predict(seed=1, api_name="/sample_latent")
    rebuilt, figures = client.predict(image=handle_file(critter), api_name="/reconstruct")
    assert pixels(rebuilt) != pixels(critter)
    assert 0 < figures["l1"] < 0.2


def test_the_catalogue_says_what_is_loaded(client: Client) -> None:
    client.predict("Hello", max_new_tokens=1, api_name="/generate_text")
    models = {model["key"]: model for model in client.predict(api_name="/list_models")}
    assert models["text/storyteller"]["loaded"]
    assert not models["image/sd-turbo"]["loaded"]
    assert all(model["licence"] and model["bytes"] for model in models.values())


def test_the_snapshot_counts(client: Client) -> None:
    before = client.predict(api_name="/cache_snapshot")
    client.predict("Hello", max_new_tokens=1, api_name="/generate_text")
    after = client.predict(api_name="/cache_snapshot")
    assert after["hits"] + after["misses"] == before["hits"] + before["misses"] + 1
    assert after["used_bytes"] <= after["budget_bytes"]


BAD_VALUES: list[tuple[str, dict[str, Any], str]] = [
    ("/generate_text", {"prompt": ""}, "prompt is empty"),
    ("/generate_text", {"prompt": "   "}, "prompt is empty"),
    ("/generate_text", {"prompt": "word " * 20_000}, "prompt is too long: 100,000"),
    ("/generate_text", {"prompt": "word " * 3_000}, "too long for this model"),
    ("/generate_text", {"temperature": 9}, "temperature must be at most 2"),
    ("/generate_text", {"max_new_tokens": 0}, "max new tokens must be at least 1"),
    ("/generate_text", {"seed": "x"}, "seed must be a whole number"),
    ("/generate_text", {"model": "text/none"}, "no text model 'text/none'"),
    ("/generate_text", {"model": "image/critters"}, "image/critters"),
    ("/generate_image", {"model": "image/sd-turbo"}, "one-time download of about 2,600 MB"),
    ("/generate_image", {"prompt": ""}, "prompt is empty"),
    ("/generate_image", {"prompt": "x" * 100_000}, "prompt is too long"),
    ("/generate_image", {"num_inference_steps": 900}, "num inference steps must be at most"),
    ("/generate_image", {"guidance_scale": -1}, "guidance scale must be at least 0"),
    ("/generate_image", {"seed": -2}, "seed must be at least -1"),
    ("/generate_image", {"model": "nope"}, "no image model 'nope'"),
    ("/generate_image", {"model": "text/storyteller"}, "text/storyteller"),
    ("/generate_music", {"description": "x" * 100_000}, "description is too long"),
    ("/generate_music", {"duration": 0}, "duration must be at least"),
    ("/generate_music", {"temperature": 99}, "temperature must be at most"),
    ("/generate_music", {"tempo": 9000}, "tempo must be at most 300"),
    ("/generate_music", {"bars": -1}, "bars must be at least 0"),
    ("/generate_music", {"style": "Techno"}, "style must be one of"),
    ("/generate_music", {"instrument": "<b>kazoo</b>"}, "instrument must be one of"),
    ("/generate_music", {"model": "nope"}, "no music model 'nope'"),
    ("/sample_latent", {"dataset": "cats"}, "cats"),
    ("/sample_latent", {"truncation": 50}, "truncation must be at most"),
    ("/sample_latent", {"seed": 2**40}, "seed must be at most"),
]


@pytest.mark.parametrize(("endpoint", "values", "message"), BAD_VALUES)
def test_bad_values_get_a_plain_message(
    client: Client, app_log: Path, endpoint: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(AppError, match=message) as caught:
        client.predict(**values, api_name=endpoint)
    assert "Traceback" not in str(caught.value)
    assert "Traceback" not in app_log.read_text()


def test_a_text_file_is_no_picture(client: Client, tmp_path: Path) -> None:
    fake = tmp_path / "picture.png"
    fake.write_text("I am not a picture.")
    with pytest.raises(AppError, match=r"(?i)picture|image"):
        client.predict(image=handle_file(str(fake)), api_name="/reconstruct")


def test_two_visitors_at_once_get_their_own(app_url: str) -> None:
    def visit(seed: int) -> str:
        with_seed = Client(app_url, verbose=False)
        text, _ = with_seed.predict("Once", max_new_tokens=30, seed=seed, api_name="/generate_text")
        with_seed.close()
        return str(text)

    alone = [visit(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(visit, (1, 2)))
    assert together == alone
    assert alone[0] != alone[1]
