"""JSON text, JSON values and JSON paths.

A JSON value is None, a bool, an int, a finite float, a str, a list of JSON values, or a dict of JSON values with str
keys. `parse_json` accepts what real servers send, such as lone surrogates. It rejects what could not be written again:
NaN, Infinity, a float above the largest double, an integer of more than `MAX_INT_DIGITS` digits, and more than
`MAX_DEPTH` levels of nesting.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import NoReturn, TypeAlias, TypeVar, Union, cast

import msgspec

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""A JSON value."""

JSONObject: TypeAlias = dict[str, "Json"]
"""A JSON object."""

MAX_DEPTH = 128
"""The most levels of nested arrays and objects, the limit of serde_json. Events of the API have about ten levels."""

MAX_INT_DIGITS = 4300
"""The most digits of an integer. Python's default limit for conversions from text, and msgspec's, is the same."""

_FRAMES = 4
"""The most stack frames that the fold needs for one level of nesting."""

_MARGIN = 10
"""Levels that `has_stack` adds to the levels of the JSON, for the calls between `has_stack` and the fold."""

_INT_BOUND: int = 10**MAX_INT_DIGITS
_SURROGATE = "[\ud800-\udfff]"

_LONGEST_KEY = 200
"""The most characters of a key that a rendered path shows. A server may send a key as long as an event."""

_LONGEST_PATH = 500
"""The most characters of a rendered path that are shown. One event may have thousands of problems, each with a path."""

_COUNTED = 2**16
"""Bytes that `count_values` splits at a time. Splitting all at once could take forty times the memory of the text."""

_T = TypeVar("_T")

_decode = msgspec.json.Decoder().decode


def parse_json(data: bytes | str, openers: int | None = None) -> Json:
    """Decode JSON text. `openers` is the number of its `[` and `{`, or more, if the caller has counted them.

    Bytes are read as UTF-8; invalid sequences read as U+FFFD, as in the WHATWG decoder. The escape of a lone surrogate
    reads as that surrogate. Of duplicate keys the last counts.

    The cost is linear in the length of the text. Most text costs one pass of msgspec and a count of the brackets. Text
    that msgspec rejects, such as the escape of a lone surrogate, also costs a pass of the `json` module. Text with more
    than `MAX_DEPTH` brackets also costs a pass over the value.

    Raises:
        ValueError: the text is not JSON, or could not be written again. The message has the reason and no part of the
            text.

    """
    try:
        value: Json = _decode(data)
    except (UnicodeError, msgspec.DecodeError, RecursionError):
        value = _parse_slowly(data)
    if (count_openers(data) if openers is None else openers) > MAX_DEPTH:
        check_depth(value)
    return value


def has_stack(levels: int) -> bool:
    """Return whether the stack has room to fold JSON with that many levels. Costs less than decoding an event."""
    try:
        sys._getframe(sys.getrecursionlimit() - _FRAMES * (_MARGIN + levels))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the cheapest way to count frames
    except ValueError:  # the stack has fewer frames
        return True
    return False


def render_path(keys: Iterable[str | int]) -> str:
    """Return keys and positions, from the root on, as a JSONPath (RFC 9535): `$.step_details.tool_calls[2].type`.

    A long key is cut at its end, a long path in its middle. In a key, characters that are not printable are escaped.
    """
    text = printable("$" + "".join(map(_render_key, keys)))
    half = _LONGEST_PATH // 2
    return text if len(text) <= _LONGEST_PATH else f"{text[:half]}...{text[-half:]}"


