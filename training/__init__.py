"""One readable script per bundled model: ``python -m training.NAME --help``."""
