"""What replicas say to each other, and the entry they agree on.

Every message is a frozen value: the sender's term comes first (Raft §5.1), then who speaks, then
the facts. Times are the sender's monotonic clock in microseconds and are only ever echoed back to
it, so that no replica compares its clock with another's.

Read next: `replica`, which consumes these; `wire`, which lays them out as bytes.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple, Union

NOOP = 0
COMMAND = 1
CHUNK = 2
MOVE = 3


class Entry(NamedTuple):
    """One promise in the log. `meta` is an encoded command, `body` blob bytes or empty."""

    term: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls
    kind: int
    time_ms: int
    op_id: bytes
    meta: bytes
    body: bytes
    body_crc: int


class Payload(NamedTuple):
    """What a leader is asked to append: an entry before it has a place in the log."""

    kind: int
    time_ms: int
    op_id: bytes
    meta: bytes
    body: bytes
    body_crc: int


class HardState(NamedTuple):
    """What must be durable before a vote or an acknowledgement leaves (Raft, figure 2)."""

    sequence: int
    term: int
    voted_for: Optional[int]
    commit_index: int


class PreVote(NamedTuple):
    """Asks whether a vote in `term` would be granted; changes nobody's term (thesis §9.6)."""

    term: int
    sender: int
    last_index: int
    last_term: int


class PreVoteReply(NamedTuple):
    term: int
    sender: int
    granted: bool


class Vote(NamedTuple):
    """RequestVote. `transfer` marks a leader's own wish, which its lease does not forbid."""

    term: int
    sender: int
    last_index: int
    last_term: int
    transfer: bool


class VoteReply(NamedTuple):
    term: int
    sender: int
    granted: bool


class Append(NamedTuple):
    """AppendEntries with at least one entry, or a probe with none.

    `sent_us` is echoed for the lease, `safe_index` is held by every voter.
    """

    term: int
    sender: int
    prev_index: int
    prev_term: int
    commit_index: int
    safe_index: int
    sent_us: int
    entries: Tuple[Entry, ...]


class AppendReply(NamedTuple):
    """Durable up to `match_index`; or refused, with where the leader should look next.

    `stages` is (receive, check, append, fsync) in microseconds, filled by the shell.
    """

    term: int
    sender: int
    success: bool
    match_index: int
    hint_index: int
    hint_term: int
    sent_us: int
    stages: Tuple[int, ...]


class Heartbeat(NamedTuple):
    term: int
    sender: int
    commit_index: int
    safe_index: int
    sent_us: int


class HeartbeatReply(NamedTuple):
    """`last_index` lets the leader see a follower that lost its tail or missed an append."""

    term: int
    sender: int
    sent_us: int
    last_index: int


class ReadIndex(NamedTuple):
    """A follower asks for a linearizable read point for `context` (thesis §6.4)."""

    term: int
    sender: int
    context: int


class ReadIndexReply(NamedTuple):
    """`index` 0 means: I can't say, ask again."""

    term: int
    sender: int
    context: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls


class TimeoutNow(NamedTuple):
    """The leader asks its successor to campaign at once (thesis §3.10)."""

    term: int
    sender: int


Message = Union[
    PreVote,
    PreVoteReply,
    Vote,
    VoteReply,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    ReadIndex,
    ReadIndexReply,
    TimeoutNow,
]


class Outgoing(NamedTuple):
    """A message on its way. With `after_flush` it waits for everything handed out before it."""

    to: int
    message: Message
    after_flush: bool