def _render_key(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    key = key if len(key) <= _LONGEST_KEY else key[:_LONGEST_KEY] + "..."
    return f".{key}" if key.isidentifier() and key.isascii() else f"[{dump_json(key)}]"


def dump_json(value: object) -> str:
    """Return a JSON value as compact text. Keys keep their order, and characters outside ASCII are not escaped.

    A lone surrogate is escaped, so that the text can be encoded as UTF-8.
    """
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        import json

        return escape_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def escape_surrogates(text: str) -> str:
    """Return JSON text with each lone surrogate escaped, so that it can be encoded as UTF-8."""
    return re.sub(_SURROGATE, lambda found: f"\\u{ord(found[0]):04x}", text)


def copy_json(value: _T) -> _T:
    """Return a deep copy of a JSON value."""
    return cast("_T", msgspec.to_builtins(value))


def same_json(a: object, b: object) -> bool:
    """Return whether `json.dumps(x, sort_keys=True)` is the same for two JSON values.

    The order of keys does not matter. 1, 1.0 and true differ, and so do 0.0 and -0.0. A surrogate pair in a str equals
    the character that the pair encodes. The comparison stops at the first difference. The cost is at most linear in the
    size of the smaller value.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is dict:
        return _same_objects(cast("dict[str, object]", a), cast("dict[str, object]", b))
    if kind is list:
        left, right = cast("list[object]", a), cast("list[object]", b)
        return len(left) == len(right) and all(map(same_json, left, right))
    if kind is str:
        return a == b or _same_joined(cast("str", a), cast("str", b))
    return repr(a) == repr(b) if kind is float else a == b


def plain_json(value: object) -> object:
    """Return a JSON value that is a deep copy of Python data.

    A mapping becomes a dict. An instance of a subclass of list, str, int or float, such as a member of an enumeration,
    becomes a plain list, str, int or float.

    Raises:
        ValueError: something in the data is not a JSON value. The message says what was expected, what was found, and
            the JSON path.

    """
    return _plain(value, [])


def text_of(data: bytes | str) -> str:
    """Return data as text. Invalid UTF-8 reads as U+FFFD, as in the parser."""
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


def _parse_slowly(data: bytes | str) -> Json:
    """Decode text that msgspec rejects. It may have lone surrogates or invalid UTF-8, or not be JSON."""
    import json

    text = text_of(data)
    try:
        return cast("Json", json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded))
    except json.JSONDecodeError as exc:
        raise ValueError(f"expected JSON text: {exc.msg} (character {exc.pos} of {len(text)})") from exc
    except RecursionError as exc:
        raise ValueError(_TOO_DEEP) from exc


_TOO_DEEP = f"expected at most {MAX_DEPTH} arrays and objects within each other, got more"


def _refuse(_: str) -> NoReturn:
    raise ValueError("expected a finite number, got NaN or Infinity")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("expected a number within the range of a double, got a larger one")
    return number


def _bounded(text: str) -> int:
    if len(text) - text.startswith("-") > MAX_INT_DIGITS:
        raise ValueError(f"expected an integer of at most {MAX_INT_DIGITS} digits, got a longer one")
    return int(text)


def count_openers(data: bytes | str) -> int:
    """Return the number of `[` and `{` in JSON text: a cheap upper bound of the levels of nesting."""
    if type(data) is bytes:
        return len(data) - len(data.translate(None, b"[{"))  # faster than to count each
    return text_of(data).count("[") + text_of(data).count("{")


def bound_values(data: bytes | str) -> int:
    """Return a cheap upper bound of what `count_values` returns: brackets and commas in strings count too."""
    return 1 + count_openers(data) + (data.count(",") if isinstance(data, str) else data.count(b","))


def count_values(data: bytes | str) -> int:
    """Return the number of values in JSON text, in which an empty array or object counts twice. It decodes nothing.

    Each value but the first stands behind a bracket or comma that is in no string. The cost is linear in the length of
    the text, whatever is in it. Of text that is not JSON the number says nothing.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of `"` begins or ends a string
    count, inside = 1, 0
    for start in range(0, len(plain), _COUNTED):
        pieces = plain[start : start + _COUNTED].split(b'"')
        outside = b"".join(pieces[inside::2])
        count += count_openers(outside) + outside.count(b",")
        inside ^= len(pieces) % 2 == 0
    return count


def check_depth(value: object) -> None:
    """Raise `ValueError` if a value has more than `MAX_DEPTH` levels of nesting."""
    if json_depth(value) > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)


