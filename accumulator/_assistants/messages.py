"""The objects of `thread.message` events: messages, and the increments that `thread.message.delta` carries.

Of each kind there are two: what a message holds, and its increment, which has an `index` that says which entry of a
list it belongs to. Increments of text hold more of it; pictures and annotations come whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from accumulator._json import copy_json
from accumulator._model import Field, ListField, Model, view_by_type, view_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accumulator._assistants.run_steps import JSONObject


class FileCitation(Model):
    """Which file is cited."""

    __slots__ = ()
    file_id: Field[str | None] = Field("Id of the file.")
    quote: Field[str | None] = Field(
        'The words cited. Servers send "" in a delta and leave it out when the message ends.'
    )


class FileCitationAnnotation(Model):
    """A marker in the text that cites a file, from the file search."""

    __slots__ = ()
    type: Field[str | None] = Field('"file_citation".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the value, in characters: the first one behind it.")
    file_citation: Field[FileCitation | None] = Field("Which file is cited.", FileCitation.wrap)


class FilePath(Model):
    """Which file was made."""

    __slots__ = ()
    file_id: Field[str | None] = Field("Id of the file.")


class FilePathAnnotation(Model):
    """A marker in the text that stands for a file that the code interpreter made."""

    __slots__ = ()
    type: Field[str | None] = Field('"file_path".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the value, in characters: the first one behind it.")
    file_path: Field[FilePath | None] = Field("Which file was made.", FilePath.wrap)


class URLCitation(Model):
    """Which page is cited."""

    __slots__ = ()
    url: Field[str | None] = Field("Address of the page.")
    title: Field[str | None] = Field("Title of the page.")


class URLCitationAnnotation(Model):
    """A marker in the text that cites a page; Azure only."""

    __slots__ = ()
    type: Field[str | None] = Field('"url_citation".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the value, in characters: the first one behind it.")
    url_citation: Field[URLCitation | None] = Field("Which page is cited.", URLCitation.wrap)


class OtherAnnotation(Model):
    """An annotation of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    type: Field[str | None] = Field("The type, as sent.")


Annotation: TypeAlias = FileCitationAnnotation | FilePathAnnotation | URLCitationAnnotation | OtherAnnotation
"""An annotation of a text, told apart by `type`."""


def annotation_view(json: dict[str, object]) -> Annotation:
    """Make the view that fits an annotation; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _ANNOTATIONS, OtherAnnotation.wrap)


class Text(Model):
    """Text, and what its markers stand for."""

    __slots__ = ()
    value: Field[str | None] = Field("The text, markers included.")
    annotations: ListField[Annotation] = ListField("What the markers stand for, in order.", annotation_view)


class TextContentBlock(Model):
    """A part of a message that is text."""

    __slots__ = ()
    type: Field[str | None] = Field('"text".')
    text: Field[Text | None] = Field("The text.", Text.wrap)


class ImageFile(Model):
    """A picture that is a file."""

    __slots__ = ()
    file_id: Field[str | None] = Field('Id of the file, "file-..." at OpenAI, "assistant-..." at Azure.')
    detail: Field[str | None] = Field('How closely the model looks: "auto", "low" or "high".')


class ImageFileContentBlock(Model):
    """A part of a message that is a picture, held as a file."""

    __slots__ = ()
    type: Field[str | None] = Field('"image_file".')
    image_file: Field[ImageFile | None] = Field("The picture.", ImageFile.wrap)


class ImageURL(Model):
    """A picture that lies on the web."""

    __slots__ = ()
    url: Field[str | None] = Field("Address of the picture.")
    detail: Field[str | None] = Field('How closely the model looks: "auto", "low" or "high".')


class ImageURLContentBlock(Model):
    """A part of a message that is a picture on the web."""

    __slots__ = ()
    type: Field[str | None] = Field('"image_url".')
    image_url: Field[ImageURL | None] = Field("The picture.", ImageURL.wrap)


class RefusalContentBlock(Model):
    """A part of a message in which the model refuses."""

    __slots__ = ()
    type: Field[str | None] = Field('"refusal".')
    refusal: Field[str | None] = Field("What the model says instead of an answer.")


class OtherContentBlock(Model):
    """A part of a message of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    type: Field[str | None] = Field("The type, as sent.")


