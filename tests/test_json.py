"""JSON text to values and back, copies, and what counts as equal."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accumulator._json import MAX_DEPTH, copy_json, dump_json, parse_json, plain_json, same_json

# Lone surrogates are in, pairs of them are not: `json.dumps` sorts a pair elsewhere than the character that it means.
TEXT = st.text(st.characters() | st.sampled_from(["\ud800", "\udbff", "\x00", "\u2028", "\x7f", '"', "\\"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.just(10**40)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
# Few values, so that two drawn ones are often equal.
ALIKE = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, "", "1", 2**70, 1e22]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
TOO_DEEP = "expected at most 128 arrays and objects within each other, got more"


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def nested(depth: int, opener: str = "[", closer: str = "]") -> str:
    return opener * depth + closer * depth


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":[1,1.0,true,null,"\xc3\xa9"]}', {"a": [1, 1.0, True, None, "é"]}),
        ('{"a": "é"}', {"a": "é"}),
        (b'{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
        (b'{"a":1,"b":"\\ud800","a":3}', {"a": 3, "b": "\ud800"}),
        (b"-0.0", -0.0),
        (b"1e-400", 0.0),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\ud83d"', "\ud83d"),
        (b'"\\ude00\\ud83d"', "\ude00\ud83d"),
        ('"\ud83dx"', "\ud83dx"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'["\\ud800",-1.5,12345678901234567890123]', ["\ud800", -1.5, 12345678901234567890123]),
        (b'"' + b"[{" * 1000 + b'"', "[{" * 1000),
        ("[" + "[0]," * 1000 + "[0]]", [[0]] * 1001),
    ],
)
def test_text_becomes_the_value_it_means(data: bytes | str, expected: object) -> None:
    assert canonical(expected) == canonical(parse_json(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected JSON text: Expecting value (character 0 of 0)"),
        (b'{"a":', "expected JSON text: Expecting value (character 5 of 5)"),
        (b"[DONE]", "expected JSON text: Expecting value (character 1 of 6)"),
        (b"{} {}", "expected JSON text: Extra data (character 3 of 5)"),
        (b'"\n"', "expected JSON text: Invalid control character at (character 1 of 3)"),
        (b'{"a":\xff}', "expected JSON text: Expecting value (character 5 of 7)"),
        ("{'secret': 1}", "expected JSON text: Expecting property name enclosed in double quotes (character 1 of 13)"),
        (b"NaN", "expected a finite number, got NaN or Infinity"),
        (b"[-Infinity]", "expected a finite number, got NaN or Infinity"),
        (b'["\\ud800",Infinity]', "expected a finite number, got NaN or Infinity"),
        (b"1e400", "expected a number within the range of a double, got a larger one"),
        (b'["\\ud800",-1e999]', "expected a number within the range of a double, got a larger one"),
        (b"1" * 4301, "expected an integer of at most 4300 digits, got a longer one"),
        (b"-" + b"1" * 4301, "expected an integer of at most 4300 digits, got a longer one"),
        (b'["\\ud800",' + b"1" * 4301 + b"]", "expected an integer of at most 4300 digits, got a longer one"),
    ],
)
def test_what_is_no_json_is_refused_with_a_reason_and_no_payload(data: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_json(data)
    assert reason == str(caught.value)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("slow", ["", '"\\ud800",'])
def test_an_integer_may_have_4300_digits(sign: str, slow: str) -> None:
    digits = sign + "7" * 4300
    value = parse_json(f"[{slow}{digits}]")
    assert isinstance(value, list)
    assert int(digits) == value[-1]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":[', "]}")])
def test_nesting_ends_at_the_limit_whichever_decoder_reads_it(opener: str, closer: str, slow: bool) -> None:  # noqa: FBT001
    def text(depth: int) -> str:
        inner = '"\\ud800"' if slow else "1"
        levels = depth // (opener.count("[") + opener.count("{"))
        return opener * levels + inner + closer * levels

    assert canonical(json.loads(text(MAX_DEPTH))) == canonical(parse_json(text(MAX_DEPTH)))
    with pytest.raises(ValueError, match=TOO_DEEP):
        parse_json(text(MAX_DEPTH + 2))


def test_one_level_too_many_is_too_deep_even_if_it_is_empty() -> None:
    assert nested(MAX_DEPTH) == dump_json(parse_json(nested(MAX_DEPTH)))
    with pytest.raises(ValueError, match=TOO_DEEP):
        parse_json(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("opener", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("closed", [False, True])
def test_a_million_levels_are_refused_and_do_not_crash(opener: str, closed: bool) -> None:  # noqa: FBT001
    closer = "".join({"[": "]", "{": "}"}.get(char, "") for char in reversed(opener))
    text = opener * 1_000_000 + ("1" + closer * 1_000_000 if closed else "")
    with pytest.raises(ValueError, match=TOO_DEEP):
        parse_json(text.encode())


@given(VALUES)
def test_text_of_any_value_reads_back(value: object) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert canonical(value) == canonical(parse_json(text))
    assert canonical(value) == canonical(parse_json(json.dumps(value).encode()))


@given(VALUES, st.data())
@example(["\ud800"], None)
def test_damaged_text_reads_as_the_standard_library_reads_it(value: object, data: st.DataObject | None) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if data is not None:
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(start + 2, len(text))))
        text = text[:start] + data.draw(st.binary(max_size=2) | st.sampled_from([b"\\ud83d", b"1e999"])) + text[stop:]

    def read(decode: object) -> str:
        assert callable(decode)
        try:
            return canonical(decode())
        except ValueError:
            return "no JSON"

    assert read(lambda: json.loads(text.decode("utf-8", "replace"))) == read(lambda: parse_json(text))


@given(VALUES)
def test_written_text_reads_back_and_can_be_encoded(value: object) -> None:
    text = dump_json(value)
    assert canonical(value) == canonical(json.loads(text.encode()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [1.0, None, True]}, '{"b":1,"a":[1.0,null,true]}'),
        ("é😀\u2028", '"é😀\u2028"'),
        ({"é\ud800": "\udfff\n"}, '{"é\\ud800":"\\udfff\\n"}'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
        (10**40, "1" + "0" * 40),
    ],
)
def test_text_is_compact_and_escapes_only_what_it_must(value: object, expected: str) -> None:
    assert expected == dump_json(value)


@given(VALUES)
def test_a_copy_is_the_same_and_shares_nothing_that_can_change(value: object) -> None:
    copy = copy_json(value)
    assert canonical(value) == canonical(copy)
    assert set() == containers(value) & containers(copy)


def containers(value: object) -> set[int]:
    if not isinstance(value, dict | list):
        return set()
    items = cast("dict[str, object] | list[object]", value)
    return {id(items)}.union(*map(containers, items.values() if isinstance(items, dict) else items))


@given(ALIKE, ALIKE)
def test_equality_is_that_of_sorted_text(a: object, b: object) -> None:
    assert (canonical(a) == canonical(b)) is same_json(a, b)
    assert same_json(a, copy_json(a)) is True


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1.0, False),
        (1, True, False),
        (0.0, -0.0, False),
        (0.5, 0.5, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": 1}, {"b": 1}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ("\ud83d\ude00", "😀", True),
        ("\ud83d", "😀", False),
        ({"\ud83d\ude00": "x"}, {"😀": "x"}, True),
        ({"\ud83d\ude00": "x"}, {"😀": "y"}, False),
    ],
)
def test_equality_case_by_case(a: object, b: object, expected: bool) -> None:  # noqa: FBT001
    assert expected is same_json(a, b)
    assert expected is same_json(b, a)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Half(float, Enum):
    HALF = 0.5


def test_python_data_becomes_plain_json() -> None:
    # `repr` tells 3 from Level.HIGH and a dict from a mapping, `==` does not.
    value: object = {
        "a": MappingProxyType({"b": [OrderedDict({"c": None})]}),
        Colour.RED: [Colour.RED, Level.HIGH, Half.HALF, True],
    }
    assert "{'a': {'b': [{'c': None}]}, 'red': ['red', 3, 0.5, True]}" == repr(plain_json(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1,), "expected a JSON value at $, got tuple"),
        ({"a": [1, {"b c": b"secret"}]}, 'expected a JSON value at $.a[1]["b c"], got bytes'),
        ({"a": float("nan")}, "expected a JSON value at $.a, got nan"),
        ({"a": float("-inf")}, "expected a JSON value at $.a, got -inf"),
        ({"a": 10**4300}, "expected a JSON value at $.a, got an int of more than 4300 digits"),
        ([-(10**4300)], "expected a JSON value at $[0], got an int of more than 4300 digits"),
        ({"a": [{1: 2}]}, "expected str keys at $.a[0], got int"),
        ({"k" * 1000: {None: 2}}, f'expected str keys at $["{"k" * 200}..."], got NoneType'),
    ],
)
def test_python_data_that_is_no_json_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        plain_json(value)
    assert message == str(caught.value)


def test_python_data_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append({"again": loop})
    with pytest.raises(ValueError, match=TOO_DEEP):
        plain_json(loop)


def test_python_data_may_nest_as_deep_as_text() -> None:
    assert nested(MAX_DEPTH) == dump_json(plain_json(json.loads(nested(MAX_DEPTH))))
    with pytest.raises(ValueError, match=TOO_DEEP):
        plain_json(json.loads(nested(MAX_DEPTH + 1)))
