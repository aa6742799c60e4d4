"""Messages: the rules of the fold by example, where a message differs from a run step or could."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    ContentCreated,
    ContentDelta,
    ContentDone,
    ImageFileContentBlock,
    ImageFileDeltaBlock,
    MergeError,
    Message,
    MessageCreated,
    MessageDone,
    MessageUpdated,
    OtherContentBlock,
    OtherDeltaBlock,
    Problem,
    RefusalContentBlock,
    RequiredAction,
    RequiresAction,
    Run,
    RunUpdated,
    TextContentBlock,
    TextDeltaBlock,
    UnknownEvent,
)
from tests.wire import (
    CREATED_AT,
    DONE,
    call,
    completed,
    created,
    delta,
    event,
    folded,
    fragment,
    kinds,
    opening,
    run_event,
    text,
    updates_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDINGS = ["completed", "incomplete"]
IMAGE: dict[str, object] = {"type": "image_file", "image_file": {"file_id": "file_1"}}


def message(ident: str = "msg_1", *parts: object, **fields: object) -> dict[str, object]:
    """Return a message with the 14 keys of the wire in their order, `fields` put in their places."""
    whole: dict[str, object] = {
        "id": ident,
        "object": "thread.message",
        "created_at": CREATED_AT,
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "run_id": "run_1",
        "status": "in_progress",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": None,
        "role": "assistant",
        "content": list(parts),
        "attachments": [],
        "metadata": {},
    }
    return {**whole, **fields}


def message_event(life: str, ident: str = "msg_1", *parts: object, **fields: object) -> bytes:
    """`thread.message.<life>` with a whole message."""
    return event(f"thread.message.{life}", message(ident, *parts, **fields))


def begun(ident: str = "msg_1") -> bytes:
    return message_event("created", ident)


def finished(ident: str = "msg_1", *parts: object, **fields: object) -> bytes:
    """`thread.message.completed` with these parts, status and time being those of a finished message."""
    return message_event("completed", ident, *parts, **{**ended(), **fields})


def ended(status: str = "completed") -> dict[str, object]:
    """Return the top-level fields that an ending changes."""
    return {"status": status, f"{status}_at": CREATED_AT + 9}


def grown_payload(ident: str, *entries: object, **fields: object) -> dict[str, object]:
    return {"id": ident, "object": "thread.message.delta", "delta": {**fields, "content": list(entries)}}


def grown(ident: str, *entries: object, **fields: object) -> bytes:
    """`thread.message.delta` with these entries of `content`."""
    return event("thread.message.delta", grown_payload(ident, *entries, **fields))


def words(index: object, value: object, *annotations: object, **fields: object) -> dict[str, object]:
    """Return an entry of a text part; annotations only where there are any, as servers send it."""
    inner: dict[str, object] = {"value": value, **fields}
    return {
        "index": index,
        "type": "text",
        "text": {**inner, "annotations": list(annotations)} if annotations else inner,
    }


def opened(index: object, value: str) -> dict[str, object]:
    """Return the first entry of a text part: the one that has `annotations`, empty."""
    return words(index, value, annotations=[])


def part(value: object, *annotations: object) -> dict[str, object]:
    """Return a text part as a message holds it."""
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def citation(file_id: str = "file_1", start: int = 3, **quote: object) -> dict[str, object]:
    """Return a citation as a message holds it, or with `quote` as a delta has it."""
    marker = {"type": "file_citation", "text": "【1†a】", "start_index": start, "end_index": start + 5}
    return {**marker, "file_citation": {"file_id": file_id, **quote}}


def at(index: int, value: Mapping[str, object]) -> dict[str, object]:
    """Return a part or an annotation as an entry of a delta."""
    return {"index": index, **value}


def message_json(run: Accumulator, ident: str = "msg_1") -> dict[str, object]:
    found = run.message(ident)
    assert found is not None
    return found.to_dict()


def parts_json(run: Accumulator, ident: str = "msg_1") -> list[object]:
    """Return the content of a message."""
    return cast("list[object]", message_json(run, ident)["content"])


def faults(run: Accumulator) -> list[tuple[int, str, str, str, str | None]]:
    """Return every problem, each about no step, as event number, kind, path, raw text and message id."""
    assert [None] * len(run.problems) == [each.step_id for each in run.problems]
    return [(each.event_number, each.kind, each.path, each.raw, each.message_id) for each in run.problems]


STREAM = [
    begun(),
    message_event("in_progress"),
    grown("msg_1", at(0, IMAGE), opened(1, "")),
    grown("msg_1", words(1, "The ")),
    grown("msg_1", words(1, "【1†a】", at(0, citation(start=4, quote="")))),
    grown("msg_1", words(1, ".")),
    finished("msg_1", IMAGE, part("The 【1†a】.", citation(start=4))),
]
"""A message as OpenAI streamed it."""


# What deltas come to.


def test_a_message_before_its_ending_is_what_was_streamed() -> None:
    run = folded(*STREAM[:-1])
    assert message("msg_1", IMAGE, part("The 【1†a】.", citation(start=4, quote=""))) == message_json(run)
    assert [] == faults(run)


def test_the_text_of_a_message_grows_with_each_fragment() -> None:
    run = folded(begun())
    seen: list[str] = []
    for each in ("Zü", "", "rich", " \ud83d", "\ude00"):
        run.feed(grown("msg_1", words(0, each)))
        found = run.message("msg_1")
        assert found is not None
        seen.append(found.text)
    assert ["Zü", "Zü", "Zürich", "Zürich \ud83d", "Zürich 😀"] == seen


def test_parts_are_found_by_their_index_in_any_order_with_any_gaps() -> None:
    run = folded(
        begun(),
        *(grown("msg_1", words(index, str(index))) for index in (4294967294, 7, 0)),
        grown("msg_1", words(7, "!")),
    )
    values = [{"type": "text", "text": {"value": value}} for value in ("0", "7!", "4294967294")]
    assert values == parts_json(run)
    assert [] == faults(run)


def test_several_parts_of_one_delta_go_to_their_places() -> None:
    run = folded(begun(), grown("msg_1", opened(1, "b"), at(0, IMAGE), words(1, "c"), words(2, "d")))
    assert [IMAGE, part("bc"), {"type": "text", "text": {"value": "d"}}] == parts_json(run)
    assert [] == faults(run)


def test_a_refusal_is_joined_and_a_picture_is_not() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    run = folded(
        begun(),
        grown("msg_1", {"index": 0, "type": "refusal", "refusal": "I can"}, at(1, picture), at(2, IMAGE)),
        grown("msg_1", {"index": 0, "type": "refusal", "refusal": "not."}, at(1, picture), at(2, IMAGE)),
    )
    assert [{"type": "refusal", "refusal": "I cannot."}, picture, IMAGE] == parts_json(run)
    assert [] == faults(run)


def test_a_part_of_an_unknown_type_is_folded_by_the_same_table() -> None:
    first = {"index": 0, "type": "audio", "audio": {"value": "a", "rate": 1, "steps": [{"index": 5, "name": "x"}]}}
    later = {"index": 0, "type": "audio", "audio": {"value": "b", "rate": 2, "steps": [{"index": 2, "name": "y"}]}}
    run = folded(begun(), grown("msg_1", first), grown("msg_1", later))
    audio = {"value": "ab", "rate": 2, "steps": [{"name": "y"}, {"name": "x"}]}
    assert [{"type": "audio", "audio": audio}] == parts_json(run)
    assert [] == faults(run)


def test_annotations_are_found_by_their_index_within_the_text() -> None:
    path = {"type": "file_path", "text": "sandbox:/a", "file_path": {"file_id": "file_2"}}
    page = {"type": "url_citation", "text": "【2†b】", "url_citation": {"url": "https://example.com", "title": "é"}}
    run = folded(
        begun(),
        grown("msg_1", words(0, "a", at(9, page))),
        grown("msg_1", words(0, "b", at(4, path), at(1, citation()))),
        grown("msg_1", words(1, "c", at(4, citation("file_3")))),
    )
    assert [part("ab", citation(), path, page), part("c", citation("file_3"))] == parts_json(run)
    assert [] == faults(run)


def test_an_annotation_about_another_place_is_a_conflict_and_no_replacement() -> None:
    # It was a replacement before, and the first of two citations under one index was lost without a word.
    other: dict[str, object] = {**citation(start=7), "index": 0}
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation(start=3)))), grown("msg_1", words(0, "b", other)))
    assert [part("ab", citation(start=3))] == parts_json(run)
    path = "$.delta.content[0].text.annotations[0]"
    assert [(3, "conflict", f"{path}.end_index", text(other), "msg_1")] == faults(run)


def test_two_annotations_of_one_event_under_one_index_are_a_conflict() -> None:
    other: dict[str, object] = {"index": 0, "type": "file_citation", "start_index": 9}
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation(start=3)), other)))
    assert [part("a", citation(start=3))] == parts_json(run)
    path = "$.delta.content[0].text.annotations[1]"
    assert [(2, "conflict", f"{path}.start_index", text(other), "msg_1")] == faults(run)


def test_an_annotation_that_comes_again_is_merged_and_its_numbers_are_not_added() -> None:
    again: dict[str, object] = {"index": 0, "start_index": 3, "end_index": None, "text": "【9†z】", "new": 1}
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation(start=3)))), grown("msg_1", words(0, "b", again)))
    assert [part("ab", {**citation(start=3), "text": "【9†z】", "new": 1})] == parts_json(run)
    assert [] == faults(run)


def test_a_message_that_is_sent_again_with_an_annotation_about_another_place_tells_so() -> None:
    sent = message("msg_1", part("ab", citation(start=7)))
    run = folded(
        begun(), grown("msg_1", words(0, "ab", at(0, citation(start=3)))), event("thread.message.in_progress", sent)
    )
    assert [part("ab", citation(start=3))] == parts_json(run)
    path = "$.content[0].text.annotations[0]"
    assert [(3, "conflict", f"{path}.end_index", text(citation(start=7)), "msg_1")] == faults(run)


def test_empty_annotations_erase_none() -> None:
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation()))), grown("msg_1", opened(0, "b")))
    assert [part("ab", citation())] == parts_json(run)


def test_other_fields_of_a_delta_are_the_messages_own() -> None:
    run = folded(grown("msg_1", opened(0, "a"), role="assistant", new={"a": 1}))
    run.feed(grown("msg_1", role=None, new={"b": 2}))
    assert {"id": "msg_1", "role": "assistant", "new": {"a": 1, "b": 2}, "content": [part("a")]} == message_json(run)
    assert [] == faults(run)


def test_the_id_of_a_message_is_that_of_the_event_whatever_its_delta_says() -> None:
    run = folded(grown("msg_1", id="msg_2"), grown("msg_1", id=None))
    assert {"id": "msg_1", "content": []} == message_json(run)
    assert [(1, "conflict", "$.delta.id", '"msg_2"', "msg_1")] == faults(run)


def test_a_message_of_a_delta_alone_reads_as_a_message() -> None:
    found = folded(grown("msg_1", words(0, "a"))).message("msg_1")
    assert found is not None
    assert ("msg_1", "a", None, None) == (found.id, found.text, found.role, found.status)
    assert (TextContentBlock.from_dict({"type": "text", "text": {"value": "a"}}),) == found.content


# What endings say.


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_gives_what_the_server_sent(ending: str) -> None:
    run = folded(*STREAM[:-1])
    whole = message("msg_1", IMAGE, part("The 【1†a】.", citation(start=4)), **ended(ending))
    run.feed(event(f"thread.message.{ending}", whole))
    assert text(whole) == text(message_json(run))
    assert [] == faults(run)


def test_an_empty_quote_that_the_ending_lacks_goes_away() -> None:
    run = folded(*STREAM)
    found = cast("list[dict[str, dict[str, object]]]", parts_json(run))
    assert [citation(start=4)] == found[1]["text"]["annotations"]
    assert [] == faults(run)


def test_an_empty_quote_stays_where_no_ending_comes() -> None:
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation(quote="")))))
    run.end()
    assert [part("a", citation(quote=""))] == parts_json(run)


def test_a_quote_with_words_that_the_ending_lacks_stays() -> None:
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation(quote="words")))))
    run.feed(finished("msg_1", part("a", citation())))
    assert [part("a", citation(quote="words"))] == parts_json(run)
    assert [] == faults(run)


EMPTINESS: list[dict[str, object]] = [
    {},
    {"content": None},
    {"content": []},
    {"content": [{"type": "text"}]},
    {"content": [{"type": "text", "text": None}]},
    {"content": [{"type": "text", "text": {"value": "", "annotations": []}}]},
    {"content": [{"type": "text", "text": {"value": None, "annotations": None}}]},
]


@pytest.mark.parametrize("fields", EMPTINESS)
def test_emptiness_in_an_ending_never_erases(fields: dict[str, object]) -> None:
    run = folded(grown("msg_1", words(0, "a", at(0, citation()))))
    run.feed(event("thread.message.completed", {"id": "msg_1", **fields}))
    assert {"id": "msg_1", "content": [part("a", citation())], "status": "completed"} == message_json(run)
    assert [] == faults(run)


def test_contents_that_differ_are_a_contradiction_and_the_ending_is_right() -> None:
    run = folded(*STREAM[:-1])
    other = {"type": "image_file", "image_file": {"file_id": "file_9"}}
    run.feed(finished("msg_1", other, part("An 【1†a】.", citation("file_8", 4))))
    assert [
        (7, "contradiction", "$.content[0].image_file.file_id", '"file_1"', "msg_1"),
        (7, "contradiction", "$.content[1].text.value", '"The 【1†a】."', "msg_1"),
        (7, "contradiction", "$.content[1].text.annotations[0].file_citation.file_id", '"file_1"', "msg_1"),
    ] == faults(run)
    assert [other, part("An 【1†a】.", citation("file_8", 4))] == parts_json(run)


def test_a_streamed_part_that_the_ending_lacks_stays_and_is_a_contradiction() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a"), at(1, IMAGE)))
    updates = run.feed(finished("msg_1", part("a")))
    assert ["ContentDone", "ContentDone", "MessageDone", "Problem"] == kinds(updates)
    assert [(3, "contradiction", "$.content", text(IMAGE), "msg_1")] == faults(run)
    assert [part("a"), IMAGE] == parts_json(run)


def test_a_part_that_only_the_ending_has_is_created_and_done_now() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    updates = run.feed(finished("msg_1", part("a"), IMAGE))
    image = ImageFileContentBlock.from_dict(IMAGE)
    assert [
        ContentCreated(3, "msg_1", 1, image),
        ContentDone(3, "msg_1", 0, TextContentBlock.from_dict(part("a"))),
        ContentDone(3, "msg_1", 1, image),
        MessageDone(3, "msg_1", Message.from_dict(message("msg_1", part("a"), IMAGE, **ended()))),
    ] == updates
    assert [] == faults(run)


def test_parts_and_annotations_of_an_ending_are_paired_in_order_where_types_agree() -> None:
    page = {"type": "url_citation", "url_citation": {"url": "https://example.com"}}
    run = folded(
        begun(),
        grown(
            "msg_1", opened(7, "b"), at(9, IMAGE), words(3, "a", at(6, page), at(2, citation()), at(8, citation("f")))
        ),
    )
    whole = [IMAGE, part("a", citation(), citation("f"), page), part("b")]
    updates = run.feed(finished("msg_1", *whole))
    assert [9, 3, 7] == [each.index for each in updates if isinstance(each, ContentDone)]
    assert whole == parts_json(run)
    assert [] == faults(run)


def test_azure_says_completed_of_a_message_that_it_leaves_in_progress_and_it_is_done() -> None:
    whole = message("msg_1", part("a"))
    updates = updates_of(begun(), grown("msg_1", opened(0, "a")), event("thread.message.completed", whole), DONE)
    assert MessageDone(3, "msg_1", Message.from_dict(whole)) == updates[-2]
    assert BodyEnded(4, "unknown", ()) == updates[-1]


def test_an_incomplete_message_is_done_with_what_it_has() -> None:
    why = {"reason": "max_tokens"}
    run = folded(begun(), grown("msg_1", opened(0, "Once upon")))
    updates = run.feed(
        message_event("incomplete", "msg_1", part("Once upon"), incomplete_details=why, **ended("incomplete"))
    )
    assert ["ContentDone", "MessageDone"] == kinds(updates)
    done = updates[-1]
    assert isinstance(done, MessageDone)
    assert ("incomplete", "Once upon") == (done.message.status, done.message.text)
    assert done.message.incomplete_details is not None
    assert "max_tokens" == done.message.incomplete_details.reason


@pytest.mark.parametrize("name", ["thread.message.failed", "thread.message.cancelled", "thread.run.step.incomplete"])
def test_the_endings_of_a_step_are_none_of_a_message_nor_the_other_way_round(name: str) -> None:
    run = folded(begun(), created())
    data = text({"id": "msg_1"})
    assert [UnknownEvent(3, name, data)] == run.feed(event(name, {"id": "msg_1"}))


def test_null_overwrites_at_the_top_of_an_ending_and_nowhere_else() -> None:
    run = folded(message_event("created", metadata={"a": "b"}), message_event("in_progress", metadata=None, role=None))
    assert message(metadata={"a": "b"}) == message_json(run)
    run.feed(message_event("completed", metadata=None, role=None))
    assert message(metadata=None, role=None) == message_json(run)


def test_the_next_ending_is_applied_the_same_way_and_done_is_not_repeated() -> None:
    run = folded(*STREAM)
    again = message("msg_1", IMAGE, part("The end.", citation(start=4)), **ended("incomplete"))
    updates = run.feed(event("thread.message.incomplete", again))
    assert ["MessageUpdated", "Problem"] == kinds(updates)
    assert again == {key: message_json(run)[key] for key in again}
    assert [(8, "contradiction", "$.content[1].text.value", '"The 【1†a】."', "msg_1")] == faults(run)


# After the ending.


def test_a_delta_after_the_ending_for_text_that_it_held_is_late() -> None:
    run = folded(*STREAM)
    updates = run.feed(grown("msg_1", words(1, " More.", at(0, citation(start=4))), role="user"))
    assert ["ContentDelta", "Problem", "Problem"] == kinds(updates)
    assert [
        (8, "late", "$.delta.role", '"user"', "msg_1"),
        (8, "late", "$.delta.content[0].text.value", '" More."', "msg_1"),
    ] == faults(run)
    assert message("msg_1", IMAGE, part("The 【1†a】.", citation(start=4)), **ended()) == message_json(run)


def test_a_delta_after_the_ending_fills_what_no_ending_held() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "")), finished("msg_1", part("")))
    for value in ("a", "b"):
        assert ["ContentDelta"] == kinds(run.feed(grown("msg_1", words(0, value, at(1, citation())))))
    assert [part("ab", citation())] == parts_json(run)
    assert [] == faults(run)


def test_a_part_that_no_ending_holds_opens_like_any_other_and_is_done_at_the_next() -> None:
    run = folded(begun(), finished("msg_1", part("a")))
    assert ["ContentCreated", "ContentDelta"] == kinds(run.feed(grown("msg_1", opened(1, "b"))))
    assert [BodyEnded(4, "unknown", ("msg_1",))] == run.feed(DONE)
    updates = run.feed(finished("msg_1", part("a"), part("b")) + DONE)
    whole = message("msg_1", part("a"), part("b"), **ended())
    assert [
        ContentDone(5, "msg_1", 1, TextContentBlock.from_dict(part("b"))),
        MessageUpdated(5, "msg_1", Message.from_dict(whole)),
        BodyEnded(6, "unknown", ()),
    ] == updates
    assert [] == faults(run)


def test_after_the_ending_the_status_stays() -> None:
    run = folded(*STREAM, message_event("in_progress", metadata={"a": "b"}))
    assert ("completed", {"a": "b"}) == tuple(message_json(run)[key] for key in ("status", "metadata"))


# Which updates come, and when.


def test_one_created_and_one_done_per_message_and_part_and_every_fragment_once() -> None:
    quote = at(0, citation(start=4, quote=""))
    image = {"type": "image_file", "image_file": {"file_id": "file_1"}}
    whole = message("msg_1", IMAGE, part("The 【1†a】.", citation(start=4)), **ended())
    empty = Message.from_dict(message())
    assert [
        MessageCreated(1, "msg_1", empty),
        MessageUpdated(2, "msg_1", empty),
        ContentCreated(3, "msg_1", 0, ImageFileContentBlock.from_dict(image)),
        ContentDelta(3, "msg_1", 0, ImageFileDeltaBlock.from_dict(at(0, image))),
        ContentCreated(3, "msg_1", 1, TextContentBlock.from_dict(part(""))),
        ContentDelta(3, "msg_1", 1, TextDeltaBlock.from_dict(opened(1, ""))),
        ContentDelta(4, "msg_1", 1, TextDeltaBlock.from_dict(words(1, "The "))),
        ContentDelta(5, "msg_1", 1, TextDeltaBlock.from_dict(words(1, "【1†a】", quote))),
        ContentDelta(6, "msg_1", 1, TextDeltaBlock.from_dict(words(1, "."))),
        ContentDone(7, "msg_1", 0, ImageFileContentBlock.from_dict(image)),
        ContentDone(7, "msg_1", 1, TextContentBlock.from_dict(part("The 【1†a】.", citation(start=4)))),
        MessageDone(7, "msg_1", Message.from_dict(whole)),
        BodyEnded(8, "unknown", ()),
    ] == updates_of(*STREAM, DONE)


def test_a_message_first_seen_by_a_delta_is_created_with_what_it_has() -> None:
    updates = updates_of(grown("msg_1", words(0, "a"), words(0, "b")))
    whole = {"type": "text", "text": {"value": "ab"}}
    assert [
        MessageCreated(1, "msg_1", Message.from_dict({"id": "msg_1", "content": [whole]})),
        ContentCreated(1, "msg_1", 0, TextContentBlock.from_dict(whole)),
        ContentDelta(1, "msg_1", 0, TextDeltaBlock.from_dict(words(0, "a"))),
        ContentDelta(1, "msg_1", 0, TextDeltaBlock.from_dict(words(0, "b"))),
    ] == updates


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_message_first_seen_by_its_ending_is_created_and_done(ending: str) -> None:
    refusal = {"type": "refusal", "refusal": "no"}
    whole = message("msg_1", refusal, {"type": "audio"}, **ended(ending))
    found, refused = Message.from_dict(whole), RefusalContentBlock.from_dict(refusal)
    other = OtherContentBlock.from_dict({"type": "audio"})
    assert [
        MessageCreated(1, "msg_1", found),
        ContentCreated(1, "msg_1", 0, refused),
        ContentCreated(1, "msg_1", 1, other),
        ContentDone(1, "msg_1", 0, refused),
        ContentDone(1, "msg_1", 1, other),
        MessageDone(1, "msg_1", found),
    ] == updates_of(event(f"thread.message.{ending}", whole))


@pytest.mark.parametrize("life", ["created", "in_progress"])
def test_created_again_never_discards_or_doubles(life: str) -> None:
    run = folded(*STREAM[:-1])
    before = message_json(run)
    assert ["MessageUpdated"] == kinds(run.feed(message_event(life)))
    assert before == message_json(run)
    other = part("other", {**citation("file_9", start=4), "new": 1})  # about the same place: else it is another one
    assert ["MessageUpdated", "Problem"] == kinds(run.feed(message_event(life, "msg_1", IMAGE, other)))
    assert [IMAGE, part("The 【1†a】.", {**citation(start=4, quote=""), "new": 1})] == parts_json(run)
    assert [(8, "conflict", "$.content[1].text.annotations[0].file_citation.file_id", '"file_9"', "msg_1")] == faults(
        run
    )


def test_a_part_that_an_event_has_which_is_no_ending_is_created_and_not_done() -> None:
    updates = updates_of(message_event("created", "msg_1", part("a")))
    assert ["MessageCreated", "ContentCreated"] == kinds(updates)


def test_problems_of_an_event_come_last() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    updates = run.feed(grown("msg_1", at(0, IMAGE), words(-1, "b"), opened(2, "c")))
    assert ["ContentCreated", "ContentDelta"] * 2 + ["Problem", "Problem"] == kinds(updates)


def test_what_is_open_when_a_body_ends_is_named_steps_first() -> None:
    run = folded(begun("msg_b"), begun("msg_a"), created("step_1"), begun("msg_c"), finished("msg_b"))
    assert [BodyEnded(6, "unknown", ("step_1", "msg_a", "msg_c"))] == run.feed(DONE)
    assert [BodyEnded(9, "unknown", ("msg_c",))] == run.feed(completed("step_1") + finished("msg_a") + DONE)[-1:]


def test_a_message_goes_on_in_the_next_body() -> None:
    run = folded(*STREAM[:4], DONE)
    updates = run.feed(b"".join(STREAM[4:]) + DONE)
    assert ["ContentDelta"] * 2 + ["ContentDone"] * 2 + ["MessageDone", "BodyEnded"] == kinds(updates)
    assert folded(*STREAM).messages() == run.messages()


def test_a_step_and_a_message_of_one_id_are_apart() -> None:
    run = folded(
        created("same"),
        begun("same"),
        delta("same", opening(0, "call_1", "f"), fragment(0, "{")),
        grown("same", opened(0, "a")),
        *[delta("same", fragment(0, "1")), grown("same", words(0, "b"))] * 2,
        completed("same", [call("call_1", "f", "{11")]),
        grown("same", words(0, "c")),
    )
    assert [part("abbc")] == parts_json(run, "same")
    step = run.run_step("same")
    assert step is not None
    assert [call("call_1", "f", "{11")] == [each.to_dict() for each in step.tool_calls]
    assert ((), [BodyEnded(11, "unknown", ("same",))]) == (run.problems, run.feed(DONE))


# What is wrong with an event.


@pytest.mark.parametrize(
    ("payload", "path", "ident"),
    [
        ([], "$", None),
        ("text", "$", None),
        ({}, "$.id", None),
        ({"id": 7, "delta": {}}, "$.id", None),
        ({"id": "", "delta": {}}, "$.id", ""),
        ({"id": "msg_1"}, "$.delta", "msg_1"),
        ({"id": "msg_1", "delta": {"content": {}}}, "$.delta.content", "msg_1"),
        (grown_payload("msg_1", words(0, "b"), 1), "$.delta.content[1]", "msg_1"),
        (grown_payload("msg_1", {"index": 0, "type": 5}), "$.delta.content[0].type", "msg_1"),
        (grown_payload("msg_1", {"index": 0, "text": "b"}), "$.delta.content[0].text", "msg_1"),
        (grown_payload("msg_1", words(0, ["b"])), "$.delta.content[0].text.value", "msg_1"),
        (
            grown_payload("msg_1", words(0, "b", annotations={})),
            "$.delta.content[0].text.annotations",
            "msg_1",
        ),
        (grown_payload("msg_1", words(0, "b", 5)), "$.delta.content[0].text.annotations[0]", "msg_1"),
        (
            grown_payload("msg_1", words(0, "b", {"index": 0, "type": {}})),
            "$.delta.content[0].text.annotations[0].type",
            "msg_1",
        ),
    ],
)
def test_a_wrong_json_type_leaves_the_whole_event_out(payload: object, path: str, ident: str | None) -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    before = run.messages()
    updates = run.feed(event("thread.message.delta", payload))
    assert ["Problem"] == kinds(updates)
    assert [(3, "shape", path, text(payload), ident)] == faults(run)
    assert before == run.messages()


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (["x"], "$"),
        ({"object": "thread.message"}, "$.id"),
    ],
)
def test_a_life_cycle_event_without_an_id_is_left_out(life: str, payload: object, path: str) -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    before = run.messages()
    assert ["Problem"] == kinds(run.feed(event(f"thread.message.{life}", payload)))
    assert [(3, "shape", path)] == [fault[:3] for fault in faults(run)]
    assert before == run.messages()
    assert [BodyEnded(4, "unknown", ("msg_1",))] == run.feed(DONE)


MISFITS: list[tuple[object, str, str]] = [
    ({}, "$.content", ""),
    ("hi", "$.content", "hi"),
    ([part("a"), "b"], "$.content[1]", "a"),
    ([{"type": "text", "text": "hi"}], "$.content[0].text", "hi"),
    ([part("a", "b")], "$.content[0].text.annotations[0]", "a"),
]


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(("content", "path", "words"), MISFITS)
def test_a_wrong_json_type_in_a_whole_object_leaves_out_nothing(
    life: str, content: object, path: str, words: str
) -> None:
    """LlampHouse sends `"text": "hi"` where the API has an object."""
    sent = {"id": "msg_1", "status": "s", "role": "assistant", "content": content}
    run = folded(event(f"thread.message.{life}", sent))
    assert [(1, "shape", path)] == [fault[:3] for fault in faults(run)]
    assert sent == message_json(run)
    assert words == run.messages()[0].text
    assert [BodyEnded(2, "unknown", () if life in ENDINGS else ("msg_1",))] == run.feed(DONE)


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(("content", "path"), [each[:2] for each in MISFITS[:4]])
def test_a_wrong_json_type_takes_no_content_away(life: str, content: object, path: str) -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    run.feed(event(f"thread.message.{life}", {"id": "msg_1", "status": "s", "content": content}))
    assert [(3, "shape", path)] == [fault[:3] for fault in faults(run)]
    assert ("a", "s") == (run.messages()[0].text, run.messages()[0].status)


def test_a_message_is_not_opened_by_an_event_that_is_left_out() -> None:
    run = Accumulator()
    assert ["Problem"] == kinds(run.feed(grown("msg_1", 1)))
    assert [] == run.messages()
    assert ["MessageCreated"] == kinds(run.feed(begun()))


def test_a_part_of_another_type_at_one_index_is_left_out() -> None:
    image = at(0, IMAGE)
    run = folded(begun(), grown("msg_1", opened(0, "a")), grown("msg_1", image, words(0, "b")))
    assert [(3, "conflict", "$.delta.content[0].type", text(image), "msg_1")] == faults(run)
    assert [part("ab")] == parts_json(run)


def test_an_annotation_of_another_type_at_one_index_is_left_out() -> None:
    path = {"index": 0, "type": "file_path", "file_path": {"file_id": "file_2"}}
    run = folded(begun(), grown("msg_1", words(0, "a", at(0, citation()))), grown("msg_1", words(0, "b", path)))
    where = "$.delta.content[0].text.annotations[0].type"
    assert [(3, "conflict", where, text(path), "msg_1")] == faults(run)
    assert [part("ab", citation())] == parts_json(run)


def test_another_file_id_is_a_conflict_told_once() -> None:
    other = {"index": 0, "type": "image_file", "image_file": {"file_id": "file_2"}}
    run = folded(begun(), grown("msg_1", at(0, IMAGE)), grown("msg_1", other, other), grown("msg_1", other))
    assert [(3, "conflict", "$.delta.content[0].image_file.file_id", '"file_2"', "msg_1")] == faults(run)
    assert [IMAGE] == parts_json(run)


def test_each_problem_says_which_message_and_no_step() -> None:
    run = folded(begun(), grown("msg_1", words("0", "a")))
    path, message_ = "$.delta.content[0].index", 'expected an integer of 0 or more as index, got "0"'
    assert (Problem(2, "index", path, text(words("0", "a")), message_, None, "msg_1"),) == run.problems


def test_parts_without_a_usable_index_come_last_and_continue_by_type() -> None:
    bare = [{"type": "text", "text": {"value": value}} for value in ("x", "y")]
    updates = updates_of(begun(), grown("msg_1", bare[0]), grown("msg_1", opened(3, "a")), grown("msg_1", bare[1]))
    run = folded(begun(), grown("msg_1", bare[0]), grown("msg_1", opened(3, "a")), grown("msg_1", bare[1]))
    assert [part("a"), {"type": "text", "text": {"value": "xy"}}] == parts_json(run)
    assert ["index", "index"] == [fault[1] for fault in faults(run)]
    assert [None, 3] == [each.index for each in updates if isinstance(each, ContentCreated)]
    deltas = [each for each in updates if isinstance(each, ContentDelta)]
    assert [(2, None, bare[0]), (3, 3, opened(3, "a")), (4, None, bare[1])] == [
        (each.event_number, each.index, each.delta.to_dict()) for each in deltas
    ]


def test_annotations_without_an_index_are_a_problem_and_are_kept() -> None:
    run = folded(begun(), grown("msg_1", words(0, "a", at(4, citation()), {"type": "new", "x": 1})))
    where = "$.delta.content[0].text.annotations[1].index"
    assert [(2, "index", where, '{"type":"new","x":1}', "msg_1")] == faults(run)
    assert [part("a", citation(), {"type": "new", "x": 1})] == parts_json(run)


def test_an_entry_without_type_goes_to_the_part_at_its_index() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")), grown("msg_1", {"index": 0, "text": {"value": "b"}}))
    assert [part("ab")] == parts_json(run)
    updates = updates_of(grown("msg_1", {"index": 0, "new": 1}))
    assert OtherDeltaBlock.from_dict({"index": 0, "new": 1}) == cast("ContentDelta", updates[-1]).delta


@pytest.mark.parametrize("life", ["created", "delta", *ENDINGS])
@pytest.mark.parametrize("data", [b"", b"{", b'{"id":"msg_1","content":NaN}', b"[" * 300 + b"]" * 300, b"{}x"])
def test_what_cannot_be_decoded_is_in_a_problem_and_changes_nothing(life: str, data: bytes) -> None:
    run = folded(*STREAM[:4])
    before = run.messages()
    assert ["Problem"] == kinds(run.feed(event(f"thread.message.{life}", data)))
    assert [(5, "undecodable", "$", data.decode(), None)] == faults(run)
    assert before == run.messages()


def test_a_last_event_without_its_blank_line_is_applied_if_it_is_whole() -> None:
    run = folded(*STREAM[:-1])
    run.feed(STREAM[-1].rstrip(b"\n"))
    assert ["ContentDone", "ContentDone", "MessageDone", "BodyEnded"] == kinds(run.end())
    assert folded(*STREAM).messages() == run.messages()


def test_a_last_event_that_is_torn_is_a_problem_and_the_message_is_open() -> None:
    torn = STREAM[-1][:-9]
    run = folded(*STREAM[:-1])
    before = run.messages()
    run.feed(torn)
    updates = run.end()
    assert ["Problem", "BodyEnded"] == kinds(updates)
    assert BodyEnded(7, "truncated", ("msg_1",)) == updates[-1]
    assert [(7, "undecodable", "$", torn.partition(b"data: ")[2].decode(), None)] == faults(run)
    assert before == run.messages()


def test_strict_treats_the_event_the_same_way_and_then_raises() -> None:
    run = Accumulator(strict=True)
    wrong = grown("msg_1", at(1, IMAGE), words(0, "b"), at(2, IMAGE))
    with pytest.raises(MergeError, match=r"^conflict at \$\.delta\.content\[0\]\.type \(event 5, msg_1\): ") as caught:
        run.feed(b"".join([*STREAM[:4], wrong, DONE]))
    assert "msg_1" == caught.value.problem.message_id
    assert ["ContentCreated", "ContentDelta", "Problem", "Problem"] == kinds(list(caught.value.updates))[-4:]
    assert [IMAGE, part("The "), IMAGE] == parts_json(run)
    assert [BodyEnded(6, "unknown", ("msg_1",))] == run.feed(b"")


def test_the_words_of_a_problem_hold_no_payload() -> None:
    secret = "x" * 50 + "hunter2"
    run = folded(
        begun(),
        grown("msg_1", opened(0, "a"), at(1, IMAGE)),
        grown("msg_1", {"index": 1, "image_file": {"file_id": secret}}),
        grown("msg_1", {**words(0, secret), "index": {}}),
        finished("msg_1", part(secret), IMAGE),
        grown("msg_1", words(0, secret)),
        event("thread.message.completed", secret),
    )
    assert ["conflict", "index", "contradiction", "contradiction", "late", "shape"] == [each[1] for each in faults(run)]
    assert not any("hunter2" in each.message for each in run.problems)


# What is read.


def test_messages_come_in_order_of_first_sight() -> None:
    run = folded(begun("msg_b"), grown("msg_a", words(0, "a")), finished("msg_c"), begun("msg_a"))
    assert ["msg_b", "msg_a", "msg_c"] == [each.id for each in run.messages()]
    assert run.messages() == [run.message(ident) for ident in ("msg_b", "msg_a", "msg_c")]


@pytest.mark.parametrize("ident", ["msg_2", "step_1", ""])
def test_a_message_that_no_event_spoke_of_is_none(ident: str) -> None:
    assert folded(begun(), created()).message(ident) is None


def test_a_run_without_messages_has_none() -> None:
    run = folded(created(), run_event("in_progress"))
    assert ([], None) == (run.messages(), run.message("step_1"))


def test_what_was_handed_out_never_changes() -> None:
    run = Accumulator()
    handed: list[tuple[object, str]] = []
    for each in [*STREAM, grown("msg_1", opened(5, "x"))]:
        handed += [(update, repr(update)) for update in run.feed(each)]
        handed += [(found, repr(found)) for found in run.messages()]
        json_ = message_json(run)
        cast("list[object]", json_["content"]).clear()
        json_["status"] = "spoiled"
    assert [before for _, before in handed] == [repr(each) for each, _ in handed]
    assert folded(*STREAM, grown("msg_1", opened(5, "x"))).messages() == run.messages()


def test_untouched_parts_are_shared_between_snapshots() -> None:
    run = folded(*STREAM[:4])
    views = [run._engine.resources["messages"]["msg_1"].json()]
    run.feed(STREAM[5])
    views.append(run._engine.resources["messages"]["msg_1"].json())
    old, new = (cast("list[object]", each["content"]) for each in views)
    assert old[0] is new[0]
    assert old[1] is not new[1]


def test_the_run_is_as_its_last_event_had_it() -> None:
    run = Accumulator()
    assert run.current_run is None
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [{"id": "call_1"}]}}
    waits = {"id": "run_1", "object": "thread.run", "status": "requires_action", "required_action": action}
    updates = run.feed(run_event("queued", usage=None) + begun() + run_event("requires_action", required_action=action))
    assert [RunUpdated, RequiresAction] == [type(each) for each in updates if not isinstance(each, MessageCreated)]
    assert Run.from_dict(waits) == run.current_run
    assert RequiredAction.from_dict(action) == run.required_action
    why, usage = {"reason": "max_completion_tokens"}, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    ends = {"id": "run_1", "object": "thread.run", "status": "incomplete", "incomplete_details": why, "usage": usage}
    run.feed(event("thread.run.completed", ends) + finished())
    assert Run.from_dict(ends) == run.current_run
    assert run.required_action is None
    assert None is run.outcome
    run.feed(DONE)
    assert "incomplete" == run.outcome


def test_an_approval_is_required_like_any_action() -> None:
    action = {"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": [{"id": "mcpr_1", "type": "mcp"}]}}
    run = folded(run_event("requires_action", required_action=action))
    assert RequiredAction.from_dict(action) == run.required_action
    assert run.current_run is not None
    assert run.required_action == run.current_run.required_action


@pytest.mark.parametrize("status", ["in_progress", "completed", "incomplete"])
def test_the_status_of_a_message_is_not_that_of_the_run(status: str) -> None:
    run = folded(message_event("completed", status=status), DONE)
    assert ("unknown", None) == (run.outcome, run.current_run)


# What goes to another process.


@pytest.mark.parametrize("count", range(len(STREAM) + 1))
def test_a_checkpoint_after_any_event_changes_nothing_that_follows(count: int) -> None:
    late = [grown("msg_1", words(1, "late"), opened(2, "x")), message_event("created"), DONE]
    run = folded(*STREAM[:count])
    other = Accumulator.from_bytes(run.to_bytes())
    assert run.messages() == other.messages()
    assert run.to_bytes() == other.to_bytes()
    for each in [*STREAM[count:], *late]:
        assert run.feed(each) == other.feed(each)
    assert (run.messages(), run.problems) == (other.messages(), other.problems)


def test_a_checkpoint_in_the_middle_of_an_event_changes_nothing_that_follows() -> None:
    whole = b"".join(STREAM)
    expected = folded(whole).messages()
    for cut in range(0, len(whole), 97):
        run = Accumulator.from_bytes(folded(whole[:cut]).to_bytes())
        run.feed(whole[cut:])
        assert expected == run.messages()


# The short way for canonical fragments.


def ways(*events: bytes) -> list[tuple[list[object], list[Message], bytes]]:
    """Fold events with and without templates."""
    results: list[tuple[list[object], list[Message], bytes]] = []
    for fast_path in (True, False):
        run = Accumulator()
        run._engine.fast_path.enabled = fast_path
        updates = list[object](run.feed(b"".join(events)))
        results.append((updates, run.messages(), run.to_bytes()))
    return results


@pytest.mark.parametrize(
    "between",
    [
        b"",
        begun(),
        grown("msg_1", at(0, IMAGE)),
        grown("msg_1", words(0, "x", at(0, citation()))),
        grown("msg_1", words(0, None)),
        grown("msg_1", words(0, "x"), words(0, "y")),
        grown("msg_1", words(0, "x"), role="user"),
        grown("msg_2", words(0, "x")),
        finished("msg_1", part("abbb")),
        finished("msg_1", part("other")),
        finished("msg_1"),
        event("thread.message.delta", json.dumps(grown_payload("msg_1", words(0, "é"))).encode()),
    ],
)
def test_the_fast_path_of_a_text_agrees_with_the_general_way(between: bytes) -> None:
    fragments = [grown("msg_1", words(0, "b"))] * 3
    with_templates, general = ways(begun(), grown("msg_1", opened(0, "a")), *fragments, between, *fragments, DONE)
    assert general == with_templates


def test_a_text_takes_the_fast_path_until_its_ending() -> None:
    run = folded(begun(), grown("msg_1", opened(0, "a")))
    templates = run._engine.fast_path
    assert {} == templates.tables
    run.feed(grown("msg_1", words(0, "b")))
    assert 1 == len(templates.tables[b"thread.message.delta"].heads)
    run.feed(grown("msg_1", words(0, "c")) + finished("msg_1", part("abc")))
    assert {} == templates.tables[b"thread.message.delta"].heads
    assert [] == faults(run)


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_any_cut_of_the_bytes_gives_the_same_messages(cut: int) -> None:
    whole = b"".join([*STREAM, DONE])
    run = Accumulator()
    updates = [each for start in range(0, len(whole), cut) for each in run.feed(whole[start : start + cut])]
    assert updates_of(whole) == updates


def test_citations_of_one_delta_without_an_index_are_as_many_as_were_sent() -> None:
    first, second = citation("file_1"), citation("file_2")
    run = folded(begun(), grown("msg_1", words(0, "a", first, second)), grown("msg_1", words(0, "b", first)))
    (text_part,) = cast("list[dict[str, dict[str, object]]]", message_json(run)["content"])
    assert [first, second, first] == text_part["text"]["annotations"]


def test_pictures_without_an_index_are_as_many_as_were_sent() -> None:
    pictures = [{"type": "image_file", "image_file": {"file_id": name}} for name in "abc"]
    run = folded(begun(), grown("msg_1", *pictures[:2]), grown("msg_1", pictures[2]))
    assert pictures == message_json(run)["content"]
