"""Run a server: `python -m tests.servers NAME ARGUMENT...`, in the environment of that server."""

from __future__ import annotations

import importlib
import sys

from tests.servers.serving import refuse_to_leave, serve

if __name__ == "__main__":
    refuse_to_leave()  # what a server does when it is imported counts too
    name, *arguments = sys.argv[1:]
    serve(importlib.import_module(f"tests.servers.{name}_server").make_app(*arguments))
