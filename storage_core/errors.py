"""What can go wrong in the store, sorted by who must act.

A leaf exists only where a caller does something else about it. Each knows the HTTP status and the
Blob service's code that the front end answers with, and whether the same request may be sent again.
"""

from __future__ import annotations

from typing import Optional


class StoreError(Exception):
    """Base. `status` and `code` are what a client of the Blob service sees."""

    status = 500
    code = "InternalError"
    retry_safe = False


class NotLeader(StoreError):
    """Ask `leader`; None means that nobody knows yet."""

    status = 503
    code = "ServerBusy"
    retry_safe = True

    def __init__(self, leader: Optional[int]) -> None:
        super().__init__("leader is %s" % leader)
        self.leader = leader


class Unavailable(StoreError):
    """No quorum before the deadline. `outcome` is "none" (nothing happened) or "unknown"."""

    status = 503
    code = "ServerBusy"
    retry_safe = True

    def __init__(self, reason: str, outcome: str) -> None:
        super().__init__("%s; outcome %s" % (reason, outcome))
        self.reason = reason
        self.outcome = outcome


class Overloaded(StoreError):
    """A bounded queue is full; nothing happened."""

    status = 503
    code = "ServerBusy"
    retry_safe = True


class DamagedBody(StoreError):
    """A body on disk fails its checksum. Never served."""

    def __init__(self, segment_seq: int, offset: int) -> None:
        super().__init__("body at %d:%d fails its checksum" % (segment_seq, offset))
        self.segment_seq = segment_seq
        self.offset = offset


class CorruptLog(StoreError):
    """Damage before the durable watermark: never cut, a person or a peer must repair it."""

    def __init__(self, index: int, segment_seq: int, offset: int, reason: str) -> None:
        super().__init__("log entry %d at %d:%d: %s" % (index, segment_seq, offset, reason))
        self.index = index
        self.segment_seq = segment_seq
        self.offset = offset
        self.reason = reason


class FatalDisk(StoreError):
    """A write or flush failed. The process stops with exit code 70 and acknowledges nothing."""


class NodeUnreachable(StoreError):
    """A node's admin port did not answer in time; the caller shows that node as unknown."""


class OrderRefused(StoreError):
    """A node understood an order and won't carry it out. Nothing was done; it says why."""


class FenceRefused(OrderRefused):
    """The order was for another leader or term than there is now; look again before acting."""

    def __init__(self, current_leader: Optional[int], current_term: int) -> None:
        super().__init__("the leader is %s, in term %d" % (current_leader, current_term))
        self.current_leader = current_leader
        self.current_term = current_term


class OperationRefused(OrderRefused):
    """A newer attempt of the same step was here, or the fence was raised: this one came late."""


class DrillsForbidden(OrderRefused):
    """This fleet runs with HOLDFAST_DRILLS=0; nobody may break it on purpose."""
