"""What all training scripts share: arguments, time budget, checkpoint and record.

A script's training loop is a generator over ``budget.steps(...)``. ``TrainingRun`` consumes it: it
resumes, saves ``checkpoint.pt`` each minute, and lets the script evaluate and export the best
weights so far into ``--out``, with the record ``training.json`` beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from shared.settings import ROOT

DATA_CACHE = ROOT / ".cache" / "training"


def parse_arguments(
    description: str, *, out: str, minutes: float, add: Any = None
) -> argparse.Namespace:
    """Parse the arguments, set the number of threads, create ``--out`` and seed everything.

    Args:
        description: First lines of the script's docstring.
        out: Default model folder, relative to the repository.
        minutes: Default training time.
        add: Called with the parser, for a script's own arguments.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=minutes, help="training time to add")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 means all")
    parser.add_argument("--resume", action="store_true", help="continue from --out/checkpoint.pt")
    parser.add_argument("--out", type=Path, default=ROOT / out, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="mixed precision: faster on GPUs and on CPUs with AVX512_BF16 or AMX, slow on others",
    )
    parser.add_argument("--max-steps", type=int, help="stop after this many steps (of each stage)")
    parser.add_argument(
        "--samples-every", type=float, default=0, help="seconds between samples in --out/live"
    )
    parser.add_argument("--compare", type=Path, help="model folder to measure beside this one")
    if add:
        add(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    seed_everything(arguments.seed)
    return arguments


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Budget:
    """Counts steps and minutes across resumed runs, and decides when to save and when to stop.

    ``progress`` runs from 0 to 1 over this run's minutes. Learning rates follow it, so that a run
    finishes its schedule on any machine.
    """

    def __init__(self, minutes: float, *, step: int = 0, minutes_before: float = 0.0) -> None:
        self.step = step
        self._minutes = minutes
        self._minutes_before = minutes_before
        self._start = self._last_checkpoint = time.monotonic()
        self._evaluations = 0

    @property
    def minutes_spent(self) -> float:
        """Training minutes so far, earlier runs included."""
        return self._minutes_before + (time.monotonic() - self._start) / 60

    @property
    def progress(self) -> float:
        """Elapsed share of this run's minutes, 0 to 1."""
        if self._minutes <= 0:
            return 1.0
        return min(1.0, (time.monotonic() - self._start) / 60 / self._minutes)

    def steps(self, label: str, max_steps: int | None = None) -> Iterator[tqdm]:
        """Yield a progress bar once per step until the minutes, or ``max_steps``, are over."""
        with tqdm(desc=label, initial=self.step, unit="step", mininterval=5) as bar:
            first = self.step
            while self.progress < 1 and (max_steps is None or self.step - first < max_steps):
                yield bar
                self.step += 1
                bar.update()

    def checkpoint_due(self, every_seconds: float = 60) -> bool:
        """True once per ``every_seconds``."""
        if time.monotonic() - self._last_checkpoint < every_seconds:
            return False
        self._last_checkpoint = time.monotonic()
        return True

    def evaluation_due(self, times: int) -> bool:
        """True about ``times`` times, evenly over this run's minutes."""
        due = int(self.progress * times)
        if due <= self._evaluations:
            return False
        self._evaluations = due
        return True


@contextmanager
def stop_cleanly() -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the block early, so that the code after it can save and export."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print("stopping: saving the model so far")
    finally:
        signal.signal(signal.SIGTERM, before)


def one_cycle(progress: float, *, warmup: float = 0.03, floor: float = 0.05) -> float:
    """Learning-rate factor: linear warm-up, then a cosine from 1 to ``floor``."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    phase = (progress - warmup) / (1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + float(np.cos(np.pi * min(phase, 1.0))))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = value


@torch.no_grad()
def update_ema(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Update ``average``, an exponential moving average of the weights of ``model``."""
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for slow_buffer, fast_buffer in zip(average.buffers(), model.buffers(), strict=True):
        slow_buffer.copy_(fast_buffer)


def save_checkpoint(folder: Path, **state: Any) -> None:
    """Write ``checkpoint.pt`` atomically: weights, optimizers, step and minutes."""
    partial = folder / "checkpoint.pt.partial"
    torch.save(state, partial)
    os.replace(partial, folder / "checkpoint.pt")


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any]:
    """Read the file of ``save_checkpoint``. Raises FileNotFoundError without one."""
    return torch.load(folder / "checkpoint.pt", map_location=device, weights_only=True)


