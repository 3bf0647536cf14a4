"""One trace as rows of a waterfall: who called whom, what the request waited for, and where.

Pure. The spans of a trace form a forest (a parent may be missing: its children become roots and
the gap is told). The critical path is walked backwards from the end of the root: at each moment the
child that ends last is what the request waits for. A span's own time on that path, not its whole
length, is its share, so that the shares sum to at most the request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.evidence import Span
from telemetry import names

DEPTH_MAX = 6
ROWS_MAX = 500
STAGE_KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("receive", "parse", "authorize", "checksum", "apply", "cache", "respond"), "processor"
    ),
    **dict.fromkeys(("peer_receive", "peer_check"), "processor"),
    **dict.fromkeys(("append", "flush", "disk", "peer_append", "peer_flush"), "disk"),
    **dict.fromkeys(("body", "forward"), "network"),
    **dict.fromkeys(("admit", "park", "queue", "quorum", "barrier"), "wait"),
}
FORWARD = names.STAGE_NAMES[names.FORWARD]
PEER = "peer_"
KIND_WORDS = {
    "processor": "processor",
    "disk": "disk",
    "network": "network",
    "wait": "waiting for others",
    "unexplained": "unexplained",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    span: Span
    depth: int
    kind: str
    start_percent: float
    width_percent: float
    on_path: bool
    share_percent: float  # of the request's time that was spent waiting for this span itself
    new_node: bool

    @property
    def duration_ms(self) -> float:
        return self.span.duration_ns / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece of the critical path in the one-line bar."""

    name: str
    kind: str
    node: str
    start_percent: float
    width_percent: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    percent: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    root: Span
    rows: Sequence[Row]
    hidden_count: int
    segments: Sequence[Segment]
    ticks: Sequence[Tick]
    orphan_count: int

    @property
    def start_ms(self) -> float:
        return self.root.start_ns / 1e6

    @property
    def duration_ms(self) -> float:
        return self.root.duration_ns / 1e6

    @property
    def dominant(self) -> Segment | None:
        """The stage that the request waited for longest, all its pieces together."""
        total: dict[tuple[str, str, str], float] = {}
        for part in self.segments:
            if part.kind != "unexplained":
                key = (part.name, part.node, part.kind)
                total[key] = total.get(key, 0.0) + part.ms
        if not total:
            return None
        (name, node, kind), ms = max(total.items(), key=lambda item: item[1])
        whole_ms = max(self.root.duration_ns / 1e6, 1e-9)
        return Segment(
            name=name,
            kind=kind,
            node=node,
            start_percent=0,
            width_percent=100 * ms / whole_ms,
            ms=ms,
        )


def stage_of(span: Span) -> str:
    return span.attributes.get(names.STAGE, span.name)


def stage_kind(span: Span) -> str:
    return STAGE_KINDS.get(stage_of(span), "unexplained")


def build(spans: Sequence[Span]) -> Waterfall:
    assert spans, "a trace has a span"
    roots, children = forest(spans)
    root = max(roots, key=lambda span: span.duration_ns)
    path = critical_path(root, children)
    rows = rows_of(root, roots, children, path)
    whole_ns = max(1, root.duration_ns)
    segments = [
        Segment(
            name="not explained" if span is root and children else span.name,
            kind="unexplained" if span is root and children else stage_kind(span),
            node=span.node,
            start_percent=100 * (low - root.start_ns) / whole_ns,
            width_percent=100 * (high - low) / whole_ns,
            ms=(high - low) / 1e6,
        )
        for span, low, high in path
    ]
    return Waterfall(
        root=root,
        rows=rows[:ROWS_MAX],
        hidden_count=max(0, len(rows) - ROWS_MAX),
        segments=segments,
        ticks=ticks(root.duration_ns / 1e6),
        orphan_count=sum(1 for span in roots if span.parent_id and span is not root),
    )


