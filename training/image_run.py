"""One training run of image/critters: data, learners, checkpoint and export."""

from __future__ import annotations

import argparse
import copy
import json
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from torch import nn
from transformers import CLIPTokenizer

from shared.critters.attributes import CRITTERS
from shared.critters.vocabulary import read_worlds
from shared.critters.world import World
from shared.nets import Judge
from training.caption_tokenizer import build_tokenizer, grow_tokenizer, phrases
from training.common import (
    Budget,
    count_parameters,
    describe_hardware,
    load_checkpoint,
    save_checkpoint,
    write_record,
)
from training.evaluate_image import measure_following
from training.image_live import report_live
from training.image_nets import (
    UNET_WIDTH,
    build_autoencoder,
    build_pipeline,
    build_text_encoder,
    build_unet,
    encode,
    export_pipeline,
    tokenize,
)
from training.image_stages import (
    DENOISER_BATCH,
    Learner,
    Reader,
    evaluate_autoencoder,
    evaluate_denoiser,
    run_stage,
    train_autoencoder,
    train_denoiser,
    train_reader,
)
from training.live import LiveReport
from training.mixture import Mixture

MODEL = "image/critters"
STAGES = ("autoencoder", "reader", "denoiser")
JUDGED = 50  # captions of the score that is printed beside the loss
JUDGE_MINUTES = 10.0
RESTART = 0.4  # learning rates of a continued model, over those of a new one


