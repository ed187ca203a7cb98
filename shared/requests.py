"""Requests: the parameters of a run, validated in one place before anything runs.

Each room's request declares its fields with their ranges; the page takes the limits of its sliders
from there.
"""

from __future__ import annotations

import random
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidRequest

MAX_SEED = 2**31 - 1
Seed = Annotated[int, Field(ge=-1, le=MAX_SEED, description="-1 draws a new one")]


class Request(BaseModel):
    """Base of all requests: immutable; error messages name the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Seed = -1

    @property
    def unused(self) -> frozenset[str]:
        """Fields that have no effect with these values."""
        return frozenset()

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Validate ``values`` and draw the seed if it is -1.

        Raises:
            InvalidRequest: Some fields are invalid; the message has a sentence for each.
        """
        try:
            request = cls(**values)
        except ValidationError as error:
            problems = " ".join(_sentence(problem) for problem in error.errors())
            raise InvalidRequest(problems) from None
        if request.seed == -1:
            request = request.model_copy(update={"seed": random.randint(0, MAX_SEED)})
        return request

    @classmethod
    def limits(cls, name: str) -> tuple[float, float, float]:
        """Return minimum, maximum and default of a numeric field."""
        info = cls.model_fields[name]
        bounds = {
            key: getattr(rule, key)
            for rule in info.metadata
            for key in ("ge", "le")
            if hasattr(rule, key)
        }
        return bounds["ge"], bounds["le"], info.default

    @classmethod
    def numbers(cls) -> dict[str, int | float]:
        """Return the numeric fields with their defaults, the seed last."""
        fields = {name: info.default for name, info in cls.model_fields.items()}
        seed = fields.pop("seed")
        return {
            name: default
            for name, default in fields.items()
            if isinstance(default, int | float) and not isinstance(default, bool)
        } | {"seed": seed}

    @classmethod
    def name_numbers(cls, *values: Any) -> dict[str, Any]:
        """Return values in the order of ``numbers`` by field name."""
        return dict(zip(cls.numbers(), values, strict=True))


def _sentence(problem: Any) -> str:
    """Turn one error of pydantic into a sentence."""
    field = " ".join(str(part) for part in problem["loc"]).replace("_", " ")
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "greater_than_equal":
            wanted = f"must be at least {limits['ge']:.10g}"
        case "less_than_equal":
            wanted = f"must be at most {limits['le']:.10g}"
        case "string_too_short":
            return f"The {field} is empty. Write a few words first."
        case "string_too_long":
            length = f"{len(problem['input']):,}"
            return (
                f"The {field} is too long: {length} characters, at most {limits['max_length']:,}."
            )
        case "value_error":
            return f"The {field} {limits['error']}."
        case "int_parsing" | "int_from_float" | "int_type":
            wanted = "must be a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            wanted = "must be a number"
        case "string_type":
            wanted = "must be text"
        case _:
            wanted = problem["msg"].replace("Input should", "must")
    if problem["input"] is None:
        return f"The {field} is empty: it {wanted}."
    given = repr(problem["input"])
    return f"The {field} {wanted}, not {given if len(given) < 40 else given[:36] + '...'}."
