"""What the tests of the servers share. A module has `runs`: the address to which a run is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.running import WAYS, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.running import Arguments, Fold


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to fold what a server sends."""
    return str(request.param)


@pytest.fixture
def arguments() -> Arguments:
    """What the client posts for a case. A module whose server wants more has a fixture of this name."""
    return lambda case: {"json": {"assistant_id": case, "stream": True}}


@pytest.fixture
def run(way: str, runs: str, arguments: Arguments) -> Callable[[str], Fold]:
    """Fold the run of a case."""
    return lambda case: fold(way, runs, **arguments(case))
