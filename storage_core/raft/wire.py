"""Messages as bytes between peers. The layout is a document: docs/formats/peer-wire.md.

Problem: an append carries megabytes of blob bodies, and copying them is what a leader would spend
its time on. Idea: a frame is one small head and then the bodies as they are; `encode` returns the
list of buffers that belong one after the other, bodies included by reference.

What always holds: `decode(encode(message))` equals the message; a frame that was cut, padded or
garbled raises `DamagedFrame` and nothing else, whatever its bytes.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

from storage_core.errors import StoreError
from storage_core.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    Message,
    Outgoing,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    TimeoutNow,
    Vote,
    VoteReply,
)

Buffer = Union[bytes, memoryview]

LENGTH = Struct("<I")
# A leader sends appends of about 1 MiB; one entry may be larger, and its body is at most 4 MiB.
FRAME_BYTES_MAX = 16 << 20
ENTRIES_MAX = 4096
STAGES_MAX = 16

APPEND = 6
APPEND_REPLY = 7

# Messages of fixed layout: type number, class, struct of the fields in their order.
FIXED: Tuple[Tuple[int, type, Struct], ...] = (
    (1, PreVote, Struct("<BQHQQ")),
    (2, PreVoteReply, Struct("<BQH?")),
    (3, Vote, Struct("<BQHQQ?")),
    (4, VoteReply, Struct("<BQH?")),
    (5, TimeoutNow, Struct("<BQH")),
    (8, Heartbeat, Struct("<BQHQQQ")),
    (9, HeartbeatReply, Struct("<BQHQQ")),
    (10, ReadIndex, Struct("<BQHQ")),
    (11, ReadIndexReply, Struct("<BQHQQ")),
)
NUMBER_OF: Dict[type, Tuple[int, Struct]] = {kind: (n, layout) for n, kind, layout in FIXED}
KIND_OF: Dict[int, Tuple[Callable[..., Message], Struct]] = {
    n: (kind, layout) for n, kind, layout in FIXED
}

# type, term, sender, prev_index, prev_term, commit_index, safe_index, sent_us, entry count
_APPEND = Struct("<BQHQQQQQI")
# term, kind, time_ms, op_id, meta length, body length, body_crc; the index follows from its place
_ENTRY = Struct("<QBQ16sIIQ")
# type, term, sender, success, match_index, hint_index, hint_term, sent_us, stage count
_APPEND_REPLY = Struct("<BQH?QQQQB")
_STAGE = Struct("<I")
_STAGE_MAX_US = (1 << 32) - 1


class DamagedFrame(StoreError):
    """The bytes are no message. The connection they came on is closed."""


def encode(message: Message) -> List[Buffer]:
    """The whole frame, length first, as buffers to be written one after the other."""
    kind = type(message)
    if kind is Append:
        return _encode_append(message)  # type: ignore[arg-type]
    if kind is AppendReply:
        return [_encode_append_reply(message)]  # type: ignore[arg-type]
    number, layout = NUMBER_OF[kind]
    return [LENGTH.pack(layout.size) + layout.pack(number, *message)]


def frames(messages: Sequence[Outgoing], stages: Tuple[int, ...]) -> Dict[int, List[Buffer]]:
    """All frames for each peer, in their order. What several peers get is encoded once.

    `stages` are how long our last write took, in microseconds: each acknowledgement tells them.
    """
    found: Dict[int, List[Buffer]] = {}
    last: Optional[Message] = None
    encoded: List[Buffer] = []
    for to, message, _ in messages:
        if message is not last:
            last = message
            if type(message) is AppendReply and message.success:
                message = message._replace(stages=stages)
            encoded = encode(message)
        found.setdefault(to, []).extend(encoded)
    return found


def _encode_append(message: Append) -> List[Buffer]:
    entries = message.entries
    assert len(entries) <= ENTRIES_MAX, len(entries)
    head = [b"", _APPEND.pack(APPEND, *message[:7], len(entries))]
    metas: List[bytes] = []
    bodies: List[Buffer] = []
    size_bytes = _APPEND.size + _ENTRY.size * len(entries)
    for term, _, kind, time_ms, op_id, meta, body, body_crc in entries:
        head.append(_ENTRY.pack(term, kind, time_ms, op_id, len(meta), len(body), body_crc))
        metas.append(meta)
        size_bytes += len(meta)
        if body:
            bodies.append(body)
            size_bytes += len(body)
    assert size_bytes <= FRAME_BYTES_MAX, size_bytes
    head[0] = LENGTH.pack(size_bytes)
    return [b"".join(head + metas), *bodies]


def _encode_append_reply(message: AppendReply) -> bytes:
    stages = message.stages
    assert len(stages) <= STAGES_MAX, stages
    head = _APPEND_REPLY.pack(APPEND_REPLY, *message[:7], len(stages))
    packed = [_STAGE.pack(min(stage, _STAGE_MAX_US)) for stage in stages]
    return b"".join([LENGTH.pack(len(head) + _STAGE.size * len(stages)), head, *packed])


def decode(frame: memoryview) -> Message:
    """One message from a frame without its length. Copies what it keeps."""
    try:
        number = frame[0]
        if number == APPEND:
            return _decode_append(frame)
        if number == APPEND_REPLY:
            return _decode_append_reply(frame)
        kind, layout = KIND_OF[number]
        return kind(*layout.unpack(frame)[1:])
    except (KeyError, IndexError, StructError) as problem:
        raise DamagedFrame("no message in %d bytes: %s" % (len(frame), problem)) from None


def _decode_append(frame: memoryview) -> Append:
    (_, term, sender, prev_index, prev_term, commit_index, safe_index, sent_us, entry_count) = (
        _APPEND.unpack_from(frame)
    )
    if entry_count > ENTRIES_MAX:
        raise DamagedFrame("%d entries in one append" % entry_count)
    index = prev_index
    at = _APPEND.size
    meta_at = at + _ENTRY.size * entry_count
    heads = [_ENTRY.unpack_from(frame, at + _ENTRY.size * n) for n in range(entry_count)]
    body_at = meta_at + sum([head[4] for head in heads])
    if body_at + sum([head[5] for head in heads]) != len(frame):
        raise DamagedFrame("an append of %d bytes does not add up" % len(frame))
    entries: List[Entry] = []
    last_term = prev_term
    for entry_term, kind, time_ms, op_id, meta_size, body_size, body_crc in heads:
        if not last_term <= entry_term <= term:
            raise DamagedFrame("an append of term %d holds an entry of %d" % (term, entry_term))
        last_term = entry_term
        index += 1
        meta_end = meta_at + meta_size
        body_end = body_at + body_size
        meta = bytes(frame[meta_at:meta_end])
        body = bytes(frame[body_at:body_end])
        entries.append(Entry(entry_term, index, kind, time_ms, op_id, meta, body, body_crc))
        meta_at = meta_end
        body_at = body_end
    return Append(
        term, sender, prev_index, prev_term, commit_index, safe_index, sent_us, tuple(entries)
    )


def _decode_append_reply(frame: memoryview) -> AppendReply:
    _, term, sender, success, match_index, hint_index, hint_term, sent_us, stage_count = (
        _APPEND_REPLY.unpack_from(frame)
    )
    if stage_count > STAGES_MAX or len(frame) != _APPEND_REPLY.size + _STAGE.size * stage_count:
        raise DamagedFrame("%d stages in %d bytes" % (stage_count, len(frame)))
    stages = [
        _STAGE.unpack_from(frame, _APPEND_REPLY.size + _STAGE.size * n)[0]
        for n in range(stage_count)
    ]
    return AppendReply(
        term, sender, success, match_index, hint_index, hint_term, sent_us, tuple(stages)
    )
