"""Commands a person runs: ``python -m scripts.NAME --help``."""
