"""What the bytes are that came in the place of server-sent events.

A server behind a gateway answers with a page of HTML or a JSON error. A file may be a recording in another format, or
have another encoding. A message about such input names the format, so that the reader knows what to do about it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

BEGINNING_SIZE: Final = 4096
"""The bytes at the beginning of the input that `describe` looks at. The formats differ in their first line or two."""

HTML: Final = "an HTML page"
PLAIN_TEXT: Final = "plain text"

_EVENTS: Final = ""
"""The description of server-sent events."""

_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = (b"event", b"data", b"id", b"retry")
_FIELD: Final = b"(?:" + b"|".join(_FIELDS) + b")"

_BEGINS: Final = rb"\A[\r\n]*+" + _FIELD + rb"?+:"
"""The beginning of an event stream: blank lines, then a line with a field or a comment (WHATWG HTML, section 9.2.5).

The standard also has fields without a colon. No server begins with one, while a text may begin with such a line.
"""

_MOST_BLANK: Final = 2_048
"""The blank lines, in bytes, before the first other line of an input that begins like an event stream."""

_UTF_16: Final = "UTF-16 text (PowerShell's > writes it)"
_CASSETTE: Final = "a VCR cassette"
_DUMP: Final = "a printed Python dump"

_TAG: Final = (
    rb"html|head|body|title|meta|script|style|h\d|hr|div|span|center|font|p|br|pre|table|form|img|ul|ol|main|section"
)
"""The elements with which a page of HTML begins, without those that are as likely in other XML."""

_FORMATS: Final = (
    # Encodings.
    (rb"\A\x1f\x8b", "gzip data"),
    (rb"\A\x28\xb5\x2f\xfd", "zstd data"),
    (rb"\APK\x03\x04", "a zip archive"),
    (rb"\A(?:\xff\xfe|\xfe\xff)", _UTF_16),
    (rb"\A(?:[\t\n\r -~]\0){4}", _UTF_16),
    (rb"\A(?:\0[\t\n\r -~]){4}", _UTF_16),
    (rb"\A\d{1,12}:\d{1,12}:[a-z_]{1,30};", "a flow file of mitmproxy"),  # whose bodies may be packed
    (rb"[\x00-\x08\x0e-\x1a]", "binary data"),
    # Pages.
    (rb"(?i)\A\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype html|!--|" + _TAG + rb")\b", HTML),
    (rb"\A\s*<[?!\w]", "an XML document"),
    # Recordings in other formats.
    (rb'\A\s*\{\s*"log"\s*:\s*\{', "a HAR file"),
    (rb'\A\s*\{\s*(?:"version"\s*:\s*\d+\s*,\s*)?"(?:http_)?interactions"\s*:', _CASSETTE),
    (rb"\A\s*(?:---\s+)?(?:http_)?interactions:\s", _CASSETTE),
    (rb'\A\s*\{\s*"Entries"\s*:\s*\[', "a session record of the Azure test proxy"),
    (rb'\A\s*\[\s*\{\s*"scope"\s*:', "a recording of nock"),
    (rb"\A(?:[\d:.]{1,20} )?(?:== Info|=> Send|<= Recv)", "a trace of curl"),
    (rb"\AHTTP/\d", "an HTTP response with its headers"),
    (rb"\A\s*\[?[A-Za-z_][\w.]{0,100}\(\w{1,100}=", _DUMP),
    (rb"\A\s*\[?\{'", _DUMP),
    # Events that are not those of a run, or are not written as events are.
    (rb'"object"\s{0,9}:\s{0,9}"chat\.completion\.chunk"', "chat completion chunks"),
    (rb"(?m)^event: ?response\.", "events of the Responses API"),
    (rb"(?m)^event: ?message_start\b", "events of the Anthropic Messages API"),
    (rb'(?m)^data: ?"\s{0,9}[\[{]\s{0,9}\\"', "JSON inside a JSON string"),
    (rb'(?m)^data: ?[\[{][ \t]{0,9}\r?\n[ \t]{0,99}["{\[]', "JSON printed over several lines"),
    (rb"(?m)^event:[^\r\n]*\r?\n(?:\r?\n)+data:", "events with a blank line between `event:` and `data:`"),
    (rb"(?m)^event:[^\r\n]*\r?\ndata:[^\r\n]*\r?\nevent:", "events without a blank line between them"),
    (_BEGINS, _EVENTS),
    # JSON and text.
    (rb'\A\s*"\s*[\[{]\s*\\"', "JSON inside a JSON string"),
    (rb"\A\s*\{[^\r\n]*\}\r?\n\s*\{", "JSON lines"),
    (rb'\A\s*\{\s*"(?:error|errors|detail|message|code)"\s*:', "a JSON object with an error"),
    (rb'\A\s*\{\s*["}]', "a JSON object"),
    (rb'\A\s*\[\s*[\[{"\]]', "a JSON list"),
    (rb"(?m)^(?!" + _FIELD + rb'?:)[^\r\n]*?\W(?:event: ?\w|data: ?["\[{])', "log lines with events in them"),
)
"""Patterns, and what the input is in which a pattern is found. The first that is found decides."""


@cache
def _compiled() -> tuple[tuple[re.Pattern[bytes], str], ...]:
    """Compile the patterns at the first use: that takes a tenth of the time of importing the package."""
    return tuple((re.compile(pattern), description) for pattern, description in _FORMATS)


def describe(beginning: bytes | str) -> str:
    """Return what input is that begins so, such as "an HTML page"; "" if it may be server-sent events, or is empty.

    The cost has a bound: only the first `BEGINNING_SIZE` bytes or characters are looked at.
    """
    beginning = beginning[:BEGINNING_SIZE]
    if isinstance(beginning, str):
        beginning = beginning.encode("utf-8", "replace")
    beginning = beginning.removeprefix(_BOM)
    if not beginning.strip():
        return _EVENTS
    return next((description for pattern, description in _compiled() if pattern.search(beginning)), PLAIN_TEXT)


def is_html(text: bytes | str) -> bool:
    """Whether text begins like an HTML page. Costs as `describe`."""
    return describe(text) == HTML


def is_plain_text(text: bytes | str) -> bool:
    """Whether text is neither events nor in a format that is known. Costs as `describe`."""
    return describe(text) == PLAIN_TEXT


def begins_like_events(start: bytes) -> bool | None:
    """Whether an input that begins so is an event stream, None if it takes more bytes to tell.

    It is one if its first line that is not blank begins with a field or a comment. A byte-order mark and blank lines
    may come first.
    """
    if re.match(_BEGINS, start.removeprefix(_BOM)):
        return True
    line = start.removeprefix(_BOM).lstrip(b"\r\n")
    if line:
        return None if _BOM.startswith(start) or any(field.startswith(line) for field in _FIELDS) else False
    return None if len(start) <= _MOST_BLANK else False
