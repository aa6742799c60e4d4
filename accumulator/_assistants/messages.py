"""Messages, their content parts, and the deltas of both. Fields have the names of the Assistants API.

Times are in seconds since 1970-01-01 UTC. Nearly every field may be None: both null and an absent key read as None.

A delta has the fields of the object that it extends. The delta of an entry of a list also has an `index`, the index of
the entry. Text grows by deltas; an image or an annotation is complete in one delta.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast
from typing import Final as _Final
from typing import Literal as _Literal

from accumulator._json import copy_json
from accumulator._model import Field, ListField, Model, by_type, copy_object, type_field, wrap_list
from accumulator._model import PlainDict as _PlainDict
from accumulator._model import UnknownType as _UnknownType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class FileCitation(Model):
    """The passage of a file that a marker cites."""

    file_id: Field[str | None] = Field("Id of the file.")
    quote: Field[str | None] = Field(
        'The words cited. Servers send "" in deltas, and leave the key out of the completed message.'
    )


class FileCitationAnnotation(Model):
    """A marker in the text that cites a file. The file search makes such markers."""

    type: _Final[_Literal["file_citation"]] = type_field("file_citation")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the text, in characters, exclusive.")
    file_citation: Field[FileCitation | None] = Field("What the marker cites.", FileCitation.wrap)


class FilePath(Model):
    """The file that a marker stands for."""

    file_id: Field[str | None] = Field("Id of the file.")


class FilePathAnnotation(Model):
    """A marker in the text that stands for a file that the code interpreter made."""

    type: _Final[_Literal["file_path"]] = type_field("file_path")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the text, in characters, exclusive.")
    file_path: Field[FilePath | None] = Field("The file.", FilePath.wrap)


class URLCitation(Model):
    """The web page that a marker cites."""

    url: Field[str | None] = Field("Address of the page.")
    title: Field[str | None] = Field("Title of the page.")


class URLCitationAnnotation(Model):
    """A marker in the text that cites a web page. Azure only."""

    type: _Final[_Literal["url_citation"]] = type_field("url_citation")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the text, in characters, exclusive.")
    url_citation: Field[URLCitation | None] = Field("The page.", URLCitation.wrap)


class OtherAnnotation(Model):
    """An annotation of a type that the API reference lacks. Its content is in `extra`."""

    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


Annotation: TypeAlias = FileCitationAnnotation | FilePathAnnotation | URLCitationAnnotation | OtherAnnotation
"""An annotation of a text. `type` gives the class."""

wrap_annotation: Callable[[Mapping[str, object]], Annotation] = by_type(
    {
        "file_citation": FileCitationAnnotation,
        "file_path": FilePathAnnotation,
        "url_citation": URLCitationAnnotation,
    },
    OtherAnnotation,
)


class Text(Model):
    """Text with annotations."""

    value: Field[str | None] = Field("The text, with its markers.")
    annotations: ListField[Annotation] = ListField("The annotations, one for each marker, in order.", wrap_annotation)


class TextContentBlock(Model):
    """A text part of a message."""

    type: _Final[_Literal["text"]] = type_field("text")
    text: Field[Text | None] = Field("The text.", Text.wrap)


class ImageFile(Model):
    """An image in a file."""

    file_id: Field[str | None] = Field('Id of the file, "file-..." at OpenAI, "assistant-..." at Azure.')
    detail: Field[str | None] = Field('How closely the model looks: "auto", "low" or "high".')


class ImageFileContentBlock(Model):
    """A part of a message that is an image in a file."""

    type: _Final[_Literal["image_file"]] = type_field("image_file")
    image_file: Field[ImageFile | None] = Field("The image.", ImageFile.wrap)


class ImageURL(Model):
    """An image on the web."""

    url: Field[str | None] = Field("Address of the image.")
    detail: Field[str | None] = Field('How closely the model looks: "auto", "low" or "high".')


class ImageURLContentBlock(Model):
    """A part of a message that is an image on the web."""

    type: _Final[_Literal["image_url"]] = type_field("image_url")
    image_url: Field[ImageURL | None] = Field("The image.", ImageURL.wrap)


class RefusalContentBlock(Model):
    """A part of a message in which the model refuses to answer."""

    type: _Final[_Literal["refusal"]] = type_field("refusal")
    refusal: Field[str | None] = Field("What the model says in place of an answer.")


class OtherContentBlock(Model):
    """A content part of a type that the API reference lacks. Its content is in `extra`."""

    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


MessageContent: TypeAlias = (
    TextContentBlock | ImageFileContentBlock | ImageURLContentBlock | RefusalContentBlock | OtherContentBlock
)
"""A content part of a message. `type` gives the class."""

wrap_content: Callable[[Mapping[str, object]], MessageContent] = by_type(
    {
        "text": TextContentBlock,
        "image_file": ImageFileContentBlock,
        "image_url": ImageURLContentBlock,
        "refusal": RefusalContentBlock,
    },
    OtherContentBlock,
)


class MessageIncompleteDetails(Model):
    """Why a message is incomplete."""

    reason: Field[str | None] = Field('"content_filter", "max_tokens", "run_cancelled", "run_expired" or "run_failed".')


def _not_text(json: Mapping[str, object]) -> str:
    """Return a copy of an object that the server sent in place of a text, although the declared type is `str`."""
    return cast("str", copy_json(json))


class Message(Model):
    """A message of a thread. The messages in a stream are those that the run creates."""

    id: Field[str] = Field('Id of the message, "msg_...".')
    object: Field[str | None] = Field('"thread.message".')
    created_at: Field[int | None] = Field("When the message was created.")
    assistant_id: Field[str | None] = Field('Id of the assistant that wrote the message, "asst_...".')
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    run_id: Field[str | None] = Field('Id of the run that created the message, "run_...".')
    status: Field[str | None] = Field(
        '"in_progress", "incomplete" or "completed". Azure sends no status over REST, and in its streams a completed '
        'message may have "in_progress".'
    )
    incomplete_details: Field[MessageIncompleteDetails | None] = Field(
        "Why the message is incomplete.", MessageIncompleteDetails.wrap
    )
    incomplete_at: Field[int | None] = Field("When the message was marked incomplete.")
    completed_at: Field[int | None] = Field("When the message was completed.")
    role: Field[str | None] = Field('Who wrote the message: "assistant" or "user".')
    content: ListField[MessageContent] = ListField("The content parts, in order.", wrap_content)
    attachments: ListField[_PlainDict] = ListField(
        "The files attached to the message, each with a `file_id` and the `tools` that may read it.",
        copy_object,
    )
    file_ids: ListField[str] = ListField(
        "Ids of the files attached to the message, in version 1 of the API. Version 2 has `attachments`.", _not_text
    )
    metadata: Field[_PlainDict | None] = Field("Up to 16 texts by key.")

    @property
    def text(self) -> str:
        """The text of all text parts, in order and without a separator. Markers are kept.

        Some servers send a text in place of an object: then `content`, or the `text` of a part, is itself the text.
        """
        content = self._json.get("content")
        if isinstance(content, str):
            return content
        parts = wrap_list(content, wrap_content)
        return "".join(said_in(part) for part in parts if isinstance(part, TextContentBlock))


def said_in(part: object) -> str:
    """Return the text of a content part, or of a refusal; "" for any other part."""
    said: object = None
    if isinstance(part, TextContentBlock):
        said = part.text.value if isinstance(part.text, Text) else part.text
    elif isinstance(part, RefusalContentBlock):
        said = part.refusal
    return said if isinstance(said, str) else ""


def is_said(message: Message, run_id: object) -> bool:
    """Return whether the agent said a message in the run with this id. If either has no id of a run, it counts."""
    return message.role != "user" and (not message.run_id or not run_id or message.run_id == run_id)


def said(messages: Iterable[Message], run_id: object = None) -> str:
    """Return what the agent said in the run with this id: the text of its messages, refusals included.

    Between two messages is an empty line, between the parts of one nothing.
    """
    texts = (_said_by(message) for message in messages if is_said(message, run_id))
    return "\n\n".join(filter(None, texts))


def _said_by(message: Message) -> str:
    content: object = message.content
    return "".join(map(said_in, content)) if isinstance(content, tuple) else message.text


class FileCitationDeltaAnnotation(Model):
    """An annotation that cites a file. It is complete in the delta that has its marker."""

    index: Field[int | None] = Field("Index of the annotation in the text.")
    type: _Final[_Literal["file_citation"]] = type_field("file_citation")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole text, in characters, exclusive.")
    file_citation: Field[FileCitation | None] = Field("What the marker cites.", FileCitation.wrap)


class FilePathDeltaAnnotation(Model):
    """An annotation that stands for a file. It is complete in the delta that has its marker."""

    index: Field[int | None] = Field("Index of the annotation in the text.")
    type: _Final[_Literal["file_path"]] = type_field("file_path")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole text, in characters, exclusive.")
    file_path: Field[FilePath | None] = Field("The file.", FilePath.wrap)


class URLCitationDeltaAnnotation(Model):
    """An annotation that cites a web page. It is complete in the delta that has its marker. Azure only."""

    index: Field[int | None] = Field("Index of the annotation in the text.")
    type: _Final[_Literal["url_citation"]] = type_field("url_citation")
    text: Field[str | None] = Field("The marker, as it is in the text.")
    start_index: Field[int | None] = Field("Where the marker begins in the whole text, in characters.")
    end_index: Field[int | None] = Field("Where the marker ends in the whole text, in characters, exclusive.")
    url_citation: Field[URLCitation | None] = Field("The page.", URLCitation.wrap)


class OtherDeltaAnnotation(Model):
    """A delta of an annotation of a type that the API reference lacks. Its content is in `extra`."""

    index: Field[int | None] = Field("Index of the annotation in the text.")
    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


AnnotationDelta: TypeAlias = (
    FileCitationDeltaAnnotation | FilePathDeltaAnnotation | URLCitationDeltaAnnotation | OtherDeltaAnnotation
)
"""A delta of an annotation. `type` gives the class."""

wrap_annotation_delta: Callable[[Mapping[str, object]], AnnotationDelta] = by_type(
    {
        "file_citation": FileCitationDeltaAnnotation,
        "file_path": FilePathDeltaAnnotation,
        "url_citation": URLCitationDeltaAnnotation,
    },
    OtherDeltaAnnotation,
)


class TextDelta(Model):
    """A delta of text and annotations."""

    value: Field[str | None] = Field("Text to append.")
    annotations: ListField[AnnotationDelta] = ListField("Deltas of annotations.", wrap_annotation_delta)


class TextDeltaBlock(Model):
    """A delta of a text part."""

    index: Field[int | None] = Field("Index of the content part in the message.")
    type: _Final[_Literal["text"]] = type_field("text")
    text: Field[TextDelta | None] = Field("The delta of the text.", TextDelta.wrap)


class ImageFileDeltaBlock(Model):
    """A delta with a whole part that is an image in a file."""

    index: Field[int | None] = Field("Index of the content part in the message.")
    type: _Final[_Literal["image_file"]] = type_field("image_file")
    image_file: Field[ImageFile | None] = Field("The image.", ImageFile.wrap)


class ImageURLDeltaBlock(Model):
    """A delta with a whole part that is an image on the web. The API reference has it; no known server sends it."""

    index: Field[int | None] = Field("Index of the content part in the message.")
    type: _Final[_Literal["image_url"]] = type_field("image_url")
    image_url: Field[ImageURL | None] = Field("The image.", ImageURL.wrap)


class RefusalDeltaBlock(Model):
    """A delta of a refusal. The API reference has it; no known server sends it."""

    index: Field[int | None] = Field("Index of the content part in the message.")
    type: _Final[_Literal["refusal"]] = type_field("refusal")
    refusal: Field[str | None] = Field("Text to append.")


class OtherDeltaBlock(Model):
    """A delta of a content part of a type that the API reference lacks. Its content is in `extra`."""

    index: Field[int | None] = Field("Index of the content part in the message.")
    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


MessageContentDelta: TypeAlias = (
    TextDeltaBlock | ImageFileDeltaBlock | ImageURLDeltaBlock | RefusalDeltaBlock | OtherDeltaBlock
)
"""A delta of a content part. `type` gives the class."""

wrap_content_delta: Callable[[Mapping[str, object]], MessageContentDelta] = by_type(
    {
        "text": TextDeltaBlock,
        "image_file": ImageFileDeltaBlock,
        "image_url": ImageURLDeltaBlock,
        "refusal": RefusalDeltaBlock,
    },
    OtherDeltaBlock,
)


class MessageDelta(Model):
    """A delta of a message. It extends the content parts only; status and times are sent when the message ends."""

    role: Field[str | None] = Field("Who writes the message. The API reference has it; OpenAI does not send it.")
    content: ListField[MessageContentDelta] = ListField(
        "Deltas of one or more content parts, in the order sent.", wrap_content_delta
    )


class MessageDeltaEvent(Model):
    """The payload of a `thread.message.delta` event."""

    id: Field[str | None] = Field('Id of the message, "msg_...".')
    object: Field[str | None] = Field('"thread.message.delta".')
    delta: Field[MessageDelta | None] = Field("The delta of the message.", MessageDelta.wrap)
