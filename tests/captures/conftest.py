"""What the tests of captures share: they run on demand, with `tox -e captures`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tools() -> Path:
    """Return the folder that `install.py` filled; skip where there is none."""
    folder = os.environ.get("ACCUMULATOR_CAPTURES")
    if not folder:
        pytest.skip("run it with `tox -e captures`, or set ACCUMULATOR_CAPTURES to the folder that install.py filled")
    return Path(folder)
