"""Every name that a signal may carry, with its unit: stages, operations, spans, metrics.

A name that is spelled in two places is two names. Stages and operations are small integers, so
that the hot path indexes a list with them instead of hashing a string; the texts stand beside
them and are looked up only when a signal leaves the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

# Stages of one request. Exclusive: together they are the wall time between first and last stamp.
RECEIVE: Final = 0  # first byte of the request seen, head read
PARSE: Final = 1  # head understood: route, conditions, metadata
AUTHORIZE: Final = 2  # signature or token checked
ADMIT: Final = 3  # waiting for a place under the admission limits
BODY: Final = 4  # waiting for body bytes of the client
CHECKSUM: Final = 5  # CRC-64 and, if asked for, MD5
FORWARD: Final = 6  # on the way to the leader and back
PARK: Final = 7  # held while there is no leader
QUEUE: Final = 8  # proposed, waiting for the loop's next group commit
APPEND: Final = 9  # written to the log file of the leader
FLUSH: Final = 10  # fdatasync of the leader
QUORUM: Final = 11  # own flush done, waiting for the deciding follower
APPLY: Final = 12  # catalog and index
BARRIER: Final = 13  # waiting for a linearizable read point
CACHE: Final = 14  # looking up and serving from memory
DISK: Final = 15  # body read from the log and verified
RESPOND: Final = 16  # answer written to the socket

# Stages that a follower reports for one append; they overlap the leader's and are not summed.
PEER_RECEIVE: Final = 17
PEER_CHECK: Final = 18
PEER_APPEND: Final = 19
PEER_FLUSH: Final = 20

STAGE_NAMES: Final = (
    "receive", "parse", "authorize", "admit", "body", "checksum", "forward", "park", "queue",
    "append", "flush", "quorum", "apply", "barrier", "cache", "disk", "respond",
    "peer_receive", "peer_check", "peer_append", "peer_flush",
)  # fmt: skip
STAGE_COUNT: Final = len(STAGE_NAMES)

# Operations of the Blob service. 0 is a request that was refused before it had a name.
UNKNOWN: Final = 0
PUT_BLOB: Final = 1
PUT_BLOCK: Final = 2
PUT_BLOCK_LIST: Final = 3
DELETE_BLOB: Final = 4
SET_BLOB_METADATA: Final = 5
SET_BLOB_PROPERTIES: Final = 6
CREATE_CONTAINER: Final = 7
DELETE_CONTAINER: Final = 8
SET_CONTAINER_METADATA: Final = 9
APPEND_BLOCK: Final = 10
COPY_BLOB: Final = 11
LEASE_BLOB: Final = 12
LEASE_CONTAINER: Final = 13
SNAPSHOT_BLOB: Final = 14
PUT_PAGE: Final = 15
SET_BLOB_TAGS: Final = 16
SET_CONTAINER_ACL: Final = 17
SET_SERVICE_PROPERTIES: Final = 18
BATCH: Final = 19
CREATE_ACCOUNT: Final = 20
UNDELETE_BLOB: Final = 21
SET_BLOB_TIER: Final = 22
PUT_BLOB_FROM_URL: Final = 23
PUT_BLOCK_FROM_URL: Final = 24
GET_BLOB: Final = 32
GET_BLOB_PROPERTIES: Final = 33
GET_BLOB_METADATA: Final = 34
GET_BLOCK_LIST: Final = 35
LIST_BLOBS: Final = 36
LIST_CONTAINERS: Final = 37
GET_CONTAINER_PROPERTIES: Final = 38
GET_CONTAINER_ACL: Final = 39
GET_BLOB_TAGS: Final = 40
FIND_BLOBS_BY_TAGS: Final = 41
GET_PAGE_RANGES: Final = 42
GET_SERVICE_PROPERTIES: Final = 43
GET_SERVICE_STATS: Final = 44
GET_ACCOUNT_INFORMATION: Final = 45
GET_USER_DELEGATION_KEY: Final = 46
PREFLIGHT: Final = 47

OPERATION_COUNT: Final = 48
# Whose request it is; added to an operation it is a place in a list, like the operation alone.
LANE_USERS: Final = 0
LANE_CANARY: Final = OPERATION_COUNT
LANE_THROTTLED: Final = 2 * OPERATION_COUNT
LANES_END: Final = 3 * OPERATION_COUNT
_WRITE_NAMES: Final = (
    "Unknown", "PutBlob", "PutBlock", "PutBlockList", "DeleteBlob", "SetBlobMetadata",
    "SetBlobProperties", "CreateContainer", "DeleteContainer", "SetContainerMetadata",
    "AppendBlock", "CopyBlob", "LeaseBlob", "LeaseContainer", "SnapshotBlob", "PutPage",
    "SetBlobTags", "SetContainerAcl", "SetServiceProperties", "Batch", "CreateAccount",
    "UndeleteBlob", "SetBlobTier", "PutBlobFromUrl", "PutBlockFromUrl",
)  # fmt: skip
_READ_NAMES: Final = (
    "GetBlob", "GetBlobProperties", "GetBlobMetadata", "GetBlockList", "ListBlobs",
    "ListContainers", "GetContainerProperties", "GetContainerAcl", "GetBlobTags",
    "FindBlobsByTags", "GetPageRanges", "GetServiceProperties", "GetServiceStats",
    "GetAccountInformation", "GetUserDelegationKey", "Preflight",
)  # fmt: skip
OPERATION_NAMES: Final = _WRITE_NAMES + ("Unknown",) * (GET_BLOB - len(_WRITE_NAMES)) + _READ_NAMES
WRITES: Final = frozenset(range(PUT_BLOB, PUT_BLOCK_FROM_URL + 1))
READS: Final = frozenset(range(GET_BLOB, OPERATION_COUNT))

KIND_READ: Final = "read"
KIND_WRITE: Final = "write"
KIND_OTHER: Final = "other"
KIND_CANARY: Final = "canary"  # our own probe: no objective of a user counts it
KIND_THROTTLED: Final = "throttled"  # refused by an account's limit, on purpose


def kind_of(operation: int) -> str:
    """Whether an operation counts against the read or the write objective, or neither."""
    if operation in WRITES:
        return KIND_WRITE
    return KIND_READ if operation in READS else KIND_OTHER


def kind_in(lane: int, operation: int) -> str:
    """What a request of this lane counts as."""
    if lane == LANE_USERS:
        return kind_of(operation)
    return KIND_CANARY if lane == LANE_CANARY else KIND_THROTTLED


ACCOUNTS_MAX: Final = 64
"""Accounts that a process tells apart in its metrics; those first seen."""
ACCOUNT_REST: Final = "other"
"""What stands for all other accounts."""

# Services, as `service.name` of the resource.
SERVICE_STORE: Final = "storage"
SERVICE_WEB: Final = "console"
SERVICE_WORKER: Final = "worker"
SERVICE_WATCHER: Final = "watcher"
SERVICE_TELEMETRY: Final = "telemetry"
SERVICE_WORKLOAD: Final = "workload"
SERVICE_PROFILER: Final = "profiler"
SERVICE_SUPERVISOR: Final = "supervisor"

# Attributes of resources, spans and metric points.
SERVICE_NAME: Final = "service.name"
INSTANCE: Final = "service.instance.id"
PID: Final = "process.pid"
NODE: Final = "holdfast.node"
BATCH_ID: Final = "holdfast.batch"
OPERATION: Final = "holdfast.operation"
STAGE: Final = "holdfast.stage"
KIND: Final = "holdfast.kind"
REASON: Final = "holdfast.reason"
WEIGHT: Final = "holdfast.weight"
ERROR_CODE: Final = "holdfast.error"
WHAT: Final = "holdfast.what"
ACCOUNT: Final = "holdfast.account"
PEER: Final = "holdfast.peer"
STATUS_CODE: Final = "http.response.status_code"
BYTES_IN: Final = "http.request.body.size"
BYTES_OUT: Final = "http.response.body.size"
LOG_INDEX: Final = "holdfast.log_index"
TERM: Final = "holdfast.term"
REQUEST_ID: Final = "holdfast.request_id"


class Metric(NamedTuple):
    """What one metric measures, in which unit (UCUM), and how it is reported."""

    name: str
    unit: str
    shape: str  # histogram | counter | gauge
    meaning: str


REQUEST_DURATION: Final = Metric(
    "holdfast.request.duration", "s", "histogram", "First byte seen to answer written."
)
STAGE_DURATION: Final = Metric(
    "holdfast.stage.duration", "s", "histogram", "Time of a request in one exclusive stage."
)
REQUESTS_FAILED: Final = Metric(
    "holdfast.requests.failed", "{request}", "counter", "Requests failed by us (status 5xx)."
)
REQUEST_BYTES: Final = Metric("holdfast.request.bytes", "By", "counter", "Body bytes received.")
RESPONSE_BYTES: Final = Metric("holdfast.response.bytes", "By", "counter", "Body bytes sent.")
FLUSH_DURATION: Final = Metric(
    "holdfast.flush.duration", "s", "histogram", "One fdatasync of the log."
)
QUORUM_DURATION: Final = Metric(
    "holdfast.quorum.duration", "s", "histogram", "Batch proposed to batch committed."
)
LOOP_DELAY: Final = Metric(
    "holdfast.loop.delay", "s", "histogram", "How late the event loop woke a timer."
)
PROCESS_CPU: Final = Metric(
    "holdfast.process.cpu", "us", "counter", "CPU time of all threads of the process."
)
LOOP_CPU: Final = Metric(
    "holdfast.loop.cpu", "us", "counter", "CPU time of the thread that runs the event loop."
)
LOOP_RUN_QUEUE: Final = Metric(
    "holdfast.loop.run_queue",
    "us",
    "counter",
    "Time that the loop's thread could have run and waited for a core.",
)
PEER_ROUND_TRIP: Final = Metric(
    "holdfast.peer.round_trip",
    "s",
    "histogram",
    "Heartbeat sent to answer received, by peer; the leader's view.",
)
PEER_HEARTBEATS_MISSED: Final = Metric(
    "holdfast.peer.heartbeats.missed",
    "{heartbeat}",
    "counter",
    "Heartbeats or their answers that were due from a peer and did not come.",
)
REPORTS_MISSED: Final = Metric(
    "holdfast.reports.missed", "{report}", "counter", "Seconds that a process did not report in."
)
ACCOUNT_DURATION: Final = Metric(
    "holdfast.account.duration", "s", "histogram", "Requests by account and kind."
)
ACCOUNT_BYTES: Final = Metric(
    "holdfast.account.bytes", "By", "counter", "Body bytes received and sent, by account."
)
TRACES_KEPT: Final = Metric("holdfast.traces.kept", "{trace}", "counter", "Requests kept, by why.")
TRACES_SUPPRESSED: Final = Metric(
    "holdfast.traces.suppressed", "{trace}", "counter", "Worth keeping, but over the rate, by why."
)
SIGNALS_DROPPED: Final = Metric(
    "holdfast.signals.dropped", "{item}", "counter", "Signals lost on the way out, by what."
)
UPTIME: Final = Metric(
    "holdfast.process.uptime", "s", "gauge", "Since the process began to export; its heartbeat."
)
LOG_INDEX_COMMITTED: Final = Metric(
    "holdfast.log.commit_index", "{entry}", "gauge", "Highest committed log index."
)
LOG_INDEX_APPLIED: Final = Metric(
    "holdfast.log.applied_index", "{entry}", "gauge", "Highest applied log index."
)
LOG_BYTES: Final = Metric("holdfast.log.bytes", "By", "gauge", "Bytes of log segments on disk.")
RAFT_TERM: Final = Metric("holdfast.raft.term", "{term}", "gauge", "Current term.")
RAFT_LEADER: Final = Metric("holdfast.raft.leader", "1", "gauge", "1 while this node leads.")
ELECTIONS: Final = Metric("holdfast.raft.elections", "{election}", "gauge", "Elections won.")
CACHE_BYTES: Final = Metric("holdfast.cache.bytes", "By", "gauge", "Bytes of cached bodies.")
DISK_FREE: Final = Metric("holdfast.disk.free", "By", "gauge", "Free bytes under the data folder.")

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric for metric in list(globals().values()) if isinstance(metric, Metric)
}

assert len(OPERATION_NAMES) == OPERATION_COUNT, len(OPERATION_NAMES)
assert PEER_FLUSH == STAGE_COUNT - 1, STAGE_COUNT
