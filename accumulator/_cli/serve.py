"""The command `accumulator serve`: play recordings to real clients, as the server that sent them."""

from __future__ import annotations

import ipaddress
import os
import signal
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from accumulator import AccumulatorError
from accumulator._cli.output import UNUSABLE, flush, print_to_stderr, write_bytes
from accumulator._cli.recordings import Recordings, finite

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import click
    from starlette.applications import Starlette

    from accumulator import Recording
    from accumulator.server import ReplayServer

SUMMARY = "Play recordings to real clients, as the server that sent them."

HELP = (
    SUMMARY
    + """

Prints the address, and answers there until Ctrl-C. Each RECORDING, folder or pattern is read in whatever format it has;
bodies of one run are joined by its id. A client is pointed to the address, with any key. The prefix of a path, such as
/v1 or /openai, is ignored.

A request that begins a run, or submits tool outputs, gets the next body: with `stream: true` as it was sent, in its own
time, else as the run at its end. When all bodies were played, such a request is an error. All else is derived from the
recording: run, steps, messages, thread and assistant, as of the end of the body that began last; before the first, as
of the end of the first run.

With --by-run the ids in a request choose, as often as it comes: a thread (or an assistant, for POST threads/runs) its
runs in turn, the tool calls whose outputs are submitted the next body of their run.

Faults in a body come behind its first event, or behind N with --cut-after.

Nothing is written to disk but the file of --tls-ca, which is removed at the end.

\b
  130  Ctrl-C ended it; streams that were open are cut
  143  SIGTERM ended it, likewise
  2    a RECORDING cannot be read, the address cannot be listened on, or an
       argument is wrong
"""
)

_EXTRA: Final = "pip install 'delta-accumulator[server]'"


def command() -> click.Command:
    """Build the command."""
    import click

    above = click.FloatRange(min=0, min_open=True)
    file = click.Path(readable=False)
    params: list[click.Parameter] = [
        click.Argument(["recordings"], metavar="RECORDING...", nargs=-1, required=True, type=file),
        click.Option(["--host"], default="127.0.0.1", help="The address. By default only this machine reaches it."),
        click.Option(["--port"], type=click.IntRange(0, 65_535), default=8000, help="8000 by default; 0 for any free."),
        click.Option(["--tls"], is_flag=True, help="Speak TLS, with a certificate made at the start."),
        click.Option(
            ["--tls-ca"], metavar="FILE", type=file, help="Write the certificate to trust into FILE; with --tls."
        ),
        click.Option(["--by-run"], is_flag=True, help="Choose bodies by the ids in a request."),
        click.Option(
            ["--speed"],
            type=above,
            callback=finite,
            default=1.0,
            help="How many times as fast as recorded, 1 by default.",
        ),
        click.Option(["--cut-after"], type=click.IntRange(0), metavar="N", help="Drop the connection behind N events."),
        click.Option(
            ["--stall"],
            type=above,
            callback=finite,
            metavar="SECONDS",
            help="Be silent for so long, once in each body.",
        ),
        click.Option(["--error-event"], is_flag=True, help="Send an error in place of the rest of a body."),
        click.Option(["--status"], type=click.IntRange(400, 599), help="Refuse requests with this status."),
        click.Option(["--times"], type=click.IntRange(1), default=1, help="How many requests --status refuses: 1."),
        click.Option(["--chunk"], type=click.IntRange(1), metavar="BYTES", help="Send so many bytes at a time."),
    ]
    return click.Command("serve", callback=_serve, params=params, help=HELP, short_help=SUMMARY)


class _Unusable(Exception):  # noqa: N818 - told, never raised to the user
    """What the command cannot do, as it is told."""


def _serve(  # noqa: PLR0913 - one for each group of options
    recordings: tuple[str, ...],
    *,
    host: str,
    port: int,
    tls: bool,
    tls_ca: str | None,
    by_run: bool,
    speed: float,
    **faults: int | None,
) -> int:
    reading = Recordings(recordings)
    found = list(reading)
    if reading.failed:
        return UNUSABLE
    try:
        app = _make_app(found, by_run=by_run, speed=speed, faults=faults)
        server = _listen(app, host, port, tls=tls or tls_ca is not None)
        with closing(server), _terminable(), nullcontext() if tls_ca is None else _written(tls_ca, server.ca or b""):
            _announce(server, found, host)
            server.run()
    except _Unusable as error:
        print_to_stderr(f"accumulator: {error}")
    return UNUSABLE


def _make_app(found: list[Recording], *, by_run: bool, speed: float, faults: Mapping[str, Any]) -> Starlette:
    try:
        from accumulator.server import Faults, replay_app

        return replay_app(found, by_run=by_run, speed=speed, faults=Faults(**faults))
    except ModuleNotFoundError as error:
        raise _Unusable(f"serve needs {str(error.name).partition('.')[0]}: {_EXTRA}") from error
    except (OSError, AccumulatorError) as error:
        raise _Unusable(f"expected recordings that can be folded: {error}") from error


def _listen(app: Starlette, host: str, port: int, *, tls: bool) -> ReplayServer:
    from accumulator.server import ReplayServer

    try:
        return ReplayServer(app, host=host, port=port, tls=tls)
    except ModuleNotFoundError as error:
        raise _Unusable(f"--tls needs {error.name}: {_EXTRA}") from error
    except (OSError, UnicodeError) as error:  # a name may be one that cannot be encoded
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise _Unusable(f"expected to be able to listen on {host} port {port}: {reason}") from error


@contextmanager
def _terminable() -> Generator[None]:
    """Let SIGTERM raise `SystemExit` within the block, so that the `finally` clauses around it run.

    uvicorn ends its own work at the signal and raises the signal again. By default that ends the process at once.
    """
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _: object) -> NoReturn:
    """Exit with the status that a shell shows after a signal. The signal is ignored from then on."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def _written(path: str, certificate: bytes) -> Generator[None]:
    """Write the certificate into a new file. Remove the file at the end of the block, when no server uses it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise _Unusable(f"expected to be able to write {path}: {error.strerror}") from error
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor is no path
            file.write(certificate)
        yield
    finally:
        with suppress(OSError):
            Path(path).unlink()


def _announce(server: ReplayServer, found: list[Recording], host: str) -> None:
    bodies = sum(len(each.bodies) for each in found)
    who = "only this machine reaches it" if _is_loopback(host) else "other machines reach it, without a password"
    print_to_stderr(f"serving {_count(bodies, 'body', 'bodies')} of {_count(len(found), 'run', 'runs')}: {who}")
    write_bytes(f"{server.url}\n".encode())
    flush()


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
