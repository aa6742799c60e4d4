"""Texts in fragments: appending costs the fragment, reading joins them."""

from __future__ import annotations

from typing import TypeAlias

from accumulator._json import join_surrogates

BLOCK = 256
"""Fragments that are joined at a time. Fewer would leave many small strings, each of which costs fifty bytes beside its
text. More would leave many fragments unjoined."""


class Text:
    """A text in fragments. Appending costs the fragment. Reading joins them, and keeps the text until it grows.

    Each method changes the fragments by one call of C code. So an interrupt leaves the text as it was, or complete.
    The templates of the fast path append to `pieces` themselves, as `append` does.

    Attributes:
        pieces: the blocks, then the fragments since.
        blocks: how many of the pieces are blocks. No block ends in the first half of a surrogate pair.

    """

    __slots__ = ("_counted", "_length", "blocks", "pieces")

    def __init__(self, text: str = "") -> None:
        """Start with a text."""
        self.pieces: list[str] = [text] if text else []
        self.blocks = 0
        self._counted = 0  # how many blocks `_length` counts
        self._length = 0

    def __bool__(self) -> bool:
        """Tell whether there is any text."""
        return bool(self.pieces)

    def append(self, fragment: str) -> None:
        """Append a fragment; it must not be empty."""
        pieces = self.pieces
        pieces.append(fragment)
        if len(pieces) - self.blocks >= BLOCK:
            self.join()

    def size(self, each: int) -> int:
        """Return the number of characters, and `each` for every piece behind the first. It joins nothing."""
        return sum(map(len, self.pieces)) + each * max(0, len(self.pieces) - 1)

    def read(self) -> str:
        """Return the whole text. Two halves of a surrogate pair, from two fragments, become one character."""
        pieces = self.pieces
        if len(pieces) == 1 == self.blocks:
            return pieces[0]
        text = join_surrogates("".join(pieces))
        self._counted = self._length = 0
        pieces[:], self.blocks = _as_blocks(text)
        return text

    def mark(self) -> TextMark:
        """Return a mark of the text as it is now, for `read_at`. Costs what was appended since the last mark."""
        if len(self.pieces) > self.blocks:
            self.join()
        length = self._length + sum(map(len, self.pieces[self._counted : self.blocks]))
        self._counted, self._length = self.blocks, length
        return length, "".join(self.pieces[self.blocks :])

    def read_at(self, mark: TextMark | None) -> str:
        """Return the text as it was at a mark, or as it is for None. Changes nothing."""
        pieces = list(self.pieces)
        text = pieces[0] if len(pieces) == 1 else join_surrogates("".join(pieces))
        return text if mark is None or (len(text) == mark[0] and not mark[1]) else text[: mark[0]] + mark[1]

    def join(self) -> None:
        """Join the fragments since the last block to a block."""
        at = self.blocks
        self.pieces[at:], blocks = _as_blocks(join_surrogates("".join(self.pieces[at:])))
        self.blocks = at + blocks


TextMark: TypeAlias = tuple[int, str]
"""What `Text.mark` returns: how many characters the blocks have, and half a surrogate pair behind them, or ""."""


def _as_blocks(text: str) -> tuple[list[str], int]:
    """Return a text as pieces, and how many of them are blocks.

    Half a surrogate pair at its end stays a fragment, because the other half may follow.
    """
    if "\ud800" <= text[-1:] <= "\udbff":
        return ([text[:-1], text[-1]], 1) if len(text) > 1 else ([text], 0)
    return ([text], 1) if text else ([], 0)
