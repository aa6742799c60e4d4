"""The entry point, for the script `accumulator` and for `python -m accumulator`.

It imports the command line within a `try`, because that takes most of the time of a short run: Ctrl-C then ends it
quietly, with status 130, once the import is done. To keep the time before that short, this module imports nothing else,
and the package imports its modules when a public name is first used. Before `main` runs, Ctrl-C is Python's: while the
interpreter starts and reads these two files, it prints a traceback.
"""

import sys

_INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 + SIGINT, as shells have it."""


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        from accumulator._cli.interrupts import held

        with held():  # an import that is broken off may raise another error, as that of a C extension does
            from accumulator._cli.commands import run
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = _INTERRUPTED
    sys.exit(status)
