"""What one node asks of another beside consensus: run this command, tell me your stage times.

These frames travel on the second connection of a pair, so that a 64 MiB burst of forwarded bodies
never delays a heartbeat. Bodies are sent from where they lie and copied once, on arrival.
Layout: docs/formats/peer-wire.md, "Bulk frames".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from storage_core.catalog.commands import Outcome
from storage_core.frontend.port import RemoteStage

SUBMIT, REPLY, STAGES_ASK, STAGES_REPLY = 1, 2, 3, 4
DONE, NOT_LEADER, OVERLOADED = 0, 1, 2

_SUBMIT = struct.Struct("<BQB16sQI")
_REPLY = struct.Struct("<BQBQQQHH")
_ASK = struct.Struct("<BQQ")
_STAGES = struct.Struct("<BQH")
_STAGE = struct.Struct("<HHQQQ")
_LENGTH = struct.Struct("<I")

Buffer = bytes | bytearray | memoryview


class Submit(NamedTuple):
    """A command for the leader; `request_id` is the sender's, `op_id` the operation's."""

    request_id: int
    kind: int
    op_id: bytes
    meta: bytes
    body: bytes
    body_crc: int


class Reply(NamedTuple):
    """`outcome` is set where `status` is DONE."""

    request_id: int
    status: int
    outcome: Outcome | None


class StagesAsk(NamedTuple):
    request_id: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls


class StagesReply(NamedTuple):
    request_id: int
    stages: tuple[RemoteStage, ...]


BulkMessage = Submit | Reply | StagesAsk | StagesReply


def _framed(buffers: Sequence[Buffer]) -> list[Buffer]:
    return [_LENGTH.pack(sum(len(buffer) for buffer in buffers)), *buffers]


def encode(message: BulkMessage) -> list[Buffer]:
    """One frame with its length, as buffers; bodies are not copied."""
    if isinstance(message, Submit):
        head = _SUBMIT.pack(
            SUBMIT,
            message.request_id,
            message.kind,
            message.op_id,
            message.body_crc,
            len(message.meta),
        )
        return _framed([head, message.meta, message.body])
    if isinstance(message, Reply):
        outcome = message.outcome or Outcome("", 0, 0, "", 0, b"")
        code, etag = outcome.code.encode(), outcome.etag.encode()
        head = _REPLY.pack(
            REPLY,
            message.request_id,
            message.status,
            outcome.index,
            outcome.term,
            outcome.last_modified_ms,
            len(code),
            len(etag),
        )
        return _framed([head + code + etag + outcome.detail])
    if isinstance(message, StagesAsk):
        return _framed([_ASK.pack(STAGES_ASK, message.request_id, message.index)])
    rows = b"".join(_STAGE.pack(*stage) for stage in message.stages)
    return _framed([_STAGES.pack(STAGES_REPLY, message.request_id, len(message.stages)) + rows])


def decode(frame: memoryview) -> BulkMessage:
    """The message of a frame without its length. Raises ValueError: it is cut, padded or none."""
    try:
        return _decode(frame)
    except (IndexError, struct.error) as error:
        raise ValueError(f"no bulk message in {len(frame)} bytes: {error}") from None


def _decode(frame: memoryview) -> BulkMessage:
    kind = frame[0]
    if kind == SUBMIT:
        _, request_id, entry_kind, op_id, body_crc, meta_len = _SUBMIT.unpack_from(frame)
        start = _SUBMIT.size
        if start + meta_len > len(frame):
            raise ValueError(f"a command of {meta_len} bytes in a frame of {len(frame)}")
        meta = bytes(frame[start : start + meta_len])
        body = bytes(frame[start + meta_len :])
        return Submit(request_id, entry_kind, op_id, meta, body, body_crc)
    if kind == REPLY:
        return _decode_reply(frame)
    if kind == STAGES_ASK:
        _, request_id, index = _ASK.unpack(frame)
        return StagesAsk(request_id, index)
    if kind == STAGES_REPLY:
        _, request_id, count = _STAGES.unpack_from(frame)
        if len(frame) != _STAGES.size + count * _STAGE.size:
            raise ValueError(f"{count} stages in a frame of {len(frame)} bytes")
        offsets = range(_STAGES.size, _STAGES.size + count * _STAGE.size, _STAGE.size)
        stages = tuple(RemoteStage(*_STAGE.unpack_from(frame, offset)) for offset in offsets)
        return StagesReply(request_id, stages)
    raise ValueError(f"unknown bulk frame type {kind}")


def _decode_reply(frame: memoryview) -> Reply:
    _, request_id, status, index, term, time_ms, code_len, etag_len = _REPLY.unpack_from(frame)
    if status in (NOT_LEADER, OVERLOADED):
        return Reply(request_id, status, None)
    text = bytes(frame[_REPLY.size :])
    if status != DONE or code_len + etag_len > len(text):
        raise ValueError(f"a reply of status {status} in a frame of {len(frame)} bytes")
    code = text[:code_len].decode()
    etag = text[code_len : code_len + etag_len].decode()
    outcome = Outcome(code, index, term, etag, time_ms, text[code_len + etag_len :])
    return Reply(request_id, DONE, outcome)