MessageContent: TypeAlias = (
    TextContentBlock | ImageFileContentBlock | ImageURLContentBlock | RefusalContentBlock | OtherContentBlock
)
"""A part of a message, told apart by `type`."""


def content_view(json: dict[str, object]) -> MessageContent:
    """Make the view that fits a part of a message; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _CONTENT, OtherContentBlock.wrap)


class MessageIncompleteDetails(Model):
    """Why a message is incomplete."""

    __slots__ = ()
    reason: Field[str | None] = Field('"content_filter", "max_tokens", "run_cancelled", "run_expired" or "run_failed".')


def _no_text(json: JSONObject) -> str:
    """Hand through an object that stands where the API has a text."""
    return cast("str", copy_json(json))


class Message(Model):
    """A message of a thread, most often one that a run wrote."""

    __slots__ = ()
    id: Field[str] = Field('Id of the message, "msg_...".')
    object: Field[str | None] = Field('"thread.message".')
    created_at: Field[int | None] = Field("When the message was created.")
    assistant_id: Field[str | None] = Field('Id of the assistant that wrote it, "asst_...".')
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    run_id: Field[str | None] = Field('Id of the run that wrote it, "run_...".')
    status: Field[str | None] = Field(
        '"in_progress", "incomplete" or "completed". Azure\'s REST API leaves it out, and its streams may say '
        '"in_progress" of a message that is completed.'
    )
    incomplete_details: Field[MessageIncompleteDetails | None] = Field(
        "Why the message is incomplete.", MessageIncompleteDetails.wrap
    )
    incomplete_at: Field[int | None] = Field("When the message was found incomplete.")
    completed_at: Field[int | None] = Field("When the message was completed.")
    role: Field[str | None] = Field('Who wrote it: "assistant" or "user".')
    content: ListField[MessageContent] = ListField("The parts of the message, in order.", content_view)
    attachments: ListField[JSONObject] = ListField(
        "Files that come with the message: `file_id`, and `tools` that may read it.", copy_json
    )
    file_ids: ListField[str] = ListField(
        "Ids of files that come with the message, in the API's first version; `attachments` took its place.", _no_text
    )
    metadata: Field[JSONObject | None] = Field("Up to 16 texts by key.")

    @property
    def text(self) -> str:
        """The values of the message's text parts, joined without anything between; markers included."""
        content = self._json.get("content")
        parts = view_entries(cast("list[object]", content), content_view) if isinstance(content, list) else ()
        texts = [part.text for part in parts if isinstance(part, TextContentBlock)]
        values = [text.value for text in texts if isinstance(text, Text)]
        return "".join(value for value in values if isinstance(value, str))


