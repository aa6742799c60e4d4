"""Models of messages and their deltas: they reject nothing, lose nothing, and read as typed objects."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import pytest
from openai.types.beta import threads as sdk
from openai.types.beta.threads import (
    file_citation_annotation,
    file_citation_delta_annotation,
    file_path_annotation,
    file_path_delta_annotation,
)

from accumulator._assistants import messages
from accumulator._model import Field, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pydantic import BaseModel

M = TypeVar("M", bound=Model)


def message_json() -> dict[str, object]:
    """Make a message with every kind of part, and in many places what no reference has."""
    return {
        "id": "msg_Rt27",
        "object": "thread.message",
        "created_at": 1.0,
        "assistant_id": "asst_Xm03",
        "thread_id": "thread_Ty55",
        "run_id": "run_Pq72",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_tokens", "limit": 256},
        "incomplete_at": "soon",
        "completed_at": None,
        "role": "assistant",
        "content": parts_json(),
        "attachments": [{"file_id": "file-5", "tools": [{"type": "file_search"}]}],
        "file_ids": ["file-6", {"id": "file-7"}],
        "metadata": {"lang": "dé"},
        "priority": [True, 1, 1.0, None],
    }


def parts_json() -> list[object]:
    return [
        {"type": "text", "text": {"value": "See †1, ", "annotations": annotations_json(), "lang": "en"}, "level": 0},
        {"type": "image_file", "image_file": {"file_id": "assistant-9", "detail": "low", "width": 640.0}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto", "alt": "A"}},
        {"type": "refusal", "refusal": "I will not.", "code": 7},
        {"type": "audio", "audio": {"seconds": 3}},
        "torn",
        {"type": "text", "text": {"value": "and †2."}},
    ]


def annotations_json() -> list[object]:
    place: dict[str, object] = {"text": "†1", "start_index": 4, "end_index": 6}
    return [
        {"type": "file_citation", **place, "file_citation": {"file_id": "file-1", "quote": "so", "page": 2}, "rank": 1},
        {"type": "file_path", **place, "file_path": {"file_id": "file-2", "size": 10}},
        {"type": "url_citation", **place, "url_citation": {"url": "https://example.com", "title": "Én", "age": 1.0}},
        {"type": "footnote", "text": "†2"},
        None,
    ]


def delta_json() -> dict[str, object]:
    annotations = [
        {"index": index, **cast("dict[str, object]", annotation)}
        for index, annotation in enumerate(annotations_json())
        if annotation is not None
    ]
    parts: list[object] = [
        {"index": 0, "type": "text", "text": {"value": "See ", "annotations": annotations}},
        {"index": 1, "type": "image_file", "image_file": {"file_id": "file-3", "detail": "high"}},
        {"index": 2, "type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"index": 3, "type": "refusal", "refusal": "I "},
        {"index": 4, "type": "audio", "audio": {"seconds": 1}},
        "torn",
    ]
    return {
        "id": "msg_Rt27",
        "object": "thread.message.delta",
        "delta": {"role": "assistant", "content": parts, "seq": 1},
    }


def only(expected: type[M], value: object) -> M:
    """Return the value as what it must be."""
    assert isinstance(value, expected)
    assert expected is type(value)
    return value


# ---- What a message holds.


def test_a_message_comes_back_as_sent() -> None:
    message = messages.Message.from_dict(message_json())
    assert json.dumps(message_json(), ensure_ascii=False, separators=(",", ":")) == message.to_json()
    assert message == messages.Message.from_json(message.to_json().encode())
    assert message == pickle.loads(pickle.dumps(message))  # noqa: S301 - its own


def test_a_message_reads_as_typed_objects() -> None:
    message = messages.Message.from_dict(message_json())
    details = only(messages.MessageIncompleteDetails, message.incomplete_details)
    assert ("msg_Rt27", "thread.message", "incomplete") == (message.id, message.object, message.status)
    assert ("asst_Xm03", "thread_Ty55", "run_Pq72") == (message.assistant_id, message.thread_id, message.run_id)
    times: tuple[object, ...] = (message.created_at, message.incomplete_at, message.completed_at)
    assert (1.0, "soon", None) == times
    assert ("assistant", {"lang": "dé"}) == (message.role, message.metadata)
    assert ("max_tokens", {"limit": 256}) == (details.reason, details.extra)
    assert ({"file_id": "file-5", "tools": [{"type": "file_search"}]},) == message.attachments
    assert ("file-6", {"id": "file-7"}) == cast("tuple[object, ...]", message.file_ids)
    assert {"priority": [True, 1, 1.0, None]} == message.extra


def test_parts_of_a_message_read_as_typed_objects() -> None:
    content = messages.Message.from_dict(message_json()).content
    text, file, url, refusal, audio, torn, last = content
    first = only(messages.TextContentBlock, text)
    block = only(messages.Text, first.text)
    assert ("text", {"level": 0}) == (first.type, first.extra)
    assert ("See †1, ", 5, {"lang": "en"}) == (block.value, len(block.annotations), block.extra)
    assert () == only(messages.Text, only(messages.TextContentBlock, last).text).annotations

    picture = only(messages.ImageFile, only(messages.ImageFileContentBlock, file).image_file)
    assert ("assistant-9", "low", {"width": 640.0}) == (picture.file_id, picture.detail, picture.extra)
    linked = only(messages.ImageURL, only(messages.ImageURLContentBlock, url).image_url)
    assert ("https://example.com/a.png", "auto", {"alt": "A"}) == (linked.url, linked.detail, linked.extra)
    refused = only(messages.RefusalContentBlock, refusal)
    assert ("I will not.", {"code": 7}) == (refused.refusal, refused.extra)
    assert ("audio", {"audio": {"seconds": 3}}) == (audio.type, only(messages.OtherContentBlock, audio).extra)
    assert "torn" == cast("object", torn)


def test_annotations_read_as_typed_objects() -> None:
    text = messages.Text.from_dict({"annotations": annotations_json()})
    citation, path, url, footnote, nothing = text.annotations
    place = ("†1", 4, 6)
    cited = only(messages.FileCitationAnnotation, citation)
    assert place == (cited.text, cited.start_index, cited.end_index)
    source = only(messages.FileCitation, cited.file_citation)
    assert ("file-1", "so", {"page": 2}, {"rank": 1}) == (source.file_id, source.quote, source.extra, cited.extra)
    made = only(messages.FilePathAnnotation, path)
    assert place == (made.text, made.start_index, made.end_index)
    file = only(messages.FilePath, made.file_path)
    assert ("file-2", {"size": 10}) == (file.file_id, file.extra)
    linked = only(messages.URLCitationAnnotation, url)
    assert place == (linked.text, linked.start_index, linked.end_index)
    page = only(messages.URLCitation, linked.url_citation)
    assert ("https://example.com", "Én", {"age": 1.0}) == (page.url, page.title, page.extra)
    assert ("footnote", {"text": "†2"}) == (footnote.type, only(messages.OtherAnnotation, footnote).extra)
    assert None is cast("object", nothing)


def test_nothing_handed_out_can_change_a_message() -> None:
    message = messages.Message.from_dict(message_json())
    handed_out = [message.attachments[0], message.file_ids[1], message.metadata, message.extra, message.to_dict()]
    for value in handed_out:
        cast("dict[str, object]", value).clear()
    assert [{}, {}, {}, {}, {}] == handed_out
    assert json.dumps(message_json()) == json.dumps(message.to_dict())


def test_the_text_of_a_message_is_that_of_its_text_parts_in_order() -> None:
    assert "See †1, and †2." == messages.Message.from_dict(message_json()).text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, ""),
        ("text", "text"),
        (7, ""),
        ({"type": "text", "text": {"value": "a"}}, ""),
        ([], ""),
        ([{"type": "refusal", "refusal": "no"}, {"type": "audio", "text": {"value": "a"}}], ""),
        ([{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": {"value": value}} for value in (None, 7, ["a"], "\ud83d", "b", "")], "\ud83db"),
        ([{"text": {"value": "a"}}], "a"),
    ],
    ids=repr,
)
def test_the_text_of_a_message_is_what_text_there_is(content: object, expected: str) -> None:
    assert expected == messages.Message.from_dict({"content": content}).text
    assert "" == messages.Message.from_dict({}).text


# ---- What a delta holds.


def test_a_delta_comes_back_as_sent() -> None:
    event = messages.MessageDeltaEvent.from_dict(delta_json())
    assert json.dumps(delta_json(), ensure_ascii=False, separators=(",", ":")) == event.to_json()
    assert event == messages.MessageDeltaEvent.from_json(event.to_json())


def test_a_delta_reads_as_typed_objects() -> None:
    event = messages.MessageDeltaEvent.from_dict(delta_json())
    delta = only(messages.MessageDelta, event.delta)
    assert ("msg_Rt27", "thread.message.delta") == (event.id, event.object)
    assert ("assistant", {"seq": 1}) == (delta.role, delta.extra)
    text, file, url, refusal, audio, torn = delta.content
    assert [0, 1, 2, 3, 4] == [part.index for part in delta.content[:5]]
    grown = only(messages.TextDelta, only(messages.TextDeltaBlock, text).text)
    assert ("See ", 4) == (grown.value, len(grown.annotations))
    picture = only(messages.ImageFile, only(messages.ImageFileDeltaBlock, file).image_file)
    assert ("file-3", "high") == (picture.file_id, picture.detail)
    linked = only(messages.ImageURL, only(messages.ImageURLDeltaBlock, url).image_url)
    assert ("https://example.com/a.png", None) == (linked.url, linked.detail)
    assert "I " == only(messages.RefusalDeltaBlock, refusal).refusal
    assert ("audio", {"audio": {"seconds": 1}}) == (audio.type, only(messages.OtherDeltaBlock, audio).extra)
    assert "torn" == cast("object", torn)


def test_deltas_of_annotations_read_as_typed_objects() -> None:
    event = messages.MessageDeltaEvent.from_dict(delta_json())
    block = only(messages.TextDeltaBlock, only(messages.MessageDelta, event.delta).content[0])
    citation, path, url, footnote = only(messages.TextDelta, block.text).annotations
    place = ("†1", 4, 6)
    cited = only(messages.FileCitationDeltaAnnotation, citation)
    assert (0, *place) == (cited.index, cited.text, cited.start_index, cited.end_index)
    assert "so" == only(messages.FileCitation, cited.file_citation).quote
    made = only(messages.FilePathDeltaAnnotation, path)
    assert (1, *place) == (made.index, made.text, made.start_index, made.end_index)
    assert "file-2" == only(messages.FilePath, made.file_path).file_id
    linked = only(messages.URLCitationDeltaAnnotation, url)
    assert (2, *place) == (linked.index, linked.text, linked.start_index, linked.end_index)
    assert "Én" == only(messages.URLCitation, linked.url_citation).title
    assert (3, {"text": "†2"}) == (footnote.index, only(messages.OtherDeltaAnnotation, footnote).extra)


# ---- Which class.


@pytest.mark.parametrize(
    ("wrap", "sent", "expected"),
    [
        (messages.wrap_content, {"type": "text"}, messages.TextContentBlock),
        (messages.wrap_content, {"type": "text", "text": "a"}, messages.TextContentBlock),
        (messages.wrap_content, {"type": "output_text", "text": {}}, messages.OtherContentBlock),
        (messages.wrap_content, {"type": None, "image_file": {}}, messages.ImageFileContentBlock),
        (messages.wrap_content, {"type": "", "image_url": {}}, messages.ImageURLContentBlock),
        (messages.wrap_content, {"refusal": ""}, messages.RefusalContentBlock),
        (messages.wrap_content, {"type": ["text"]}, messages.OtherContentBlock),
        (messages.wrap_content, {}, messages.OtherContentBlock),
        (messages.wrap_content_delta, {"index": 0, "text": {}}, messages.TextDeltaBlock),
        (messages.wrap_content_delta, {"image_file": None}, messages.ImageFileDeltaBlock),
        (messages.wrap_content_delta, {"image_url": None}, messages.ImageURLDeltaBlock),
        (messages.wrap_content_delta, {"refusal": None}, messages.RefusalDeltaBlock),
        (messages.wrap_content_delta, {"type": 7, "text": {}}, messages.OtherDeltaBlock),
        # Every annotation has a `text`: the marker says nothing about the type.
        (messages.wrap_annotation, {"text": "†", "file_citation": {}}, messages.FileCitationAnnotation),
        (messages.wrap_annotation, {"text": "†", "file_path": {}}, messages.FilePathAnnotation),
        (messages.wrap_annotation, {"text": "†", "url_citation": {}}, messages.URLCitationAnnotation),
        (messages.wrap_annotation, {"text": "†"}, messages.OtherAnnotation),
        (messages.wrap_annotation_delta, {"file_citation": {}}, messages.FileCitationDeltaAnnotation),
        (messages.wrap_annotation_delta, {"file_path": {}}, messages.FilePathDeltaAnnotation),
        (messages.wrap_annotation_delta, {"url_citation": {}}, messages.URLCitationDeltaAnnotation),
        (messages.wrap_annotation_delta, {"index": 0}, messages.OtherDeltaAnnotation),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_type_decides_the_class_and_where_it_is_missing_the_shape(
    wrap: Callable[[Mapping[str, object]], Model], sent: dict[str, object], expected: type[Model]
) -> None:
    seen = wrap(sent)
    assert (expected, sent) == (type(seen), seen.to_dict())


@pytest.mark.parametrize(
    ("alias", "wrap"),
    [
        (messages.MessageContent, messages.wrap_content),
        (messages.MessageContentDelta, messages.wrap_content_delta),
        (messages.Annotation, messages.wrap_annotation),
        (messages.AnnotationDelta, messages.wrap_annotation_delta),
    ],
)
def test_each_member_of_a_union_can_come(alias: object, wrap: Callable[[Mapping[str, object]], Model]) -> None:
    kinds = ["text", "image_file", "image_url", "refusal", "file_citation", "file_path", "url_citation", "new"]
    assert set(get_args(alias)) == {type(wrap({"type": kind})) for kind in kinds}


# ---- The API's own names.


@pytest.mark.parametrize(
    ("cls", "theirs", "beyond"),
    [
        (messages.Message, sdk.Message, {"file_ids"}),
        (messages.TextContentBlock, sdk.TextContentBlock, set[str]()),
        (messages.Text, sdk.Text, set[str]()),
        (messages.ImageFileContentBlock, sdk.ImageFileContentBlock, set[str]()),
        (messages.ImageFile, sdk.ImageFile, set[str]()),
        (messages.ImageURLContentBlock, sdk.ImageURLContentBlock, set[str]()),
        (messages.ImageURL, sdk.ImageURL, set[str]()),
        (messages.RefusalContentBlock, sdk.RefusalContentBlock, set[str]()),
        (messages.FileCitationAnnotation, sdk.FileCitationAnnotation, set[str]()),
        (messages.FileCitation, file_citation_annotation.FileCitation, {"quote"}),
        (messages.FileCitation, file_citation_delta_annotation.FileCitation, set[str]()),
        (messages.FilePathAnnotation, sdk.FilePathAnnotation, set[str]()),
        (messages.FilePath, file_path_annotation.FilePath, set[str]()),
        (messages.FilePath, file_path_delta_annotation.FilePath, set[str]()),
        (messages.MessageDeltaEvent, sdk.MessageDeltaEvent, set[str]()),
        (messages.MessageDelta, sdk.MessageDelta, set[str]()),
        (messages.TextDeltaBlock, sdk.TextDeltaBlock, set[str]()),
        (messages.TextDelta, sdk.TextDelta, set[str]()),
        (messages.ImageFileDeltaBlock, sdk.ImageFileDeltaBlock, set[str]()),
        (messages.ImageURLDeltaBlock, sdk.ImageURLDeltaBlock, set[str]()),
        (messages.RefusalDeltaBlock, sdk.RefusalDeltaBlock, set[str]()),
        (messages.FileCitationDeltaAnnotation, sdk.FileCitationDeltaAnnotation, set[str]()),
        (messages.FilePathDeltaAnnotation, sdk.FilePathDeltaAnnotation, set[str]()),
    ],
    ids=lambda value: f"{value.__module__}.{value.__name__}" if isinstance(value, type) else repr(value),
)
def test_classes_and_fields_are_named_as_in_the_sdk(
    cls: type[Model], theirs: type[BaseModel], beyond: set[str]
) -> None:
    fields = {name for name, value in vars(cls).items() if isinstance(value, Field)}
    assert (theirs.__name__, set(theirs.model_fields) | beyond) == (cls.__name__, fields)


# ---- Real servers.


def payloads(recordings: Path) -> Iterator[dict[str, object]]:
    """Yield the JSON object of each event in the recordings, with a torn one left out."""
    for file in sorted(recordings.glob("*.sse")):
        for line in file.read_bytes().splitlines():
            if line.startswith(b"data: {"):
                try:
                    yield json.loads(line.removeprefix(b"data: "))
                except ValueError:
                    continue


def test_messages_of_recordings_come_back_and_hold_nothing_undeclared(recordings: Path) -> None:
    sent = [payload for payload in payloads(recordings) if payload.get("object") == "thread.message"]
    assert sent
    for payload in sent:
        message = messages.Message.from_dict(payload)
        assert json.dumps(payload, ensure_ascii=False, separators=(",", ":")) == message.to_json()
        assert ({}, payload["id"]) == (message.extra, message.id)
        for part in message.content:
            assert {} == part.extra
            assert messages.OtherContentBlock is not type(part)


def test_markers_of_recorded_messages_stand_where_their_annotations_say(recordings: Path) -> None:
    seen: set[tuple[type[Model], bool]] = set()
    for payload in payloads(recordings):
        if payload.get("object") == "thread.message":
            for part in messages.Message.from_dict(payload).content:
                text = part.text if isinstance(part, messages.TextContentBlock) else None
                for annotation in text.annotations if text else ():
                    cited = only(messages.FileCitationAnnotation, annotation)
                    value = (text and text.value) or ""
                    seen.add((type(cited), value[cited.start_index : cited.end_index] == cited.text))
    assert {(messages.FileCitationAnnotation, True)} == seen


def test_deltas_of_recordings_come_back_and_hold_nothing_undeclared(recordings: Path) -> None:
    sent = [payload for payload in payloads(recordings) if payload.get("object") == "thread.message.delta"]
    assert sent
    for payload in sent:
        event = messages.MessageDeltaEvent.from_dict(payload)
        delta = only(messages.MessageDelta, event.delta)
        assert json.dumps(payload, ensure_ascii=False, separators=(",", ":")) == event.to_json()
        assert ({}, {}) == (event.extra, delta.extra)
        assert delta.content
        for part in delta.content:
            assert {} == part.extra
            assert messages.OtherDeltaBlock is not type(part)
