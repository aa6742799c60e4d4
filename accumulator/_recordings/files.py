"""Open a file, whatever its bytes are wrapped in: gzip, zstd, or UTF-16 as PowerShell's `>` writes it.

What is wrapped is unpacked into a temporary file, in memory while it is small, so that any place of it can be read.
zstd needs the package zstandard.
"""

from __future__ import annotations

import codecs
import importlib
import os
import stat
import tempfile
import zlib
from functools import partial
from typing import IO, TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from accumulator._errors import RecordingError
from accumulator._streams.unpack import Unpacker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST_UNPACKED: Final = 8_589_934_592
"""The bytes that a file may unpack to: more than any run has, less than a disk."""

_READ_SIZE: Final = 65_536
_IN_MEMORY: Final = 4_194_304
_MOST_WRAPPERS: Final = 3
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_unwrapped(path: str) -> BinaryIO:
    """Open a file to be read from any place, without its wrappers.

    Raises:
        OSError: the file cannot be read.
        RecordingError: it is damaged, unpacks to too much, or needs a package that is not installed.

    """
    file: BinaryIO = open(path, "rb")  # noqa: SIM115, PTH123 - the caller closes it
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file = _spool(iter(partial(file.read, _READ_SIZE), b""), file)
        for _ in range(_MOST_WRAPPERS):
            unwrap = _find_wrapper(file.read(4))
            file.seek(0)
            if unwrap is None:
                break
            file = _spool(unwrap(file), file)
    except BaseException:
        file.close()
        raise
    return file


def is_unpacked(file: BinaryIO) -> bool:
    """Whether an opened file is a temporary one."""
    return isinstance(file, tempfile.SpooledTemporaryFile)


def _find_wrapper(start: bytes) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    if start.startswith(_GZIP):
        return _gunzip
    if start.startswith(_ZSTD):
        return _unzstd
    return _from_utf_16 if start.startswith(_UTF_16) else None


def _spool(pieces: Iterator[bytes], wrapped: BinaryIO) -> BinaryIO:
    """Write pieces to a temporary file, and close the file that they come from."""
    target: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        size = 0
        for piece in pieces:
            size += len(piece)
            _check_size(size)
            target.write(piece)
    except BaseException:
        target.close()
        raise
    wrapped.close()
    target.seek(0)
    return cast("BinaryIO", target)


def _check_size(size: int) -> None:
    if size > LARGEST_UNPACKED:
        raise RecordingError(f"a file that unpacks to more than {LARGEST_UNPACKED} bytes")


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Yield what gzip unpacks to. A file that is cut gives what it has."""
    unpacker = Unpacker("gzip")
    try:
        while data := file.read(_READ_SIZE):
            yield from unpacker.unpack(data)
    except zlib.error as error:
        raise RecordingError(f"gzip data that is damaged: {error}") from error


class _Zstd(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    unpacker, errors = _find_zstd()
    try:
        while data := file.read(1024):  # a small piece: it may unpack to much
            yield unpacker.decompress(data)
    except errors as error:
        raise RecordingError(f"zstd data that is damaged: {error}") from error


def _find_zstd() -> tuple[_Zstd, type[Exception]]:
    try:
        module = importlib.import_module("zstandard")
    except ImportError as error:
        raise RecordingError("zstd data: install zstandard to read it, or unpack it with `zstd -d`") from error
    return module.ZstdDecompressor().decompressobj(read_across_frames=True), module.ZstdError


def _from_utf_16(file: BinaryIO) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while data := file.read(_READ_SIZE):
        yield decoder.decode(data).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")
