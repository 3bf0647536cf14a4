"""Kept records as OpenTelemetry SDK spans, with the times that were measured.

One server span for the request, one child for each stage, and one for each stage that another
node reports, under a resource that names that node: on one waterfall stand the front end, the
leader's append and flush, and the followers' disks, including those the quorum did not wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from telemetry import names
from telemetry.stage_clock import AttributeValue, StageTime, new_span_id
from telemetry.tracing import KeptRecord, RemoteStage

SCOPE: Final = InstrumentationScope("holdfast", "1")
STAGE_SPANS_MAX: Final = 256
"""Child spans of one request; the rest is counted in an attribute."""
STAGES_LEFT_OUT: Final = "holdfast.stages_left_out"
REMOTE_MISSING: Final = "holdfast.remote_missing"
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class SpanMaker:
    """Makes the spans of one process's records."""

    def __init__(self, service: str, node: str, resource: Resource) -> None:
        self._service = service
        self._node = node
        self._resource = resource
        self._remote: dict[int, Resource] = {}

    def spans_of(self, record: KeptRecord) -> list[ReadableSpan]:
        """The spans of one record, the request's own first."""
        context = SpanContext(record.trace_id, record.span_id, is_remote=False, trace_flags=SAMPLED)
        parent = None
        if record.parent_span_id:
            parent = SpanContext(
                record.trace_id, record.parent_span_id, is_remote=True, trace_flags=SAMPLED
            )
        failed = record.status >= 500
        root = ReadableSpan(
            name=names.OPERATION_NAMES[record.operation],
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=_attributes(record),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR, record.error) if failed else Status(),
            start_time=record.start_ns + record.wall_offset_ns,
            end_time=record.end_ns + record.wall_offset_ns,
            instrumentation_scope=SCOPE,
        )
        spans = [root]
        own = {stage.stage for stage in record.stages}
        batches = self._own_batches(record)
        for stage in record.stages[:STAGE_SPANS_MAX]:
            batch = {names.BATCH_ID: batches[stage.stage]} if stage.stage in batches else {}
            spans.append(self._child(record, context, stage, self._resource, self._node, batch))
        for remote in record.remote[:STAGE_SPANS_MAX]:
            node = f"node-{remote.node}"
            # Our own stages were stamped by the clock already; only their batch was news. And
            # a stage that never began (a follower that was away) is no span.
            if (node == self._node and remote.stage in own) or remote.start_ns <= 0:
                continue
            resource = self._resource_of(remote)
            batch = {names.BATCH_ID: remote.batch_id}
            spans.append(self._child(record, context, remote, resource, node, batch))
        return spans

    def _own_batches(self, record: KeptRecord) -> dict[int, int]:
        return {
            remote.stage: remote.batch_id
            for remote in record.remote
            if f"node-{remote.node}" == self._node
        }

    def _resource_of(self, remote: RemoteStage) -> Resource:
        resource = self._remote.get(remote.node)
        if resource is None:
            node = f"node-{remote.node}"
            resource = self._remote[remote.node] = resource_of(self._service, node)
        return resource

    def _child(
        self,
        record: KeptRecord,
        parent: SpanContext,
        stage: StageTime | RemoteStage,
        resource: Resource,
        node: str,
        extra: Mapping[str, AttributeValue],
    ) -> ReadableSpan:
        name = names.STAGE_NAMES[stage.stage]
        start_ns = stage.start_ns + record.wall_offset_ns
        return ReadableSpan(
            name=name,
            context=SpanContext(
                record.trace_id, new_span_id(), is_remote=False, trace_flags=SAMPLED
            ),
            parent=parent,
            resource=resource,
            attributes={names.STAGE: name, names.NODE: node, **extra},
            start_time=start_ns,
            end_time=max(start_ns, stage.end_ns + record.wall_offset_ns),
            instrumentation_scope=SCOPE,
        )


def resource_of(service: str, node: str, pid: int = 0) -> Resource:
    """Who speaks. Made by hand: the SDK's detectors read the environment and cost start time."""
    attributes: dict[str, str | int] = {names.SERVICE_NAME: service, names.INSTANCE: node}
    if pid:
        attributes[names.PID] = pid
    return Resource(attributes)


def _attributes(record: KeptRecord) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        **record.attributes,
        names.KIND: names.kind_of(record.operation),
        names.STATUS_CODE: record.status,
        names.BYTES_IN: record.bytes_in,
        names.BYTES_OUT: record.bytes_out,
        names.REASON: record.reason,
        names.WEIGHT: record.weight,
    }
    if record.error:
        attributes[names.ERROR_CODE] = record.error
    left_out = max(0, len(record.stages) - STAGE_SPANS_MAX)
    left_out += max(0, len(record.remote) - STAGE_SPANS_MAX)
    if left_out:
        attributes[STAGES_LEFT_OUT] = left_out
    if not record.remote_complete:
        attributes[REMOTE_MISSING] = True
    for stage, spent_ns in record.folded.items():
        attributes[f"holdfast.folded.{names.STAGE_NAMES[stage]}_ms"] = spent_ns / 1e6
    return attributes
