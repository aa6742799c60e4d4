"""The command `accumulator replay`: show a recorded run as it came."""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from accumulator import RecordingError
from accumulator._cli.output import UNUSABLE, print_to_stderr, write_bytes
from accumulator._cli.reading import Reading
from accumulator._cli.recordings import finite, play
from accumulator._cli.show import make_view

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import click

    from accumulator import Replay

SUMMARY = "Show a recorded run as it came, in its own time."

HELP = (
    SUMMARY
    + """

FILE is a recording, or what another tool recorded. On a terminal the run is shown live: the space bar pauses, the left
and right arrows go back and on by 5 seconds, the up and down arrows double and halve the speed, q ends. Elsewhere a
line of JSON is printed for each update, as `accumulator show --updates` does, and at once unless --speed says
otherwise.

The exit status is that of `accumulator show`.
"""
)

_SKIP: Final = 5.0
_LOOK_EVERY: Final = 0.05
_CLEAR: Final = b"\x1b[2J\x1b[H"
_PACE: Final = 30.0
_KEY: Final = re.compile(rb"\x1b[\[O][A-Z]|.", re.DOTALL)


def command() -> click.Command:
    """Build the command."""
    import click

    seconds = click.FloatRange(min=0)
    rate = click.FloatRange(min=0, min_open=True)
    params: list[click.Parameter] = [
        click.Argument(["file"], metavar="FILE", type=click.Path(readable=False)),
        click.Option(
            ["--speed"],
            type=rate,
            callback=finite,
            help="How many times as fast as recorded. On a terminal 1 by default.",
        ),
        click.Option(
            ["--from", "start"],
            type=seconds,
            callback=finite,
            default=0.0,
            help="Show at once what came before this second.",
        ),
        click.Option(
            ["--pace"],
            type=rate,
            callback=finite,
            help="Events a second, for a recording without times. 30 by default.",
        ),
    ]
    return click.Command("replay", callback=_replay, params=params, help=HELP, short_help=SUMMARY)


def _replay(file: str, *, speed: float | None, start: float, pace: float | None) -> int:
    from accumulator import replay

    live = sys.stdout is not None and sys.stdout.isatty()
    timed = live or speed is not None or pace is not None
    deck = Deck(start)
    try:
        chunks = replay(
            file,
            (speed or 1.0) if timed else None,
            pace=(pace or _PACE) if timed else None,
            clock=deck.clock,
            sleep=deck.sleep,
        )
    except (OSError, RecordingError) as error:
        print_to_stderr(str(error) if isinstance(error, RecordingError) else f"{file}: {error.strerror or error}")
        return UNUSABLE
    with _keys(live) as read_key:
        deck.read_key = read_key
        while True:
            view = make_view("tree" if live else "updates")
            reading = Reading(view)
            deck.draw = partial(view.waits, reading)
            try:
                return play(reading, file, _Played(chunks, deck))
            except WentBack:
                view.close()
                write_bytes(_CLEAR)


class _Played:
    """The bodies of a replay, up to where a key ended it."""

    def __init__(self, replayed: Replay, deck: Deck) -> None:
        self._replay = replayed
        self._deck = deck

    def iter_bodies(self) -> Iterator[Iterator[bytes]]:
        return takewhile(self._goes_on, map(self._cut, self._replay.iter_bodies()))

    def _cut(self, body: Iterator[bytes]) -> Iterator[bytes]:
        return takewhile(self._goes_on, body)

    def _goes_on(self, _: object) -> bool:
        return not self._deck.ended


class WentBack(BaseException):
    """A key went back: the recording is played again from its beginning. No error, so that the stream passes it."""


class Deck:
    """The clock of a replay, which keys pause, move and speed up.

    Attributes:
        ended: whether q was pressed.
        read_key: waits for keys so many seconds, and returns what they sent; b"" for none.
        draw: called again and again while nothing comes.

    """

    def __init__(self, start: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at 0; the first `start` seconds pass at once."""
        self.ended = False
        self.read_key: Callable[[float], bytes] = _wait
        self.draw: Callable[[], object] = _nothing
        self._ahead = start
        self._real = clock
        self._last = clock()
        self._now = 0.0
        self._factor = 1.0
        self._paused = False

    def clock(self) -> float:
        """Return the seconds that were played."""
        real = self._real()
        if not self._paused:
            self._now += (real - self._last) * self._factor
        self._last = real
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait until so many seconds more were played, or q is pressed.

        Raises:
            WentBack: the key that goes back was pressed. What comes up to there passes at once when it is played again.

        """
        due = self.clock() + seconds
        while (left := due - self.clock()) > 0 and not self.ended:
            if self._ahead:
                passed = min(self._ahead, left)
                self._ahead -= passed
                self._now += passed
                continue
            self.draw()
            keys = self.read_key(_LOOK_EVERY if self._paused else min(left / self._factor, _LOOK_EVERY))
            self.clock()
            for key in _KEY.findall(keys):
                self._press(key)

    def _press(self, key: bytes) -> None:
        match key:
            case b"q" | b"Q":
                self.ended = True
            case b" ":
                self._paused = not self._paused
            case b"\x1b[C" | b"\x1bOC":
                self._ahead += _SKIP
            case b"\x1b[D" | b"\x1bOD":
                self._ahead, self._now = max(0.0, self._now - _SKIP), 0.0
                raise WentBack
            case b"\x1b[A" | b"\x1bOA":
                self._factor *= 2
            case b"\x1b[B" | b"\x1bOB":
                self._factor /= 2
            case _:
                pass


def _nothing() -> None:
    """Draw nothing."""


def _wait(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


@contextmanager
def _keys(live: bool) -> Generator[Callable[[float], bytes]]:  # noqa: FBT001 - whether there is a terminal
    """Yield what waits for a key. The terminal sends keys at once meanwhile."""
    descriptor = _find_keyboard() if live else None
    if descriptor is None:
        yield _wait
        return
    import os
    import select
    import termios
    import tty

    def read_key(seconds: float) -> bytes:
        if select.select([descriptor], [], [], seconds)[0]:
            return os.read(descriptor, 16)
        return b""

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield read_key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _find_keyboard() -> int | None:
    """Return the descriptor of standard input if it is a terminal whose keys can be read at once."""
    if find_spec("termios") is None or sys.stdin is None:  # Windows, or a closed standard input
        return None
    with suppress(OSError, ValueError):  # one in memory
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    return None
