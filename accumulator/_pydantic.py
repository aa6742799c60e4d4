"""What pydantic asks a class for, without importing pydantic: how it is validated, written and described."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Info(Protocol):
    mode: str


class _Plain(Protocol):
    def to_dict(self) -> dict[str, object]: ...


def core_schema(cls: type, read: Callable[[object], object]) -> dict[str, object]:
    """Return the core schema of a class with `to_dict`.

    Args:
        cls: the class. An instance of it is valid as it is.
        read: makes an instance of any other value, or raises `ValueError`.

    """

    def validate(value: object) -> object:
        return value if isinstance(value, cls) else read(value)

    return {
        "type": "function-plain",
        "function": {"type": "no-info", "function": validate},
        "serialization": {"type": "function-plain", "function": _write, "info_arg": True},
    }


def json_schema(cls: type) -> dict[str, object]:
    """Return the JSON schema of a class: an object, as servers may send any keys."""
    return {"type": "object", "title": cls.__name__, "description": (cls.__doc__ or "").partition("\n")[0]}


def _write(value: _Plain, info: _Info) -> object:
    """Return a value as a dict. In JSON, which pydantic writes as UTF-8, a lone surrogate becomes U+FFFD."""
    plain = value.to_dict()
    return _mend(plain) if info.mode == "json" else plain


def _mend(value: object) -> object:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value) if _SURROGATE.search(value) else value
    if isinstance(value, dict):
        return {cast("str", _mend(key)): _mend(each) for key, each in cast("dict[str, object]", value).items()}
    return [_mend(each) for each in cast("list[object]", value)] if isinstance(value, list) else value
