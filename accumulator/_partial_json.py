"""Decoding of JSON text that is cut off: jiter's partial mode, made to keep the rules of `parse_json`."""

from __future__ import annotations

import re

from accumulator._json import MAX_DEPTH, check_depth, count_openers, join_surrogates, parse_json, plain_json

_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LOW_CUT = r"\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?"
_SURROGATES = re.compile(
    rf"(?P<cut>(?:{_HIGH}(?:{_LOW_CUT})?|[\ud800-\udbff])\Z)"
    rf"|(?P<whole>{_HIGH}{_LOW}|\\(?!u[dD][89a-fA-F])[^\ud800-\udfff])"
    rf"|(?P<lone>{_HIGH}|{_LOW}|[\ud800-\udfff])"
)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A number past the largest double matches one of these. Both in one pattern would take ten times as long.
_LARGE_EXPONENT = re.compile(r"[eE]\+?[0-9]{3}")
_MANY_DIGITS = re.compile(r"(?<=[0-9]{200})[.eE]")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_NUMBER_CUT = re.compile(r"[0-9](\.|[eE][+-]?)\Z")
_SCALAR_CUT = re.compile(r"[ \t\n\r]*(?:-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)?")
_CLOSERS = {"{": "}", "[": "]"}


def parse_partial_json(text: str) -> object:
    """Decode JSON text that may be cut off anywhere, as far as it goes.

    Complete text decodes as in `parse_json`. Of cut text, a string is returned as far as it goes, without an incomplete
    escape; a number by its digits so far; a key without a value and half a literal are left out; None means that
    nothing can be read yet. What wrongly follows a value is ignored. A lone surrogate reads as U+FFFD, since jiter
    takes none. More of the same text only adds to the value. The cost is linear in the length of the text.

    Raises:
        ValueError: the text is already wrong, by the rules of `parse_json`; the message has a reason and a place, and
            no payload.
        ImportError: jiter is not installed, whether this text needs it or not.

    """
    try:
        from jiter import from_json
    except ImportError as exc:
        raise ImportError("partial JSON needs jiter: pip install 'delta-accumulator[partial]'", name="jiter") from exc
    text = _without_cut_number(text)
    last = text[-1:]
    if last.isspace() or last == _CLOSERS.get(text[:1], last):  # else it is cut, and `parse_json` is slow to find out
        try:
            return parse_json(text)
        except ValueError:
            if _SCALAR_CUT.fullmatch(text):
                return None
    if _ESCAPED_SURROGATE.search(text) or _SURROGATE.search(text):
        text = _SURROGATES.sub(_mend_surrogate, join_surrogates(text))
    try:
        value: object = from_json(text.encode(), partial_mode="trailing-strings", allow_inf_nan=False)
    except ValueError as exc:
        raise ValueError(f"expected JSON text or the beginning of one: {exc}") from exc
    if _LARGE_EXPONENT.search(text) or _MANY_DIGITS.search(text):
        return plain_json(value)
    if count_openers(text) > MAX_DEPTH:
        check_depth(value)
    return value


def _without_cut_number(text: str) -> str:
    """Remove the end of a number such as `1.` or `1e+`: jiter would leave out the whole number. Strings stay."""
    cut = _NUMBER_CUT.search(text[-3:])
    if cut is None or _ESCAPE.sub("", text).count('"') % 2:
        return text
    return text[: -len(cut[1])]


def _mend_surrogate(found: re.Match[str]) -> str:
    """Remove a high surrogate at the end, since its low one may follow, and replace other lone surrogates."""
    match found.lastgroup:
        case "cut":
            return ""
        case "lone":
            return "\ufffd"
        case _:
            return found[0]