def forest(spans: Sequence[Span]) -> tuple[Sequence[Span], Mapping[str, Sequence[Span]]]:
    """The spans without a known parent, and the children of the others, in order of time."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    roots = []
    for span in sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns)):
        if span.parent_id in known and span.parent_id != span.span_id:
            children.setdefault(span.parent_id, []).append(span)
        else:
            roots.append(span)
    for parent_id in list(children):
        nest_forwarded(parent_id, children)
    # Spans that name each other in a circle have no root: a stranger sent them.
    return roots or list(spans), children


def nest_forwarded(parent_id: str, children: dict[str, list[Span]]) -> None:
    """Put what other nodes did for a forwarded request under its `forward` stage.

    They are reported beside it, but the request waited for them inside it: without this the path
    would end at "forward" and hide the leader's disk.
    """
    beside = children[parent_id]
    forward = next((span for span in beside if stage_of(span) == FORWARD), None)
    if forward is None or forward.span_id in children:
        return
    inside = [
        span
        for span in beside
        if (span.node != forward.node or stage_of(span).startswith(PEER))
        and forward.start_ns <= span.start_ns <= forward.end_ns
    ]
    if inside:
        children[forward.span_id] = inside
        children[parent_id] = [span for span in beside if span not in inside]


def rows_of(
    root: Span,
    roots: Sequence[Span],
    children: Mapping[str, Sequence[Span]],
    path: Sequence[tuple[Span, int, int]],
) -> Sequence[Row]:
    """Depth first, each span once, on the root's time axis."""
    whole_ns = max(1, root.duration_ns)
    path_ns: dict[str, int] = {}
    for span, start_ns, end_ns in path:
        path_ns[span.span_id] = path_ns.get(span.span_id, 0) + end_ns - start_ns
    rows: list[Row] = []
    seen: set[str] = set()
    stack = [(span, 0) for span in reversed(roots)]
    while stack:
        span, depth = stack.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        low = min(1.0, max(0.0, (span.start_ns - root.start_ns) / whole_ns))
        high = min(1.0, (span.end_ns - root.start_ns) / whole_ns)
        rows.append(
            Row(
                span=span,
                depth=min(depth, DEPTH_MAX),
                kind=stage_kind(span),
                start_percent=100 * low,
                width_percent=100 * max(0.0, high - low),
                on_path=span.span_id in path_ns,
                share_percent=100 * path_ns.get(span.span_id, 0) / whole_ns,
                new_node=bool(rows) and rows[-1].span.node != span.node,
            )
        )
        stack += [(child, depth + 1) for child in reversed(children.get(span.span_id, ()))]
    return rows


def critical_path(
    root: Span, children: Mapping[str, Sequence[Span]]
) -> Sequence[tuple[Span, int, int]]:
    """Pieces (span, from ns, to ns) that cover the root without overlap, in order of time."""
    pieces: list[tuple[Span, int, int]] = []
    work = [(root, root.start_ns, root.end_ns)]
    visited: set[str] = set()
    while work:
        span, low, high = work.pop()
        if span.span_id in visited:
            continue
        visited.add(span.span_id)
        cursor = high
        for child in sorted(children.get(span.span_id, ()), key=lambda c: c.end_ns, reverse=True):
            child_low, child_high = max(child.start_ns, low), min(child.end_ns, cursor)
            if child_high <= child_low:
                continue
            if child_high < cursor:
                pieces.append((span, child_high, cursor))
            work.append((child, child_low, child_high))
            cursor = child_low
        if cursor > low:
            pieces.append((span, low, cursor))
    return sorted(pieces, key=lambda piece: piece[1])


def ticks(whole_ms: float) -> Sequence[Tick]:
    """Five to eight marks at 1-2-5 steps."""
    if whole_ms <= 0:
        return ()
    step = 10.0**-6
    factors = (2.0, 2.5, 2.0)
    turn = 0
    while whole_ms / step > 8:
        step *= factors[turn % 3]
        turn += 1
    marks = []
    for number in range(int(whole_ms / step + 1e-9) + 1):
        percent = 100 * number * step / whole_ms
        anchor = "start" if percent < 5 else "end" if percent > 95 else "middle"
        marks.append(Tick(percent=percent, text=f"{number * step:.6g} ms", anchor=anchor))
    return marks
