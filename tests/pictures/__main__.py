"""Draw the pictures of the README: `python -m tests.pictures`."""

from __future__ import annotations

from tests.pictures.terminal import PICTURES, draw

for name in PICTURES:
    print(draw(name))
