"""The list of kept traces and one trace."""

import re
import time
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.errors import refused
from console.evidence import TraceRow
from console.evidence_reads import evidence
from console.figures import quantity
from console.live.observatory import SourceSilent
from console.traces.filters import RANGES_MIN, TraceFilters, read_filters
from console.traces.waterfall import KIND_WORDS, Waterfall, build
from console.verdict import Verdict, plural
from telemetry import names

TRACE_ID = re.compile(r"[0-9a-f]{16,32}")
OPERATIONS = tuple(name for name in names.OPERATION_NAMES if name != "Unknown")


@never_cache
@require_safe
def traces(request: HttpRequest) -> HttpResponse:
    filters = read_filters(request.GET.dict())
    rows: Sequence[TraceRow] = ()
    silent = ""
    try:
        rows = evidence.traces(filters.query(now_ms=time.time_ns() // 1_000_000))
    except SourceSilent as error:
        silent = str(error)
    page = {
        "verdict": list_verdict(rows, filters, silent),
        "traces": rows,
        "filters": filters,
        "ranges": RANGES_MIN,
        "operations": OPERATIONS,
        "silent": silent,
        "live_page": "badge",
        "slowest_ms": max((row.duration_ms for row in rows), default=1.0) or 1.0,
    }
    return render(request, "traces/list.html", page, status=400 if filters.problems else 200)


def list_verdict(rows: Sequence[TraceRow], filters: TraceFilters, silent: str) -> Verdict:
    range_text = RANGES_MIN[str(filters.range_min)]
    if silent:
        return Verdict(
            state="unknown",
            sentence="Traces can't be seen: telemetry doesn't answer",
            context=f"{silent} · The fleet may be well: Cluster asks the nodes themselves.",
        )
    if not rows:
        return Verdict(
            state="idle",
            sentence=f"No trace was kept in the last {range_text}"
            + (" that fits" if filters.narrowed else ""),
            context="Kept are: every failure, everything slow, a random share of the rest.",
        )
    failed = sum(1 for row in rows if row.failed)
    slowest = max(rows, key=lambda row: row.duration_ms)
    count = plural(len(rows), "newest trace" if len(rows) >= 100 else "trace")
    return Verdict(
        state="warning" if failed else "idle",
        sentence=f"{count} of the last {range_text}: {failed} failed, "
        f"slowest {quantity(slowest.duration_ms, 'ms')}",
        context="Kept are: every failure, everything slow, a random share of the rest.",
    )


@never_cache
@require_safe
def trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    if not TRACE_ID.fullmatch(trace_id):
        return refused(request, "A trace id is 16 to 32 digits 0-9a-f", status=404, back="traces")
    try:
        spans = evidence.trace(trace_id)
    except SourceSilent as error:
        return refused(
            request,
            "This trace can't be seen: telemetry doesn't answer",
            status=503,
            back="traces",
            context=str(error),
        )
    if not spans:
        return refused(
            request,
            "Not kept: fast and not sampled, or older than the retention",
            status=404,
            back="traces",
            context="Its stages are still counted in the latency charts.",
        )
    waterfall = build(spans)
    page = {
        "verdict": trace_verdict(waterfall),
        "waterfall": waterfall,
        "trace_id": trace_id,
        "kinds": KIND_WORDS,
        "live_page": "badge",
        "attributes": sorted(waterfall.root.attributes.items()),
    }
    return render(request, "traces/page.html", page)


def trace_verdict(waterfall: Waterfall) -> Verdict:
    root, dominant = waterfall.root, waterfall.dominant
    took = quantity(root.duration_ns / 1e6, "ms")
    code = root.attributes.get(names.STATUS_CODE, "failed" if root.failed else "done")
    why = ""
    if dominant is not None:
        where = f" on {dominant.node}" if dominant.node else ""
        why = f", {dominant.width_percent:.0f} % {dominant.name}{where}"
    reason = root.attributes.get(names.REASON, "")
    context = [f"{plural(len(waterfall.rows) + waterfall.hidden_count, 'span')}"]
    if reason:
        context.append(f"kept because: {reason.replace('_', ' ')}")
    if waterfall.orphan_count:
        context.append(f"{plural(waterfall.orphan_count, 'span')} arrived without the one above")
    return Verdict(
        state="firing" if root.failed else "idle",
        sentence=f"{root.name}: {code} in {took}{why}",
        context=" · ".join(context),
    )
