"""Decode JSON text that is cut off, with the partial mode of jiter and the rules of `parse_json`."""

from __future__ import annotations

import re

from accumulator._json import MAX_DEPTH, check_depth, count_openers, join_surrogates, parse_json, plain_json

_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# The beginning of the escape of a low surrogate, cut off after any character.
_LOW_CUT = r"\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?"
_SURROGATES = re.compile(
    rf"(?P<cut>(?:{_HIGH}(?:{_LOW_CUT})?|[\ud800-\udbff])\Z)"
    rf"|(?P<whole>{_HIGH}{_LOW}|\\(?!u[dD][89a-fA-F])[^\ud800-\udfff])"
    rf"|(?P<lone>{_HIGH}|{_LOW}|[\ud800-\udfff])"
)
"""Matches each escape and each raw surrogate in JSON text. Raw surrogate pairs must have been joined before.

cut: a high surrogate at the end of the text, with what there is of the escape of a low one. More text may complete the
    pair.
whole: an escaped pair, or an escape of anything but a surrogate. It stays; the match keeps the second backslash of an
    escaped backslash from being taken for the start of an escape.
lone: any other surrogate.
"""
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# Any number above the largest double matches one of these patterns. One pattern for both would be ten times as slow.
_LARGE_EXPONENT = re.compile(r"[eE]\+?[0-9]{3}")
_MANY_DIGITS = re.compile(r"(?<=[0-9]{200})[.eE]")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_NUMBER_CUT = re.compile(r"[0-9](\.|[eE][+-]?)\Z")
_SCALAR_CUT = re.compile(r"[ \t\n\r]*(?:-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)?")
_CLOSERS = {"{": "}", "[": "]"}


def parse_partial_json(text: str) -> object:
    """Decode JSON text that may be cut off anywhere, as far as it goes.

    Complete text is decoded as by `parse_json`. In text that is cut off:

    - A string is returned as far as it goes, without an escape that is cut off.
    - A number has the value of its digits so far.
    - A key without a value, and a literal that is cut off, are left out.
    - Text that has no value yet reads as None.
    - A lone surrogate reads as U+FFFD, because jiter rejects lone surrogates.
    - Text after the end of the value is ignored, although it is wrong.

    As the text grows, its strings, lists and objects grow. There are two exceptions: a later value of the same key
    replaces an earlier one, and a lone surrogate that read as U+FFFD reads as itself once the text is complete. The
    cost is linear in the length of the text.

    Raises:
        ValueError: no JSON text that `parse_json` accepts begins with this text. The message has a reason and a place,
            and no part of the text.
        ImportError: jiter is not installed. It is required for complete text too.

    """
    try:
        from jiter import from_json
    except ImportError as exc:
        raise ImportError("partial JSON needs jiter: pip install 'delta-accumulator[partial]'", name="jiter") from exc
    text = _without_cut_number(text)
    last = text[-1:]
    if last.isspace() or last == _CLOSERS.get(text[:1], last):  # else it is not whole: `parse_json` would fail
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
    """Remove the end of a cut number such as `1.` or `1e+`, because jiter would leave out the whole number.

    The same characters at the end of a string stay.
    """
    cut = _NUMBER_CUT.search(text[-3:])
    if cut is None or _ESCAPE.sub("", text).count('"') % 2:
        return text
    return text[: -len(cut[1])]


def _mend_surrogate(found: re.Match[str]) -> str:
    """Return the replacement of a match of `_SURROGATES`: "" for `cut`, U+FFFD for `lone`, the match for `whole`."""
    match found.lastgroup:
        case "cut":
            return ""
        case "lone":
            return "\ufffd"
        case _:
            return found[0]
