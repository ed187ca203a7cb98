"""Make the finished examples that each room opens with, from the bundled models.

    python -m demos.examples [text image music latent]

Run it after a bundled model has changed. Without names, all rooms are done.
"""

from __future__ import annotations

import sys

from demos.image.ui import make_example as make_image_example
from demos.latent.ui import make_example as make_latent_example
from demos.music.ui import make_example as make_music_example
from demos.text.ui import make_example as make_text_example
from shared.serve import create_cache
from shared.settings import Settings

MAKERS = {
    "text": make_text_example,
    "image": make_image_example,
    "music": make_music_example,
    "latent": make_latent_example,
}


def main() -> None:
    """Make the examples of the rooms named on the command line."""
    settings = Settings(device="cpu")
    cache = create_cache(settings)
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name](cache, settings)


if __name__ == "__main__":
    main()
