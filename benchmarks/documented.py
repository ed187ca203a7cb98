"""The documented figures of the gallery, each with the command that measures it.

``python -m benchmarks`` runs the commands and compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["at least", "at most", "about"]


@dataclass(frozen=True)
class Figure:
    """One documented figure.

    Attributes:
        key: Its name in the last line that the command prints.
        what: What it is, in plain words.
        documented: Its documented value.
        direction: On which side of the documented value it may be.
        tolerance: How far it may be on the wrong side, or on either side of "about"; in the same
            unit. Room for a noisy machine and for a short run.
        unit: Written behind the value.
        is_short: Whether the short form of the command measures it, too.
    """

    key: str
    what: str
    documented: float
    direction: Direction
    tolerance: float = 0.0
    unit: str = ""
    is_short: bool = True

    def holds(self, value: float) -> bool:
        """Whether ``value`` is no worse than documented, within the tolerance."""
        low, high = self.documented - self.tolerance, self.documented + self.tolerance
        is_low, is_high = value < low, value > high
        return not {"at least": is_low, "at most": is_high, "about": is_low or is_high}[
            self.direction
        ]


@dataclass(frozen=True)
class Command:
    """A program whose last line is a flat JSON object, and its figures.

    Attributes:
        module: What Python runs.
        figures: What is documented of it.
        full: Further arguments of the form that the documented values come from.
        short: Further arguments of the short form; None where both are the same.
        note: What a reader of the figures should know.
        minutes: The longest that the short form may take; the full one may take six times as long.
    """

    module: str
    figures: tuple[Figure, ...]
    full: tuple[str, ...] = ()
    short: tuple[str, ...] | None = None
    note: str = ""
    minutes: float = 20.0

    @property
    def name(self) -> str:
        """The module's name without its package."""
        return self.module.rpartition(".")[2]

    def arguments(self, is_short: bool) -> list[str]:
        """The arguments of Python."""
        more = self.short if is_short and self.short is not None else self.full
        return ["-m", self.module, *more, "--json"]


