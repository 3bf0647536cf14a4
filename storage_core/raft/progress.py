"""How far one follower is, as its leader sees it, and how much is on its way there.

A follower is probed (one empty append at a time) until the leader knows where the logs agree, then
fed optimistically: `next_index` moves when an append is sent, not when it is acknowledged. What is
in flight is bounded by bytes and by count; a follower past its bound catches up from the log.

What always holds: 0 <= match_index < next_index; fed, with nothing in flight, the follower holds
all that was sent to it: match_index + 1 == next_index.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Tuple

from storage_core.raft.ready import Timing

# Long before any clock's zero.
NEVER_US = -(1 << 62)


class Progress:
    """One follower. Times are the leader's own clock in microseconds."""

    __slots__ = (
        "acked_sent_us",
        "answers",
        "append_sent_us",
        "behind_log",
        "contact_us",
        "in_flight",
        "in_flight_bytes",
        "match_index",
        "moved_us",
        "next_index",
        "probe_sent",
        "probing",
        "round_trip_us",
    )

    def __init__(self, next_index: int, now_us: int) -> None:
        self.match_index = 0
        self.next_index = next_index
        self.probing = True
        self.probe_sent = False
        # The log was compacted past what this follower needs: appends cannot help it.
        self.behind_log = False
        self.in_flight: Deque[Tuple[int, int]] = deque()
        self.in_flight_bytes = 0
        # When it last answered; when the newest thing it answered was sent; when we last sent
        # entries; when match_index last moved or had no reason to.
        self.contact_us = now_us
        self.acked_sent_us = NEVER_US
        self.append_sent_us = NEVER_US
        self.moved_us = now_us
        # Heartbeats that were answered, and how long the last answer took.
        self.answers = 0
        self.round_trip_us = 0

    def sent(self, last_index: int, size_bytes: int, now_us: int) -> None:
        """Entries up to `last_index` are on their way."""
        assert not self.probing, "a probed follower gets no entries"
        assert last_index >= self.next_index, (last_index, self.next_index)
        if not self.in_flight:
            self.moved_us = now_us
        self.in_flight.append((last_index, size_bytes))
        self.in_flight_bytes += size_bytes
        self.next_index = last_index + 1

    def has_room(self, timing: Timing) -> bool:
        return (
            self.in_flight_bytes < timing.in_flight_bytes_max
            and len(self.in_flight) < timing.in_flight_count_max
        )

    def matched(self, index: int, now_us: int) -> bool:
        """The follower holds `index` durably. True if that is news."""
        while self.in_flight and self.in_flight[0][0] <= index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]
        assert self.in_flight_bytes >= 0, self.in_flight_bytes
        if index <= self.match_index:
            return False
        self.match_index = index
        self.moved_us = now_us
        if index >= self.next_index:
            self.next_index = index + 1
        return True

    def feed(self) -> None:
        """The logs agree up to match_index: stream from there."""
        self.probing = False
        self.probe_sent = False
        self.behind_log = False
        self.next_index = self.match_index + 1
        assert not self.in_flight, "nothing is in flight while probing"

    def probe(self, next_index: int) -> None:
        """Find out again where the logs agree, starting in front of `next_index`."""
        self.in_flight.clear()
        self.in_flight_bytes = 0
        self.probing = True
        self.probe_sent = False
        self.behind_log = False
        self.next_index = max(1, next_index)
        self.match_index = min(self.match_index, self.next_index - 1)

    def lose(self) -> None:
        """What was on its way is lost. A place not found yet is looked for where we were."""
        self.probe(self.next_index if self.probing else self.match_index + 1)

    def stalled(self, now_us: int, patience_us: int) -> bool:
        """Something in flight has been unanswered for too long: it, or its answer, is lost."""
        return bool(self.in_flight) and now_us - self.moved_us > patience_us
