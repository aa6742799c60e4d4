"""JSON text to plain values and back: the one place where that is decided.

A JSON value here is None, bool, int, a finite float, str, list or dict with str keys, nothing else. `parse_json` takes
what real servers send and rejects what could not be written again: NaN, Infinity, a float past the largest double, an
integer past `MAX_INT_DIGITS`, nesting past `MAX_DEPTH`.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

if TYPE_CHECKING:
    from typing import NoReturn

MAX_DEPTH = 128
"""Most arrays and objects that may lie within each other: serde_json's limit. Events of the API nest about ten deep."""

MAX_INT_DIGITS = 4300
"""Most digits of an integer: Python's own default limit between text and int, which msgspec has too."""

_FRAMES = 4
_MARGIN = 10
"""Calls within each other that the fold takes for a level of nesting, at most; and levels more for the way there."""

_INT_BOUND: int = 10**MAX_INT_DIGITS
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)

_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LOW_CUT = r"\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?"
_SURROGATES = re.compile(
    rf"(?P<cut>(?:{_HIGH}(?:{_LOW_CUT})?|[\ud800-\udbff])\Z)"
    rf"|(?P<whole>{_HIGH}{_LOW}|\\(?!u[dD][89a-fA-F])[^\ud800-\udfff])"
    rf"|(?P<lone>{_HIGH}|{_LOW}|[\ud800-\udfff])"
)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# What a number past the largest double needs; one alternation of the two would take ten times as long.
_LARGE_EXPONENT = re.compile(r"[eE]\+?[0-9]{3}")
_MANY_DIGITS = re.compile(r"(?<=[0-9]{200})[.eE]")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_NUMBER_CUT = re.compile(r"[0-9](\.|[eE][+-]?)\Z")
_SCALAR_CUT = re.compile(r"[ \t\n\r]*(?:-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)?")
_CLOSERS = {"{": "}", "[": "]"}

_T = TypeVar("_T")


def parse_json(data: bytes | str) -> object:
    """Decode JSON text.

    Bytes are UTF-8; where they are not, each wrong part reads as U+FFFD, as the WHATWG decoder does it. The escape of a
    lone surrogate is kept as a lone surrogate. Of duplicate keys the last counts. Linear in the length of the text;
    clean text costs one pass of msgspec and a count of its brackets.

    Raises:
        ValueError: it is no JSON, or nothing that could be written again; the message has a reason and no payload.

    """
    try:
        value: object = msgspec.json.decode(data)
    except (UnicodeError, msgspec.DecodeError, RecursionError):
        value = _parse_slowly(data)
    if _count_openers(data) > MAX_DEPTH:
        _check_depth(value)
    return value


def require_stack(data: bytes | str) -> None:
    """Raise `RecursionError` unless there is stack enough to go down all that JSON text can nest.

    So a caller who left too little finds that out before anything is changed. Costs less than decoding the text.
    """
    if _has_stack(min(_count_openers(data), MAX_DEPTH)):
        return
    try:
        depth = _depth(parse_json(data))
    except ValueError:  # too deep for the decoder, or for what is left
        depth = MAX_DEPTH
    if not _has_stack(depth):
        message = f"expected stack for {_FRAMES * (_MARGIN + depth)} calls, too much of it is taken"
        raise RecursionError(message)


def _has_stack(levels: int) -> bool:
    try:
        sys._getframe(sys.getrecursionlimit() - _FRAMES * (_MARGIN + levels))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - counts them, in C
    except ValueError:  # the stack is not that deep
        return True
    return False


def parse_partial_json(text: str) -> object:
    """Decode JSON text that may be cut off anywhere, as far as it goes.

    Whole text gives what `parse_json` gives. Of cut text: a string as far as it came, without half an escape; a number
    by the digits that came; no key without a value, no half literal; None where nothing can be read yet. What follows
    a value in place of a comma, a bracket or the end is not looked at. A surrogate left alone reads as U+FFFD, as jiter
    takes none. What more of a text adds to what is read takes nothing away. Linear in the length of the text.

    Raises:
        ValueError: what came so far is wrong already, by the rules of `parse_json`; the message has a reason and a
            place, and no payload.
        ImportError: jiter is not installed, whether this text needs it or not.

    """
    try:
        from jiter import from_json
    except ImportError as exc:
        message = "partial JSON needs jiter: pip install 'delta-accumulator[partial]'"
        raise ImportError(message, name="jiter") from exc
    text = _without_cut_number(text)
    last = text[-1:]
    if last.isspace() or last == _CLOSERS.get(text[:1], last):  # else it is cut, which `parse_json` finds out slowly
        try:
            return parse_json(text)
        except ValueError:
            if _SCALAR_CUT.fullmatch(text):
                return None
    if _ESCAPED_SURROGATE.search(text) or _SURROGATE.search(text):
        text = _SURROGATES.sub(_mend_surrogate, _joined(text))
    try:
        value: object = from_json(text.encode(), partial_mode="trailing-strings", allow_inf_nan=False)
    except ValueError as exc:
        message = f"expected JSON text or the beginning of one: {exc}"
        raise ValueError(message) from exc
    if _LARGE_EXPONENT.search(text) or _MANY_DIGITS.search(text):
        return plain_json(value)
    if _count_openers(text) > MAX_DEPTH:
        _check_depth(value)
    return value


