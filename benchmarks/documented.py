"""The documented figures, each with the command that measures it.

This table is the only place where such figures are written by hand. ``python -m benchmarks`` checks
them; ``make figures`` writes docs/figures.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["at least", "at most", "about"]


@dataclass(frozen=True)
class Command:
    """A Python module that prints a flat JSON object as its last line when run with ``--json``.

    Attributes:
        module: Run as ``python -m module``.
        short: Arguments for a fast run, with more variance.
        timeout: Seconds that the short form may take.
    """

    module: str
    short: tuple[str, ...] = ()
    timeout: float = 300

    def describe(self) -> str:
        """Return the command line of the full form."""
        return f"python -m {self.module} --json"


@dataclass(frozen=True)
class Figure:
    """One documented figure.

    Attributes:
        what: What is measured, for readers.
        command: Measures it.
        key: Its key in the JSON of the command.
        documented: The documented value.
        direction: Whether that is a lower bound, an upper bound, or neither.
        tolerance: Allowed deviation as a share of the documented value.
        unit: Shown after the value.
    """

    what: str
    command: Command
    key: str
    documented: float
    direction: Direction
    tolerance: float = 0.0
    unit: str = ""

    def holds(self, today: float) -> bool:
        """Whether the measured value ``today`` agrees with the documented one."""
        slack = abs(self.documented) * self.tolerance
        too_low = today < self.documented - slack
        too_high = today > self.documented + slack
        if self.direction == "at least":
            return not too_low
        if self.direction == "at most":
            return not too_high
        return not too_low and not too_high


STARTUP = Command("benchmarks.startup", ("--rounds", "2"), 180)
LATENT = Command("benchmarks.latent", ("--seconds", "3"), 120)
IMAGE = Command("benchmarks.image", ("--rounds", "5", "--cold-rounds", "1", "--seconds", "4"), 240)
TEXT = Command("benchmarks.text", ("--rounds", "2"), 240)
MUSIC = Command("benchmarks.music", ("--rounds", "1"), 240)
STRESS = Command("benchmarks.cache_stress", ("--leases", "2000"), 120)
SOAK = Command("benchmarks.cache_soak", ("--switches", "20", "--minutes", "0.3"), 300)
EVALUATE_TEXT = Command("training.evaluate_text", (), 300)
EVALUATE_IMAGE = Command("training.evaluate_image", ("--count", "20"), 300)
EVALUATE_MUSIC = Command(
    "training.evaluate_music", ("--pieces", "10", "--lstm-minutes", "0.2"), 300
)
EVALUATE_LATENT = Command("training.evaluate_latent", ("--count", "1000"), 300)

NOISE = 0.25  # tolerance of ratios of times on a shared machine
FIGURES = (
    Figure("Start to first page, over a bare Gradio app", STARTUP, "first_page_ratio",
           1.29, "at most", NOISE, "times"),
    Figure("Resident memory after every room was used", STARTUP, "rss_all_tabs_gb",
           0.72, "at most", 0.1, "GB"),
    Figure("Updates of both pictures a second while a slider is dragged", LATENT,
           "drag_updates_per_s", 59, "at least", NOISE),
    Figure("The same with 100 ms of network latency each way", LATENT,
           "drag_updates_per_s_100ms", 58, "at least", NOISE),
    Figure("Training steps a second in the 2-D playground", LATENT,
           "playground_steps_per_s", 131, "at least", NOISE),
    Figure("A picture with all previews and its film, over the bare pipeline", IMAGE,
           "overhead_ratio", 1.05, "at most", NOISE, "times"),
    Figure("Nine pictures at once, over one", IMAGE, "batch9_ratio",
           4.0, "at most", NOISE, "times"),
    Figure("First picture of a fresh process, over a bare script", IMAGE, "cold_ratio",
           1.0, "at most", NOISE, "times"),
    Figure("Pictures a second in \"Draw while I type\"", IMAGE, "live_pictures_per_s",
           4.7, "at least", NOISE),
    Figure("Tokens a second of Storyteller, over generate()", TEXT, "speedup_vs_generate",
           2.4, "at least", NOISE, "times"),
    Figure("Eight visitors of Storyteller at once, over one", TEXT, "batch8_throughput_ratio",
           2.9, "at least", NOISE, "times"),
    Figure("Longest wait of the eight for a first token", TEXT, "first_token_s",
           0.2, "at most", NOISE, "s"),
    Figure("SmolLM2 as the room runs it, over llama.cpp alone", TEXT, "llamacpp_ratio",
           0.95, "at least", NOISE, "times"),
    Figure("A passage of MusicGen, time over the library's own call", MUSIC,
           "musicgen_overhead_ratio", 0.87, "at most", NOISE, "times"),
    Figure("A tune composed and rendered, over the time it plays", MUSIC, "realtime_factor",
           21, "at least", NOISE, "times"),
    Figure("First chunk of sound of a tune, at worst", MUSIC, "first_sound_s",
           0.6, "at most", NOISE, "s"),
    Figure("Note tokens a second of Tunes, over generate()", MUSIC, "speedup_vs_generate",
           3.3, "at least", NOISE, "times"),
    Figure("Models loaded twice under stress", STRESS, "duplicate_loads", 0, "at most"),
    Figure("Memory budget exceeded under stress", STRESS, "over_budget", 0, "at most"),
    Figure("Models dropped while in use under stress", STRESS, "leased_evictions", 0, "at most"),
    Figure("Waiting threads lost under stress", STRESS, "lost_waiters", 0, "at most"),
    Figure("Errors in long use by many visitors", SOAK, "errors", 0, "at most"),
    Figure("Answers that belonged to another visitor", SOAK, "mixed_outputs", 0, "at most"),
    Figure("Storyteller, bits per character on unseen authors", EVALUATE_TEXT, "bpc_model",
           1.53, "about", 0.02),
    Figure("Critters, share of attributes drawn as asked", EVALUATE_IMAGE, "attr_acc_seen",
           0.993, "at least", 0.02),
    Figure("The same for pairs that training never showed", EVALUATE_IMAGE, "attr_acc_heldout",
           0.991, "at least", 0.02),
    Figure("Tunes, nats per note on unseen pieces", EVALUATE_MUSIC, "nll_model",
           2.48, "about", 0.02),
    Figure("Notes of Tunes that are in key", EVALUATE_MUSIC, "in_key", 0.97, "at least", 0.05),
    Figure("Bars of Tunes that do not add up", EVALUATE_MUSIC, "bar_errors", 0, "at most"),
    Figure("VAE, PSNR of reconstructions", EVALUATE_LATENT, "vae_psnr_db",
           33.0, "about", 0.03, "dB"),
)  # fmt: skip
