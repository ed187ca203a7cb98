"""Make the finished examples that each room opens with, from the bundled models.

    python -m demos.examples [text image music latent]

Run it after a bundled model has changed. Without names, all rooms are done.
"""

from __future__ import annotations

import sys

from demos import DEMOS
from shared.catalog import Catalog
from shared.room import Room
from shared.serve import create_cache
from shared.settings import Settings


def main() -> None:
    """Make the examples of the rooms named on the command line."""
    settings = Settings(device="cpu")
    catalog = Catalog(settings)
    cache = create_cache(catalog)
    for demo in DEMOS:
        if sys.argv[1:] and demo.slug not in sys.argv[1:]:
            continue
        room = Room(demo.slug, cache, catalog)
        for tab in demo.tabs:
            if make_example := getattr(demo.module(tab), "make_example", None):
                make_example(room)


if __name__ == "__main__":
    main()
