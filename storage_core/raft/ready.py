"""What crosses the border of the consensus core, and the order in which it may.

Problem: consensus is wrong as soon as a message tells of something that a crash can take back.
Idea: the core never waits. It hands out a `Ready`, in which each message says by `after_flush`
whether it rests on bytes that are not durable yet; the shell holds it back until they are.

What always holds: a message with `after_flush` leaves only when every log write and every hard
state handed out up to and including its own `Ready` is on disk. Votes and acknowledgements are
such messages. A leader's appends are not: it flushes in parallel with its followers and counts
itself by `log_flushed` alone (thesis §10.2.1).

Read next: `replica`.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol, Sequence, Tuple

from storage_core.raft.messages import Entry, HardState, Outgoing

FOLLOWER = "follower"
PRE_CANDIDATE = "pre-candidate"
CANDIDATE = "candidate"
LEADER = "leader"


class ReadState(NamedTuple):
    """The read `context` is linearizable once the state machine has applied `index`."""

    context: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls


class Ready(NamedTuple):
    """Effects, in order: persist, send, apply up to `commit_index`, answer reads."""

    hard_state: Optional[HardState]
    messages: Tuple[Outgoing, ...]
    commit_index: int
    read_states: Tuple[ReadState, ...]
    reads_failed: Tuple[int, ...]
    became_leader: bool
    lost_leadership: bool


class Timing(NamedTuple):
    """Every limit of the core. A lease ends `lease_margin_us` before the shortest election.

    The margin covers clocks that run at different rates: 50 ms in 400 ms are 12 %, where real
    crystals differ by 0.01 %.
    """

    heartbeat_us: int = 50_000
    election_us_min: int = 400_000
    election_us_max: int = 800_000
    lease_margin_us: int = 50_000
    stagger_us: int = 20_000
    append_bytes_max: int = 1 << 20
    in_flight_bytes_max: int = 4 << 20
    in_flight_count_max: int = 16
    late_ticks_max: int = 2

    @property
    def lease_us(self) -> int:
        return self.election_us_min - self.lease_margin_us


class LogStorage(Protocol):
    """The log as consensus needs it. Reads see every append at once, durable or not."""

    @property
    def first_index(self) -> int:
        """Index of the oldest entry held; `term_at(first_index - 1)` is still known."""

    @property
    def last_index(self) -> int:
        """Index of the newest entry, or `first_index - 1` if there is none."""

    def term_at(self, index: int) -> Optional[int]:
        """The term of that entry; None where the log no longer or not yet holds it."""

    def entries(self, lo: int, hi: int, max_bytes: int) -> List[Entry]:
        """Entries lo..hi inclusive up to `max_bytes`, but at least one."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries right behind `last_index`."""

    def truncate(self, from_index: int) -> None:
        """Forget the entry `from_index` and all after it."""