BUSY = "Documented while other programs kept the same processor busy."
COMMANDS: tuple[Command, ...] = (
    Command(
        "benchmarks.startup",
        (
            Figure(
                "first_page_ratio",
                "time from start to the first page, against a bare Gradio app of three components",
                1.27,
                "at most",
                0.2,
                "times",
            ),
            Figure(
                "rss_all_tabs_gb",
                "resident memory after every room was used",
                0.89,
                "at most",
                0.08,
                "GB",
            ),
        ),
        short=("--rounds", "2"),
    ),
    Command(
        "benchmarks.latent",
        (
            Figure(
                "drag_updates_per_s",
                "updates of both pictures a second while a slider is dragged",
                59,
                "at least",
                8,
            ),
            Figure(
                "drag_updates_per_s_100ms",
                "the same with 100 ms of network latency each way",
                58,
                "at least",
                8,
            ),
            Figure(
                "playground_steps_per_s",
                "training steps a second in the 2-D playground",
                131,
                "at least",
                30,
            ),
        ),
        short=("--seconds", "3"),
        note="In headless Chromium.",
    ),
    Command(
        "benchmarks.image",
        (
            Figure(
                "overhead_ratio",
                "a picture with a preview of every step and its whole film, against the bare "
                "diffusers pipeline",
                1.05,
                "at most",
                0.1,
                "times",
            ),
            Figure(
                "batch9_ratio", "nine pictures at once, against one", 4.0, "at most", 0.8, "times"
            ),
            Figure(
                "cold_ratio",
                "first picture of a fresh process through catalogue and cache, against a bare "
                "script",
                1.0,
                "at most",
                0.15,
                "times",
            ),
            Figure(
                "live_pictures_per_s",
                'pictures a second while a slider is dragged in "Draw while I type"',
                4.7,
                "at least",
                1,
            ),
        ),
        short=("--rounds", "8", "--cold-rounds", "2", "--seconds", "5"),
    ),
    Command(
        "benchmarks.text",
        (
            Figure(
                "speedup_vs_generate",
                "tokens a second of Storyteller with probabilities and alternatives, against "
                "model.generate()",
                2.4,
                "at least",
                0.5,
                "times",
            ),
            Figure("tokens_per_s", "tokens a second of Storyteller", 380, "at least", 100),
            Figure(
                "batch8_throughput_ratio",
                "eight visitors at once, all together, against one alone",
                2.9,
                "at least",
                0.6,
                "times",
            ),
            Figure(
                "first_token_s",
                "the longest that one of the eight waits for the first token",
                0.2,
                "at most",
                0.1,
                "s",
            ),
            Figure(
                "llamacpp_ratio",
                "SmolLM2-135M through llama.cpp with alternatives, against llama.cpp's own "
                "generation",
                0.95,
                "at least",
                0.15,
                "times",
            ),
        ),
        short=("--rounds", "3"),
        note=BUSY,
    ),
    Command(
        "benchmarks.music",
        (
            Figure(
                "realtime_factor",
                "a tune composed and rendered, against the time it plays (30 was the aim)",
                21,
                "at least",
                5,
                "times faster",
            ),
            Figure(
                "first_sound_s",
                "the first chunk of sound, with the model loaded, at worst",
                0.6,
                "at most",
                0.3,
                "s",
            ),
            Figure(
                "speedup_vs_generate",
                "note tokens a second of Tunes, against model.generate()",
                3.3,
                "at least",
                0.7,
                "times",
            ),
            Figure("note_tokens_per_s", "note tokens a second of Tunes", 550, "at least", 150),
            Figure(
                "musicgen_overhead_ratio",
                "a passage of MusicGen with its tokens shown as they come, against the library's "
                "own call (transformers, random weights)",
                0.87,
                "at most",
                0.2,
                "times",
            ),
        ),
        short=("--rounds", "2"),
        note=BUSY,
    ),
    Command(
        "benchmarks.cache_stress",
        (
            Figure("duplicate_loads", "loads of a model that was still there", 0, "at most"),
            Figure("over_budget", "moments over the budget", 0, "at most"),
            Figure("leased_evictions", "models dropped under a lease", 0, "at most"),
            Figure("lost_waiters", "visitors who never got an answer", 0, "at most"),
            Figure("hit_p50_us", "time of a hit amid all this, median", 3.0, "at most", 3.0, "µs"),
            Figure("hit_p99_us", "the same, 99th percentile", 6.3, "at most", 6.3, "µs"),
        ),
        short=("--leases", "5000"),
        note="64 threads take 20,000 leases of twelve fake models with memory for four; 5 % of the "
        "loads fail, 5 % of the visitors leave while they wait.",
    ),
    Command(
        "benchmarks.cache_soak",
        (
            Figure(
                "rss_growth_pct",
                "resident memory after many switches between the bundled models, against that "
                "after a quarter of them",
                0.2,
                "at most",
                2.0,
                "%",
            ),
            Figure("errors", "errors that visitors saw", 0, "at most"),
            Figure("mixed_outputs", "answers that belonged to someone else", 0, "at most"),
        ),
        short=("--switches", "60", "--minutes", "0.5"),
        note="200 random switches with memory for two models; then 8 visitors in all four rooms "
        "for two minutes.",
    ),
    Command(
        "training.evaluate_text",
        (
            Figure(
                "bpc_model",
                "Storyteller on authors that it never read",
                1.527,
                "at most",
                0.005,
                "bits per character",
            ),
            Figure(
                "bpc_kn5",
                "5-grams over the same tokens, the best of what only counts",
                1.795,
                "about",
                0.005,
                "bits per character",
                is_short=False,
            ),
            Figure(
                "bpc_xz",
                "xz, with the training text before it",
                2.115,
                "about",
                0.005,
                "bits per character",
                is_short=False,
            ),
        ),
        short=("--model-only",),
        note="Needs the training texts; `training/text_data.py` says which.",
    ),
    Command(
        "training.evaluate_image",
        (
            Figure(
                "attr_acc_seen",
                "share of the attributes asked for that monsters have",
                0.993,
                "at least",
                0.015,
            ),
            Figure(
                "attr_acc_heldout",
                "the same where the caption asks for pairs that training never showed",
                0.991,
                "at least",
                0.015,
            ),
        ),
        full=("--count", "500"),
        short=("--count", "40"),
        note="In the eyes of the judge, a classifier of critters.",
    ),
    Command(
        "training.evaluate_music",
        (
            Figure(
                "nll_model",
                "Tunes on pieces that it never saw",
                2.485,
                "at most",
                0.01,
                "nats per note",
            ),
            Figure(
                "nll_lstm",
                "an LSTM that is trained for a few minutes",
                3.720,
                "about",
                0.3,
                "nats per note",
                is_short=False,
            ),
            Figure("in_key", "share of its notes that are in key", 0.974, "at least", 0.02),
            Figure("bar_errors", "bars that do not add up", 0, "at most"),
        ),
        full=("--lstm-minutes", "8"),
        short=("--lstm-minutes", "0.1", "--pieces", "24"),
        note="Needs the songs; `training/music_lieder.py` says which.",
    ),
    Command(
        "training.evaluate_latent",
        (
            Figure("vae_psnr_db", "reconstructions by the VAE, PSNR", 33.0, "at least", 0.2, "dB"),
            Figure(
                "gan_attribute_coverage",
                "share of the values of an attribute that the GAN draws, at worst",
                1.0,
                "at least",
            ),
            Figure(
                "frechet_floor",
                "Frechet distance of real pictures from other real ones",
                12.7,
                "about",
                0.3,
                is_short=False,
            ),
            Figure(
                "frechet_gan",
                "Frechet distance of the GAN's pictures from real ones",
                52.5,
                "at most",
                1.5,
                is_short=False,
            ),
            Figure(
                "frechet_vae",
                "Frechet distance of the VAE's pictures from real ones",
                281,
                "at most",
                5,
                is_short=False,
            ),
        ),
        short=("--count", "1000"),
        note="The distance is taken in the features of the judge and is no Inception FID; it "
        "depends on the number of pictures, 10,000 on each side.",
    ),
)
