"""What all tests share: Hypothesis profiles, and where the recordings are."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

# A plain `pytest` runs "quick"; choose another with `--hypothesis-profile=ci`. No deadlines: a law is not a benchmark.
# "few" is for further interpreters, once "quick" has passed on one.
for profile, max_examples in {"few": 20, "quick": 100, "ci": 1_000, "long": 20_000}.items():
    settings.register_profile(profile, max_examples=max_examples, deadline=None, print_blob=True)
# "found" is for who wants to know only whether a test fails: it makes no failure smaller, which can take minutes.
settings.register_profile("found", deadline=None, phases=(Phase.explicit, Phase.generate))
settings.load_profile("quick")


def scaled(quick: int, full: int) -> int:
    """Return how often something is tried: `full` times with `--hypothesis-profile=ci` or `long`."""
    return quick if settings().max_examples < 1_000 else full


def real_recordings() -> Path | None:
    """Return the folder of real recordings, which are not part of the project; None where there is none."""
    folder = Path(os.environ.get("ACCUMULATOR_RECORDINGS") or ROOT.parent / "shared" / "recordings")
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of real recordings; skip where there is none."""
    folder = real_recordings()
    if folder is None:
        pytest.skip("no real recordings here: set ACCUMULATOR_RECORDINGS to their folder")
    return folder


@pytest.fixture(scope="session")
def shipped() -> Path:
    """Return the folder of the recordings that come with the project."""
    return ROOT / "tests" / "recordings"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let the processes of a test be interrupted: a shell starts what it puts in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