def count_parameters(model: torch.nn.Module) -> int:
    """Number of parameters of ``model``, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def describe_hardware(device: torch.device) -> str:
    """Name the hardware of the run."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type}, {torch.get_num_threads()} threads"


def write_record(folder: Path, **fields: Any) -> None:
    """Write ``training.json``: data, seed, steps, minutes, hardware, metrics and the command.

    The command is that of this process, with paths relative to the repository.
    """
    module = sys.modules["__main__"].__spec__
    words = [word.replace(f"{ROOT}/", "") for word in sys.argv[1:]]
    record = {
        "command": " ".join(["python", "-m", module.name if module else sys.argv[0], *words]),
        "versions": {name: version(name) for name in ("torch", "transformers", "diffusers")},
        **fields,
    }
    partial = folder / "training.json.partial"
    partial.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(partial, folder / "training.json")


Loss = TypeVar("Loss")


class TrainingRun:
    """The budget, checkpoint, evaluations and record of one run of a training script.

    With ``--resume`` it continues from ``checkpoint.pt``. Raises FileNotFoundError without one.

    Args:
        arguments: Of the script; see ``parse_arguments``.
        device: Where the parts are.
        parts: Name in the checkpoint -> model or optimizer, or a list of them.
        data: Describes the training data, for checkpoint and record. Earlier evaluations are
            dropped if it differs from the checkpoint's: they cannot be compared.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        device: torch.device,
        parts: Mapping[str, Any],
        data: Any = None,
    ) -> None:
        self.budget = Budget(arguments.minutes)
        self.history: list[dict[str, float]] = []
        self._arguments, self._device = arguments, device
        self._parts, self._data = parts, data
        if not arguments.resume:
            return
        state = load_checkpoint(arguments.out, device)
        for name, part in parts.items():
            if isinstance(part, Sequence):
                for one, saved in zip(part, state[name], strict=True):
                    one.load_state_dict(saved)
            else:
                part.load_state_dict(state[name])
        if state.get("data", data) == data:
            self.history = state.get("history", [])
        self.budget = Budget(arguments.minutes, step=state["step"], minutes_before=state["minutes"])

    def add_evaluation(self, key: str, metrics: Mapping[str, float]) -> bool:
        """Add ``metrics`` to the history; True if ``metrics[key]`` is the lowest so far."""
        self.history.append({"step": self.budget.step, **metrics})
        return min(self.history, key=lambda entry: entry[key]) is self.history[-1]

    def follow(
        self,
        losses: Iterable[Loss],
        note: Callable[[Loss], None],
        evaluate: Callable[[], None],
        evaluations: int,
    ) -> None:
        """Consume a training loop; Ctrl-C and SIGTERM end it early.

        Args:
            losses: Yields the losses of each step.
            note: Called with them after each step.
            evaluate: Evaluates and exports; called during the run and at the end.
            evaluations: How often during the run.
        """
        with stop_cleanly():
            for loss in losses:
                note(loss)
                if self.budget.checkpoint_due():
                    self.save()
                if self.budget.evaluation_due(evaluations):
                    evaluate()
        evaluate()
        self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        states = {
            name: [one.state_dict() for one in part]
            if isinstance(part, Sequence)
            else part.state_dict()
            for name, part in self._parts.items()
        }
        save_checkpoint(
            self._arguments.out,
            **states,
            step=self.budget.step,
            minutes=self.budget.minutes_spent,
            history=self.history,
            data=self._data,
        )

    def write_record(self, **fields: Any) -> None:
        """Write ``training.json`` with ``fields`` and what is known of every run."""
        known = {
            "data": self._data,
            "seed": self._arguments.seed,
            "learning_rate": self._arguments.learning_rate,
            "steps": self.budget.step,
            "minutes": round(self.budget.minutes_spent, 1),
            "hardware": describe_hardware(self._device),
        }
        history = {"history": self.history} if self.history else {}
        write_record(self._arguments.out, **(known | fields | history))


def flatten(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single figures only, for output on one line; tables and lists are left out."""
    return {name: value for name, value in figures.items() if not isinstance(value, dict | list)}
