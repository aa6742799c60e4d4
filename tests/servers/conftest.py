"""What the tests of the servers share."""

from __future__ import annotations

import pytest

from tests.servers.running import WAYS


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to fold what a server sends."""
    return str(request.param)
