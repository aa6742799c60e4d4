"""Check."""


class Report:
    """Report."""


def check() -> None:
    """Check."""
