"""Diff."""


class Difference:
    """Difference."""


def diff() -> None:
    """Diff."""
