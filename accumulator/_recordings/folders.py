"""The files in a folder: one order and one choice for all that takes folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def files_in(folder: str, on_error: Callable[[OSError], object]) -> Iterator[str]:
    """Yield the paths of the regular files in a folder, at any depth: by name, those of a folder before its folders.

    What has a name with a dot first is left out, and so are symbolic links to folders. A folder that cannot be read is
    told to `on_error`, whose error has the `filename`.
    """
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (os.path.join(parent, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118 - as the user wrote it
        yield from filter(os.path.isfile, paths)
