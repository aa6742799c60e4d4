"""What was tried and lost, kept runnable beside the numbers that rejected it: `python -m benches.verdicts.NAME`.

The numbers in each docstring are those of one machine, the best of nine, variants alternating; only their ratios mean
anything. Every variant's answer is compared with that of the one in use before it is timed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.runner import fastest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPEATS = 9


def compare(title: str, variants: Mapping[str, Callable[[], object]], count: int, repeats: int = REPEATS) -> None:
    """Print what each variant takes per item, and in multiples of the first, which is the one in use."""
    answers = {name: variant() for name, variant in variants.items()}
    used = next(iter(variants))
    for name, answer in answers.items():
        if answer != answers[used]:
            raise AssertionError(f"{name} gives another answer than {used}")
    best = fastest(variants, repeats)
    print(title)
    for name, seconds in best.items():
        print(f"  {name:<52} {seconds / count * 1e6:8.3f} µs  {seconds / best[used]:5.2f} x")