def dump_json(value: object) -> str:
    """Encode a JSON value as compact text, non-ASCII raw, keys in their order.

    A lone surrogate is written as its escape, so that `.encode()` of the result cannot fail.
    """
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        import json

        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def copy_json(value: _T) -> _T:
    """Copy a JSON value deeply; the text and numbers in it are shared."""
    return cast("_T", msgspec.to_builtins(value))


def same_json(a: object, b: object) -> bool:
    """Tell whether two JSON values are equal in the sense of `json.dumps(x, sort_keys=True)`.

    The order of keys does not count. 1, 1.0 and true are three values, so are 0.0 and -0.0. A pair of surrogates that
    stands in a str as two characters equals the one character that it means. Stops at the first difference; costs the
    smaller of the two at most.
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
    """Copy Python data deeply into a JSON value.

    Any mapping becomes a dict, a list a list; a subclass of str, int or float (an enumeration, say) becomes that.

    Raises:
        ValueError: something in it is no JSON; the message names the JSON path, what was expected and what came.

    """
    return _plain(value, [])


def _parse_slowly(data: bytes | str) -> object:
    """Decode what msgspec refuses: either it is wrong, or it has wrong UTF-8 or a lone surrogate in it."""
    import json

    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return cast("object", json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded))
    except json.JSONDecodeError as exc:
        message = f"expected JSON text: {exc.msg} (character {exc.pos} of {len(text)})"
        raise ValueError(message) from exc
    except RecursionError as exc:
        raise ValueError(_TOO_DEEP) from exc


def _without_cut_number(text: str) -> str:
    """Leave out the end of `1.` or `1e+`, for which jiter would leave out the whole number; not so in a string."""
    cut = _NUMBER_CUT.search(text[-3:])
    if cut is None or _ESCAPE.sub("", text).count('"') % 2:
        return text
    return text[: -len(cut[1])]


def _mend_surrogate(found: re.Match[str]) -> str:
    """Leave out half a pair at the end, where its other half may follow, and replace the others that are alone."""
    match found.lastgroup:
        case "cut":
            return ""
        case "lone":
            return "\ufffd"
        case _:
            return found[0]


_TOO_DEEP = f"expected at most {MAX_DEPTH} arrays and objects within each other, came more"


def _refuse(_: str) -> NoReturn:
    message = "expected a finite number, came NaN or Infinity"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        message = "expected a number within the range of a double, came a larger one"
        raise ValueError(message)
    return number


def _bounded(text: str) -> int:
    if len(text) - text.startswith("-") > MAX_INT_DIGITS:
        message = f"expected an integer of at most {MAX_INT_DIGITS} digits, came a longer one"
        raise ValueError(message)
    return int(text)


def _count_openers(data: bytes | str) -> int:
    if isinstance(data, str):
        return data.count("[") + data.count("{")
    return data.count(b"[") + data.count(b"{")


def _check_depth(value: object) -> None:
    if _depth(value) > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)


def _depth(value: object) -> int:
    """Go down level by level, not by recursion: the value may be nested as deep as the decoder's stack allowed."""
    depth, level = -1, [value]
    while level:
        depth += 1
        level = [child for item in level for child in _children(item)]
    return depth


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values()) or [None]
    return (cast("list[object]", value) or [None]) if isinstance(value, list) else []


def _same_objects(a: dict[str, object], b: dict[str, object]) -> bool:
    if len(a) != len(b):
        return False
    if a.keys() != b.keys():
        a = {_joined(key): value for key, value in a.items()}
        b = {_joined(key): value for key, value in b.items()}
        if a.keys() != b.keys():
            return False
    return all(same_json(value, b[key]) for key, value in a.items())


def _same_joined(a: str, b: str) -> bool:
    # Joined, a text has half its length at the least.
    return max(len(a), len(b)) <= 2 * min(len(a), len(b)) and _joined(a) == _joined(b)


def _joined(text: str) -> str:
    """Put pairs of surrogates together, as every JSON decoder does; lone ones stay."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


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
            came = f"an int of more than {MAX_INT_DIGITS} digits"
        case float():
            came = repr(float(value))
        case _:
            came = type(value).__qualname__
    message = f"expected a JSON value at {_path_text(path)}, came {came}"
    raise ValueError(message)


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
            message = f"expected str keys at {_path_text(path)}, came {type(key).__qualname__}"
            raise ValueError(message)  # noqa: TRY004 - the value is wrong, not the call
        path.append(key)
        members[str.__str__(key)] = _plain(item, path)
        path.pop()
    return members


def _path_text(path: list[str | int]) -> str:
    """Write a JSON path, such as `$.step_details.tool_calls[2].type`; what is no plain name is quoted and cut."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN_KEY.fullmatch(step):
            parts.append(f".{step}")
        else:
            parts.append(f"[{step[:64]!r}]")
    return "".join(parts)
