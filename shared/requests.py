"""Requests: what a visitor asked for, checked once, in one place, before anything runs.

A modality's request declares its fields with their ranges; the page takes slider limits from the
same declaration, so that the two cannot disagree.
"""

from __future__ import annotations

import random
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidRequest

MAX_SEED = 2**31 - 1
Seed = Annotated[int, Field(ge=-1, le=MAX_SEED, description="-1 draws a new one")]


class Request(BaseModel):
    """Base of all requests: frozen, and refused with a sentence that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Seed = -1

    @property
    def unused(self) -> frozenset[str]:
        """The fields that what is asked for makes no use of."""
        return frozenset()

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check ``values`` and draw the seed if it is -1.

        Raises:
            InvalidRequest: One sentence per field that cannot be used.
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
        """Return the least, the greatest and the default value of a numeric field."""
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
        """Name values that come in the order of ``numbers``."""
        return dict(zip(cls.numbers(), values, strict=True))


def _sentence(problem: Any) -> str:
    """Turn one pydantic error into plain words."""
    field = " ".join(str(part) for part in problem["loc"]).replace("_", " ")
    limits, kind = problem.get("ctx", {}), problem["type"]
    match kind:
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
