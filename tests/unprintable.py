"""Text that a terminal or a log may act on, and how to find it."""

from __future__ import annotations

import unicodedata

HOSTILE = "\x00\x07\x1b[2J\x7f\x9b31m\u00ad\u061c\u200b\u202e\u2028\u2029\u2066\ufeff\U000e0041"
ESCAPED = (
    "\\u0000\\u0007\\u001b[2J\\u007f\\u009b31m\\u00ad\\u061c\\u200b\\u202e\\u2028\\u2029\\u2066\\ufeff\\udb40\\udc41"
)
"""`HOSTILE` as it is shown."""


def hostile(text: str) -> list[str]:
    """Return the characters that a terminal may act on."""
    return [character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
