"""Runs whose stream the server cuts, resumed over loopback. `python -m tests.resuming` takes every cut there is."""
