"""The benchmark of cyconv: ``python -m bench --help``."""
