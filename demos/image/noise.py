"""Schedulers: how much noise there is when, and how it is taken away. No Gradio here."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

OWN = "own"
# What a visitor can choose -> its name, and its class in diffusers for models that take noise away
# and for those that follow a flow. "own" is the one that the model came with.
SCHEDULERS: dict[str, str] = {
    OWN: "The model's own",
    "ddim": "DDIM",
    "euler": "Euler",
    "dpm++": "DPM-Solver++",
}
_CLASSES = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
}
_FLOW_CLASSES = {"euler": "FlowMatchEulerDiscreteScheduler", "dpm++": "DPMSolverMultistepScheduler"}


def make_scheduler(pipeline: Any, name: str) -> Any:
    """Make a scheduler of one's own for a call of ``pipeline``: schedulers count steps.

    Args:
        pipeline: Of diffusers; its scheduler says how the model was trained. It is not changed.
        name: Of ``SCHEDULERS``.

    Raises:
        InvalidRequest: There is no such scheduler, or it does not suit this model.
    """
    if name not in SCHEDULERS:
        raise InvalidRequest(
            f"There is no scheduler {name[:40]!r}. There are: {', '.join(SCHEDULERS)}."
        )
    if name == OWN:
        return copy.deepcopy(pipeline.scheduler)
    import diffusers

    flow = is_flow(pipeline.scheduler)
    classes = _FLOW_CLASSES if flow else _CLASSES
    if name not in classes:
        usable = ", ".join(SCHEDULERS[one] for one in (OWN, *classes))
        raise InvalidRequest(
            f"{SCHEDULERS[name]} cannot be used with this model, which follows a flow. "
            f"Choose one of: {usable}."
        )
    extra: dict[str, Any] = {}
    if name == "dpm++":
        extra = {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}
        if flow:
            extra |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    return getattr(diffusers, classes[name]).from_config(pipeline.scheduler.config, **extra)


def is_flow(scheduler: Any) -> bool:
    """Whether ``scheduler`` is for models that follow a straight flow from noise to picture."""
    config = scheduler.config
    return "FlowMatch" in type(scheduler).__name__ or (
        config.get("prediction_type") == "flow_prediction"
    )


@dataclass(frozen=True)
class Mix:
    """What noisy latents are made of: ``picture`` times the clean ones plus ``noise`` times noise.

    Attributes:
        picture: Factor of the clean latents.
        noise: Factor of noise of variance 1.
    """

    picture: float
    noise: float

    @property
    def scale(self) -> float:
        """Deviation of such latents, those of the clean ones being 1."""
        return (self.picture**2 + self.noise**2) ** 0.5

    @property
    def share(self) -> float:
        """How much of it is noise, 0 to 1, by amplitude; schedulers can be compared by it."""
        return self.noise / self.scale


CLEAN = Mix(1.0, 0.0)


def mix_at(scheduler: Any, timestep: Any, index: int) -> Mix:
    """Return what the latents are made of at step ``index``, whose time is ``timestep``."""
    if "FlowMatch" in type(scheduler).__name__:
        sigma = float(scheduler.sigmas[index])
        return Mix(1 - sigma, sigma)
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # the DPM-Solver kind
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[index])
        return Mix(float(alpha), float(sigma))
    if hasattr(scheduler, "sigmas"):  # the Euler kind: noise is added, the picture stays as it is
        return Mix(1.0, float(scheduler.sigmas[index]))
    kept = float(scheduler.alphas_cumprod[int(timestep)])
    return Mix(kept**0.5, (1 - kept) ** 0.5)


def predict_clean(
    scheduler: Any, output: torch.Tensor, latents: torch.Tensor, mix: Mix
) -> torch.Tensor:
    """Return the clean latents that the network believes in.

    Args:
        scheduler: Knows what the network predicts: noise, velocity (Salimans and Ho 2022,
            arXiv:2202.00512), flow (Lipman et al. 2022, arXiv:2210.02747) or the picture itself.
        output: Of the network, after guidance.
        latents: What it looked at, same shape.
        mix: What those are made of.
    """
    kind = "flow" if is_flow(scheduler) else scheduler.config.get("prediction_type", "epsilon")
    if kind == "sample":
        return output
    if kind == "flow":
        return latents - mix.noise * output
    if kind == "v_prediction":
        return (mix.picture * latents / mix.scale - mix.noise * output) / mix.scale
    return (latents - mix.noise * output) / max(mix.picture, 1e-3)


def noise_curve(pipeline: Any, name: str, steps: int) -> list[float]:
    """Return the share of noise (0 to 1) before each step of a scheduler, and 0 at the end."""
    scheduler = make_scheduler(pipeline, name)
    scheduler.set_timesteps(steps)
    shares = [
        mix_at(scheduler, timestep, index).share
        for index, timestep in enumerate(scheduler.timesteps)
    ]
    return [*shares, 0.0]
