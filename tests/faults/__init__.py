"""Faults of servers and networks, played by a server on 127.0.0.1, and what each HTTP client makes of them.

`python -m tests.faults` runs every fault over every client and prints the table; `--write` puts it into README.md.
"""