def json_depth(value: object) -> int:
    """Return the number of levels of nested arrays and objects in a value: 0 for a scalar.

    The function is not recursive, because a decoder may return a value that is too deep for recursion in Python.
    """
    depth = 0
    level: list[object] = [value] if isinstance(value, (dict, list)) else []
    while level:
        depth += 1
        level = [child for item in level for child in _members(item) if isinstance(child, (dict, list))]
    return depth


def _members(value: object) -> Iterable[object]:
    return cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)


def _same_objects(a: dict[str, object], b: dict[str, object]) -> bool:
    if len(a) != len(b):
        return False
    if a.keys() != b.keys():
        a = {join_surrogates(key): value for key, value in a.items()}
        b = {join_surrogates(key): value for key, value in b.items()}
        if a.keys() != b.keys():
            return False
    return all(same_json(value, b[key]) for key, value in a.items())


def _same_joined(a: str, b: str) -> bool:
    # Each surrogate pair becomes one character, so joining halves the length of a text at most.
    return max(len(a), len(b)) <= 2 * min(len(a), len(b)) and join_surrogates(a) == join_surrogates(b)


def join_surrogates(text: str) -> str:
    """Replace each surrogate pair by the character that the pair encodes, as JSON decoders do. Keep lone surrogates."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # the text has surrogates
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _plain(value: object, path: list[str | int]) -> object:
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int() if -_INT_BOUND < value < _INT_BOUND:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case Mapping() | list():
            if len(path) >= MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            return _plain_items(cast("Mapping[object, object] | list[object]", value), path)
        case int():
            got = f"an int of more than {MAX_INT_DIGITS} digits"
        case float():
            got = repr(float(value))
        case _:
            got = type(value).__qualname__
    raise ValueError(f"expected a JSON value at {render_path(path)}, got {got}")


def _plain_items(value: Mapping[object, object] | list[object], path: list[str | int]) -> object:
    if isinstance(value, list):
        items: list[object] = []
        for index, item in enumerate(value):
            path.append(index)
            items.append(_plain(item, path))
            path.pop()
        return items
    members: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            message = f"expected str keys at {render_path(path)}, got {type(key).__qualname__}"
            raise ValueError(message)  # noqa: TRY004 - the value is wrong, not the call
        path.append(key)
        members[str.__str__(key)] = _plain(item, path)
        path.pop()
    return members


class _Escapes(dict[int, str]):
    """A table for `str.translate` that adds the entry of a character when it is first needed."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        import unicodedata

        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            units = character.encode("utf-16-be", "surrogatepass").hex()
            character = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        self[code] = character
        return character


_ESCAPES = _Escapes()


def printable(text: str) -> str:
    r"""Return text with control and format characters, line separators and lone surrogates as `\uXXXX` escapes."""
    return text.translate(_ESCAPES)


# Paths.

Path: TypeAlias = Union["tuple[Path, str | int]", None]
"""A JSON path as a linked list from its end: the path of the parent, and a key or a position. None is the root."""


def path_keys(path: Path) -> list[str | int]:
    """Return the keys and positions of a path, in order from the root."""
    keys: list[str | int] = []
    while path is not None:
        path, key = path
        keys.append(key)
    return keys[::-1]


def value_at(payload: Json, keys: Iterable[str]) -> tuple[Json, Path]:
    """Return the value at keys of a payload, None where there is none, and the path to it."""
    path: Path = None
    for key in keys:
        payload, path = payload.get(key) if isinstance(payload, dict) else None, (path, key)
    return payload, path


def json_type(value: object) -> str:
    """Return how a message names the JSON type of a value, such as "a text" or "an object"."""
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