class FileCitationDeltaAnnotation(Model):
    """An annotation that cites a file, come whole with the piece of text that has its marker."""

    __slots__ = ()
    index: Field[int | None] = Field("Which annotation of the text.")
    type: Field[str | None] = Field('"file_citation".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole value, in characters.")
    file_citation: Field[FileCitation | None] = Field("Which file is cited.", FileCitation.wrap)


class FilePathDeltaAnnotation(Model):
    """An annotation that stands for a file, come whole with the piece of text that has its marker."""

    __slots__ = ()
    index: Field[int | None] = Field("Which annotation of the text.")
    type: Field[str | None] = Field('"file_path".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole value, in characters.")
    file_path: Field[FilePath | None] = Field("Which file was made.", FilePath.wrap)


class URLCitationDeltaAnnotation(Model):
    """An annotation that cites a page, come whole with the piece of text that has its marker; Azure only."""

    __slots__ = ()
    index: Field[int | None] = Field("Which annotation of the text.")
    type: Field[str | None] = Field('"url_citation".')
    text: Field[str | None] = Field("The marker, as it stands in the text's value.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole value, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole value, in characters.")
    url_citation: Field[URLCitation | None] = Field("Which page is cited.", URLCitation.wrap)


class OtherDeltaAnnotation(Model):
    """An increment of an annotation of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    index: Field[int | None] = Field("Which annotation of the text.")
    type: Field[str | None] = Field("The type, as sent.")


AnnotationDelta: TypeAlias = (
    FileCitationDeltaAnnotation | FilePathDeltaAnnotation | URLCitationDeltaAnnotation | OtherDeltaAnnotation
)
"""An increment of a text's annotation, told apart by `type`."""


def annotation_delta_view(json: dict[str, object]) -> AnnotationDelta:
    """Make the view that fits an annotation's increment; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _ANNOTATION_DELTAS, OtherDeltaAnnotation.wrap)


class TextDelta(Model):
    """More text, more annotations."""

    __slots__ = ()
    value: Field[str | None] = Field("More of the text.")
    annotations: ListField[AnnotationDelta] = ListField("Increments of annotations.", annotation_delta_view)


class TextDeltaBlock(Model):
    """An increment of a part that is text."""

    __slots__ = ()
    index: Field[int | None] = Field("Which part of the message.")
    type: Field[str | None] = Field('"text".')
    text: Field[TextDelta | None] = Field("What grew.", TextDelta.wrap)


class ImageFileDeltaBlock(Model):
    """A part that is a picture held as a file, come whole."""

    __slots__ = ()
    index: Field[int | None] = Field("Which part of the message.")
    type: Field[str | None] = Field('"image_file".')
    image_file: Field[ImageFile | None] = Field("The picture.", ImageFile.wrap)


class ImageURLDeltaBlock(Model):
    """A part that is a picture on the web, come whole; in the reference, and never seen on the wire."""

    __slots__ = ()
    index: Field[int | None] = Field("Which part of the message.")
    type: Field[str | None] = Field('"image_url".')
    image_url: Field[ImageURL | None] = Field("The picture.", ImageURL.wrap)


class RefusalDeltaBlock(Model):
    """An increment of a part in which the model refuses; in the reference, and never seen on the wire."""

    __slots__ = ()
    index: Field[int | None] = Field("Which part of the message.")
    type: Field[str | None] = Field('"refusal".')
    refusal: Field[str | None] = Field("More of what the model says.")


class OtherDeltaBlock(Model):
    """An increment of a part of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    index: Field[int | None] = Field("Which part of the message.")
    type: Field[str | None] = Field("The type, as sent.")


MessageContentDelta: TypeAlias = (
    TextDeltaBlock | ImageFileDeltaBlock | ImageURLDeltaBlock | RefusalDeltaBlock | OtherDeltaBlock
)
"""An increment of a part of a message, told apart by `type`."""


def content_delta_view(json: dict[str, object]) -> MessageContentDelta:
    """Make the view that fits a part's increment; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _CONTENT_DELTAS, OtherDeltaBlock.wrap)


class MessageDelta(Model):
    """What grew in a message. Only its parts do: status and times come when the message ends."""

    __slots__ = ()
    role: Field[str | None] = Field("Who writes the message. The reference has it, OpenAI does not send it.")
    content: ListField[MessageContentDelta] = ListField(
        "Increments of parts, in the order sent; one delta may hold several.", content_delta_view
    )


class MessageDeltaEvent(Model):
    """The payload of a `thread.message.delta` event."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the message that grew, "msg_...".')
    object: Field[str | None] = Field('"thread.message.delta".')
    delta: Field[MessageDelta | None] = Field("What grew.", MessageDelta.wrap)


_ANNOTATIONS: Mapping[str, Callable[[JSONObject], Annotation]] = {
    "file_citation": FileCitationAnnotation.wrap,
    "file_path": FilePathAnnotation.wrap,
    "url_citation": URLCitationAnnotation.wrap,
}
_CONTENT: Mapping[str, Callable[[JSONObject], MessageContent]] = {
    "text": TextContentBlock.wrap,
    "image_file": ImageFileContentBlock.wrap,
    "image_url": ImageURLContentBlock.wrap,
    "refusal": RefusalContentBlock.wrap,
}
_ANNOTATION_DELTAS: Mapping[str, Callable[[JSONObject], AnnotationDelta]] = {
    "file_citation": FileCitationDeltaAnnotation.wrap,
    "file_path": FilePathDeltaAnnotation.wrap,
    "url_citation": URLCitationDeltaAnnotation.wrap,
}
_CONTENT_DELTAS: Mapping[str, Callable[[JSONObject], MessageContentDelta]] = {
    "text": TextDeltaBlock.wrap,
    "image_file": ImageFileDeltaBlock.wrap,
    "image_url": ImageURLDeltaBlock.wrap,
    "refusal": RefusalDeltaBlock.wrap,
}