class Run:
    """One training run: the data, the learners, and the files in ``out``.

    The checkpoint holds all stages. The autoencoder of the denoiser is stored apart from its
    learner: it is the best one so far, by held-out PSNR.

    Args:
        out: The model folder.
        train: Training pictures.
        held_out: Pictures to measure on; they may have held-out pairs.
        device: Where to train.
        seed: For captions.
        bfloat16: Compute in mixed precision.
        autoencoder: A pipeline folder to take the autoencoder and the tokenizer from.
        width: Channels of the U-Net.
        batch: Pictures in a step of the denoiser.
        start: A pipeline folder to continue from.
        classifier: A classifier for the autoencoder's perceptual loss.
    """

    def __init__(
        self,
        out: Path,
        train: Mixture,
        held_out: Mixture,
        device: torch.device,
        *,
        seed: int,
        bfloat16: bool,
        autoencoder: Path | None = None,
        width: int = UNET_WIDTH,
        batch: int = DENOISER_BATCH,
        start: Path | None = None,
        classifier: Judge | None = None,
    ) -> None:
        self.out, self.device, self.seed, self.bfloat16 = out, device, seed, bfloat16
        self.train, self.held_out = train, held_out
        self.width, self.batch, self.classifier = width, batch, classifier
        self.vae: AutoencoderTiny | None = None
        self.base: StableDiffusionPipeline | None = None  # the pipeline that this run continues
        self.base_worlds: Collection[str] = ()  # the worlds that ``base`` draws
        # Steps and minutes of the training of ``base``, by stage.
        self.base_record: dict[str, dict[str, float]] = {"steps": {}, "minutes": {}}
        self.tokenizer = build_tokenizer()
        if autoencoder:
            self.vae = AutoencoderTiny.from_pretrained(autoencoder, subfolder="vae").to(device)
            self.tokenizer = CLIPTokenizer.from_pretrained(autoencoder / "tokenizer")
        if start:
            self.base = StableDiffusionPipeline.from_pretrained(start, dtype=torch.float32)
            self.base.to(device)
            self.base_worlds = read_worlds(start)
            record = json.loads((start / "training.json").read_text(encoding="utf-8"))
            self.base_record = {name: record[name] for name in self.base_record}
            self.vae = self.base.vae
            self.tokenizer = grow_tokenizer(self.base.tokenizer, phrases())
            self.base.text_encoder.resize_token_embeddings(len(self.tokenizer))
        rate = RESTART if start else 1.0
        self.autoencoder: Learner[AutoencoderTiny] = Learner(
            (copy.deepcopy(self.base.vae) if self.base else build_autoencoder()).to(device),
            learning_rate=2.5e-3 * rate,
            ema_decay=0.995,
        )
        text_encoder = self.base.text_encoder if self.base else build_text_encoder(self.tokenizer)
        self.reader: Learner[Reader] = Learner(
            Reader(copy.deepcopy(text_encoder), train.values).to(device),
            learning_rate=1e-3 * rate,
            ema_decay=0.99,
        )
        self._denoiser_rate = 1e-3 * rate
        self.denoiser = self._new_denoiser()
        self.live: LiveReport[StableDiffusionPipeline] | None = None
        self.metrics: dict[str, Any] = {}
        self._judged = 0.0

    def _new_denoiser(self) -> Learner[nn.ModuleDict]:
        text_encoder = copy.deepcopy(self.reader.average.text_encoder).train().requires_grad_(True)
        channels = (self.vae or self.autoencoder.model).config.latent_channels
        unet = copy.deepcopy(self.base.unet) if self.base else build_unet(channels, self.width)
        unet = unet.train().to(memory_format=torch.channels_last)  # faster
        model = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
        return Learner(model.to(self.device), learning_rate=self._denoiser_rate, ema_decay=0.998)

    def watch(self, arguments: argparse.Namespace) -> None:
        """Write live reports and export models for them; save no checkpoints."""
        self.live = report_live(arguments, self._build_pipeline(), self.device)
        self.live.begin()

    def _build_pipeline(self) -> StableDiffusionPipeline:
        """Build a pipeline of the moving averages, which training keeps updating."""
        vae = self._check_autoencoder("pipeline")
        return build_pipeline(vae, self.denoiser.average, self.tokenizer)

    def resume(self) -> None:
        """Load ``checkpoint.pt``. Raises FileNotFoundError without one."""
        state = load_checkpoint(self.out, self.device)
        if (self.out / "tokenizer").is_dir():  # a new one may have other token ids
            self.tokenizer = CLIPTokenizer.from_pretrained(self.out / "tokenizer")
        for name in STAGES:
            getattr(self, name).load_state_dict(state[name])
        self.metrics = state["metrics"]
        if self.vae is None or self.base:
            self.vae = copy.deepcopy(self.autoencoder.average)
            self.vae.load_state_dict(state["vae"])

    def train_autoencoder(self, minutes: float, max_steps: int | None = None) -> None:
        """Train the autoencoder. This restarts the denoiser, whose latents change."""
        learner = self.autoencoder
        if self.denoiser.step:
            print("the autoencoder changes, so the denoiser starts again")
            self.denoiser = self._new_denoiser()
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        losses = train_autoencoder(
            learner,
            self.train,
            self.classifier,
            budget,
            bfloat16=self.bfloat16,
            before=self.base.vae if self.base else None,
            known=self.base_worlds,
        )
        run_stage("autoencoder", learner, losses, budget, self._save_autoencoder, max_steps)

    def train_decoder(self, minutes: float, max_steps: int | None = None) -> None:
        """Train the decoder alone. The latents do not change, so the denoiser stays valid."""
        vae = self._check_autoencoder("decoder")
        learner = self.autoencoder
        for one in (learner.model, learner.average):
            one.load_state_dict(vae.state_dict())
        learner.model.encoder.requires_grad_(False)
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        losses = train_autoencoder(
            learner, self.train, self.classifier, budget, bfloat16=self.bfloat16
        )
        run_stage("decoder", learner, losses, budget, self._save_decoder, max_steps)

    def train_reader(self, minutes: float, max_steps: int | None = None) -> None:
        """Train the text encoder; this restarts the denoiser."""
        self._check_autoencoder("reader")
        learner = self.reader
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        rng = random.Random(self.seed + learner.step)
        losses = train_reader(learner, self.train, self.tokenizer, budget, rng)
        run_stage(
            "reader",
            learner,
            losses,
            budget,
            lambda: None,
            max_steps,
            lambda loss: self._follow(draw=False, reading=loss),
        )
        self.denoiser = self._new_denoiser()
        if self.live:
            self.live.model = self._build_pipeline()
            return
        self.metrics["reader_accuracy"] = self._measure_reading()
        self._save_checkpoint()

    def train_denoiser(self, minutes: float, max_steps: int | None = None) -> None:
        """Train U-Net and text encoder on the frozen autoencoder's latents."""
        vae = self._check_autoencoder("denoiser")
        learner = self.denoiser
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        latents = encode(vae, self.train.images)
        if not self.live:
            self.judged_on = self.held_out.first(512)
            self.held_out_latents = encode(vae, self.judged_on.images)
        rng = random.Random(self.seed + learner.step)
        losses = train_denoiser(
            learner,
            latents,
            self.train,
            self.tokenizer,
            budget,
            rng,
            batch=self.batch,
            bfloat16=self.bfloat16,
        )
        run_stage(
            "denoiser",
            learner,
            losses,
            budget,
            self.live.end if self.live else self._save_denoiser,
            max_steps,
            lambda loss: self._follow(velocity=loss),
        )

    def _follow(self, *, draw: bool = True, **losses: float) -> None:
        if self.live:
            self.live.follow(losses, draw=draw)

    def measure(self) -> None:
        """Measure how well the exported pipeline follows prompts, and record that."""
        self.metrics["prompt_following"] = self._measure_following()
        self._save_record()

    def _measure_following(self) -> dict[str, float]:
        pipeline = StableDiffusionPipeline.from_pretrained(self.out, dtype=torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        critters = self.held_out.parts[0]
        words = [critters.describe(one) for one in range(min(JUDGED, len(critters)))]
        return measure_following(pipeline.to(self.device), words, critters.world).scores

    @torch.no_grad()
    def _measure_reading(self) -> dict[str, float]:
        """Return the reader's accuracy on held-out captions, by attribute."""
        rng, data = random.Random(0), self.held_out.first(500)
        captions = [data.write_caption(index, rng, clear=True) for index in range(len(data))]
        texts = [caption.text for caption in captions]
        logits = self.reader.average(tokenize(self.tokenizer, texts, self.device))
        scores = {}
        for name, values in data.values.items():
            answers = logits[name].argmax(1).tolist()
            hits = [
                values[answer] == data.describe(index)[name] if answer < len(values) else False
                for index, (answer, caption) in enumerate(zip(answers, captions, strict=True))
                if name in caption.named
            ]
            scores[name] = round(sum(hits) / len(hits), 3)
        return scores

    def _check_autoencoder(self, stage: str) -> AutoencoderTiny:
        if self.vae is None:
            raise SystemExit(
                f"The {stage} needs an autoencoder: train it with --stage autoencoder, "
                "then add --resume."
            )
        return self.vae

    def _save_autoencoder(self) -> None:
        learner = self.autoencoder
        scores = evaluate_autoencoder(learner.average, self.held_out.first(256).images)
        learner.history.append([learner.step, round(scores["psnr"], 3)])
        if -scores["psnr"] < learner.best:
            learner.best = -scores["psnr"]
            self.metrics = {"autoencoder": scores}
            self.vae = copy.deepcopy(learner.average)
            export_pipeline(self.out, self.vae, self.denoiser.average, self.tokenizer)
        self._save_checkpoint()

    def _save_decoder(self) -> None:
        learner = self.autoencoder
        self.vae = copy.deepcopy(learner.average)
        self.metrics["autoencoder"] = evaluate_autoencoder(
            self.vae, self.held_out.first(256).images
        )
        learner.history.append([learner.step, round(self.metrics["autoencoder"]["psnr"], 3)])
        export_pipeline(self.out, self.vae, self.denoiser.average, self.tokenizer)
        self._save_checkpoint()

    def _save_denoiser(self) -> None:
        learner = self.denoiser
        loss = evaluate_denoiser(
            learner.average, self.held_out_latents, self.judged_on, self.tokenizer
        )
        learner.history.append([learner.step, round(loss, 5)])
        if loss < learner.best:
            assert self.vae is not None  # train_denoiser has checked
            learner.best = loss
            self.metrics["velocity_loss"] = loss
            export_pipeline(self.out, self.vae, learner.average, self.tokenizer)
            if learner.minutes - self._judged > JUDGE_MINUTES:
                self._judged = learner.minutes
                scores = self._measure_following()
                print(f"\n{learner.minutes:.0f} min, step {learner.step}: {loss:.4f}, {scores}")
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        assert self.vae is not None  # the first evaluation has set it
        save_checkpoint(
            self.out,
            **{name: getattr(self, name).state_dict() for name in STAGES},
            vae=self.vae.state_dict(),
            metrics=self.metrics,
        )
        self._save_record()

    def _save_record(self) -> None:
        stages = {name: getattr(self, name) for name in STAGES}
        write_record(
            self.out,
            model=MODEL,
            worlds=[world.name for world in self.train.worlds],
            data=", ".join(f"{len(part):,} {part.world.name}" for part in self.train.parts)
            + " drawn by shared/critters/worlds.py (CC0), none with a held-out pair; "
            f"captions by shared/critters/captions.py; {len(self.held_out):,} to measure",
            seed=self.seed,
            steps={
                name: stage.step + self.base_record["steps"].get(name, 0)
                for name, stage in stages.items()
            },
            minutes={
                name: round(stage.minutes + self.base_record["minutes"].get(name, 0), 1)
                for name, stage in stages.items()
            },
            hardware=describe_hardware(self.device),
            parameters={
                "autoencoder": count_parameters(self.autoencoder.model),
                **{name: count_parameters(part) for name, part in self.denoiser.model.items()},
            },
            metrics=self.metrics,
            history={
                "autoencoder: step, held-out PSNR": _thin(self.autoencoder.history),
                "denoiser: step, held-out velocity loss": _thin(self.denoiser.history),
            },
            held_out_pairs={
                _name_pairs(world, names): sorted(" + ".join(pair) for pair in pairs)
                for world in self.train.worlds
                for names, pairs in world.held_out_pairs.items()
            },
        )


def _name_pairs(world: World, names: tuple[str, str]) -> str:
    """Return "eyes and mouth"; other worlds than critters may have those as well."""
    label = " and ".join(names)
    return label if world is CRITTERS else f"{world.name}: {label}"


def _thin(history: list[list[float]], keep: int = 20) -> list[list[float]]:
    """Return about ``keep`` entries of ``history``, evenly spread, the last among them."""
    every = max(1, len(history) // keep)
    return history[::-1][::every][::-1]
