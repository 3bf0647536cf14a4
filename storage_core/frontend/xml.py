"""The XML that this API speaks: listings and errors written, block lists read.

Writing is string building with everything that came from a client escaped. Reading is expat with
the doors shut: a document type, an entity, a processing instruction or depth ends it at once, so
that no document costs more than its own length. Names and metadata were checked when they were
stored, hence whatever is listed is representable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from xml.parsers import expat
from xml.sax.saxutils import escape

from storage_core.catalog.commands import BLOCK_COUNT_MAX
from storage_core.frontend.refusals import Refusal

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_UNWRITABLE = {code: None for code in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)}


def element(name: str, value: str) -> str:
    """<name>value</name>, the value escaped."""
    return "<%s>%s</%s>" % (name, escape(value), name)


def attribute(value: str) -> str:
    """A value between double quotes."""
    return escape(value, {'"': "&quot;"})


def iso_time(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return "%s.%03d0000Z" % (moment.strftime("%Y-%m-%dT%H:%M:%S"), time_ms % 1000)


def error_document(refusal: Refusal, request_id: str, now_ms: int) -> bytes:
    message = "%s\nRequestId:%s\nTime:%s" % (refusal.sentence, request_id, iso_time(now_ms))
    # Fields may repeat what a client sent, readable or not.
    fields = [(name, value.translate(_UNWRITABLE)) for name, value in refusal.fields]
    return document("Error", [("Code", refusal.code), ("Message", message), *fields])


def document(root: str, fields: Iterable[tuple[str, str]]) -> bytes:
    inner = "".join([element(name, value) for name, value in fields])
    return encoded("<%s>%s</%s>" % (root, inner, root))


def encoded(text: str) -> bytes:
    # A lone surrogate can only come from a refused name that is shown back.
    return (DECLARATION + text).encode("utf-8", "replace")


class _BlockListReader:
    """Collects the lines of a BlockList while expat walks it."""

    def __init__(self, sources: dict[str, int]) -> None:
        self.lines: list[tuple[str, int]] = []
        self._sources = sources
        self._depth = 0
        self._text: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != "BlockList":
            raise Refusal("InvalidXmlDocument", [("Reason", "The root must be BlockList.")])
        if self._depth == 2:
            if name not in self._sources:
                raise Refusal("InvalidXmlDocument", [("XmlNodeName", name[:64])])
            self._text = []
        if self._depth > 2:
            raise Refusal("InvalidXmlDocument", [("Reason", "It is nested too deeply.")])

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 1:
            assert self._text is not None, "start made it"
            self.lines.append(("".join(self._text).strip(), self._sources[name]))
            self._text = None
            if len(self.lines) > BLOCK_COUNT_MAX:
                raise Refusal("BlockListTooLong")

    def text(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
        elif data.strip():
            raise Refusal("InvalidXmlDocument", [("Reason", "Text stands between the blocks.")])


def _refuse_construct(*_: object) -> int:
    raise Refusal("InvalidXmlDocument", [("Reason", "Document types and entities are refused.")])


def block_list(data: bytes, sources: dict[str, int]) -> list[tuple[str, int]]:
    """(text of the id, source) in order. `sources` maps an element's name to what it means."""
    reader = _BlockListReader(sources)
    # Whatever encoding it declares: the choice is not the client's.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_construct
    parser.EntityDeclHandler = _refuse_construct
    parser.ProcessingInstructionHandler = _refuse_construct
    parser.ExternalEntityRefHandler = _refuse_construct
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        fields = [("LineNumber", "%d" % error.lineno), ("LinePosition", "%d" % error.offset)]
        raise Refusal("InvalidXmlDocument", fields) from None
    return reader.lines


def metadata(pairs: Sequence[tuple[str, str]]) -> str:
    inner = "".join([element(name, value) for name, value in pairs])
    return "<Metadata>%s</Metadata>" % inner
