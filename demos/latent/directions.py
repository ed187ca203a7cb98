"""Directions of latent space such as "red" or "horns": each model's directions.json. numpy only.

``python -m training.find_directions`` writes the files. Each model has its own directions,
since the meaning of the 64 numbers comes from training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import InvalidRequest, ModelUnavailable

FILE = "directions.json"


@dataclass(frozen=True)
class Directions:
    """The directions of one model.

    Attributes:
        principal: (N, z_dim), orthonormal: what the first layer reacts to most, strongest first.
        attributes: Attribute -> value -> (z_dim,): the mean z of pictures that show the value minus
            the mean z of those that do not, so that adding it once is "with minus without".
    """

    principal: np.ndarray
    attributes: Mapping[str, Mapping[str, np.ndarray]]

    def move(
        self, attributes: Mapping[str, Mapping[str, float]], principal: Sequence[float]
    ) -> np.ndarray:
        """Return the sum of moves that is to be added to z, (z_dim,).

        Args:
            attributes: Attribute -> value -> factor on its direction.
            principal: How far along each of ``principal``; those left out are 0.

        Raises:
            InvalidRequest: This model has no such direction; the message lists its directions.
        """
        if len(principal) > len(self.principal):
            raise InvalidRequest(
                f"There are {len(self.principal)} principal directions, not {len(principal)}."
            )
        total = np.zeros(self.principal.shape[1])
        for name, amounts in attributes.items():
            known = self.attributes.get(name, {})
            for value, amount in amounts.items():
                if value not in known:
                    choices = ", ".join(known or self.attributes)
                    raise InvalidRequest(
                        f"There is no direction for {name[:40]!r}, {value[:40]!r}. "
                        f"There are: {choices}."
                    )
                total += amount * known[value]
        for amount, direction in zip(principal, self.principal, strict=False):
            total += amount * direction
        return total


def read_directions(folder: Path) -> Directions | None:
    """Read the directions of the model in ``folder``; None if there are none.

    Raises:
        ModelUnavailable: The file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        principal = np.array(found["principal"], dtype=np.float64)  # (N, z_dim)
        attributes = {
            name: {value: np.array(numbers, dtype=np.float64) for value, numbers in values.items()}
            for name, values in found["attributes"].items()
        }
        shapes = {vector.shape for values in attributes.values() for vector in values.values()}
        if principal.ndim != 2 or shapes - {principal.shape[1:]}:
            raise ValueError("directions of different lengths")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"The file {FILE} of {folder.name} is damaged. "
            "Make it again with: python -m training.find_directions"
        ) from error
    return Directions(principal, attributes)
