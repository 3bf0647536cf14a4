from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from console.evidence import Span
from console.traces.waterfall import build, ticks
from telemetry import names

MS = 1_000_000


def make_span(name: str, start_ms: float, end_ms: float, parent: str = "", **more: str) -> Span:
    return Span(
        span_id=more.get("id", name),
        parent_id=parent,
        name=name,
        service="store",
        node=more.get("node", "node-0"),
        start_ns=int(start_ms * MS),
        duration_ns=int((end_ms - start_ms) * MS),
        status="unset",
        attributes={names.STAGE: name},
    )


def test_the_bar_names_what_the_request_waited_for_longest() -> None:
    waterfall = build(
        [
            make_span("PutBlob", 0, 100),
            make_span("receive", 0, 5, "PutBlob"),
            make_span("flush", 10, 90, "PutBlob", node="node-1"),
            make_span("peer_flush", 10, 60, "PutBlob", node="node-2"),
        ]
    )

    assert waterfall.dominant is not None
    assert (waterfall.dominant.name, waterfall.dominant.node) == ("flush", "node-1")
    assert waterfall.dominant.width_percent == 80
    rows = {row.span.name: row for row in waterfall.rows}
    assert not rows["peer_flush"].on_path and rows["flush"].on_path
    assert rows["flush"].kind == "disk" and rows["receive"].kind == "processor"


def test_the_leaders_disk_is_found_behind_a_forwarded_request() -> None:
    waterfall = build(
        [
            make_span("PutBlob", 0, 100, node="node-1"),
            make_span("forward", 5, 95, "PutBlob", node="node-1"),
            make_span("flush", 10, 85, "PutBlob", node="node-2"),
            make_span("peer_flush", 12, 20, "PutBlob", node="node-1"),
        ]
    )

    assert waterfall.dominant is not None
    assert (waterfall.dominant.name, waterfall.dominant.node) == ("flush", "node-2")
    assert [row.depth for row in waterfall.rows] == [0, 1, 2, 2]


def test_time_that_no_stage_explains_is_shown_as_unexplained() -> None:
    waterfall = build([make_span("PutBlob", 0, 100), make_span("flush", 0, 40, "PutBlob")])

    kinds = [(part.kind, part.ms) for part in waterfall.segments]
    assert kinds == [("disk", 40.0), ("unexplained", 60.0)]


def test_a_span_whose_parent_is_missing_is_kept_and_counted() -> None:
    waterfall = build([make_span("PutBlob", 0, 10), make_span("flush", 1, 2, "lost")])

    assert waterfall.orphan_count == 1
    assert [row.span.name for row in waterfall.rows] == ["PutBlob", "flush"]


def test_spans_that_name_each_other_in_a_circle_still_make_a_page() -> None:
    waterfall = build([make_span("a", 0, 10, "b"), make_span("b", 1, 9, "a")])

    assert {row.span.name for row in waterfall.rows} == {"a", "b"}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-20, 120), st.integers(0, 120)), max_size=10)
)
def test_the_path_covers_the_request_once_and_nothing_else(
    drawn: list[tuple[int, int, int]],
) -> None:
    spans = [make_span("root", 0, 100, id="s0")]
    for number, (parent, start, length) in enumerate(drawn, start=1):
        above = f"s{min(parent, number - 1)}"
        spans.append(make_span(f"n{number}", start, start + length, above, id=f"s{number}"))

    waterfall = build([*spans[:1], *spans[1:]])

    if waterfall.root.span_id == "s0":
        assert abs(sum(part.width_percent for part in waterfall.segments) - 100) < 1e-6
        edges = [(part.start_percent, part.start_percent + part.width_percent)
                 for part in waterfall.segments]  # fmt: skip
        assert all(abs(a[1] - b[0]) < 1e-6 for a, b in pairwise(edges))
    assert len(waterfall.rows) == len(spans)


@given(st.floats(0.001, 1e7))
def test_a_ruler_has_a_readable_number_of_marks(whole_ms: float) -> None:
    marks = ticks(whole_ms)

    assert 3 <= len(marks) <= 9
    assert all(0 <= mark.percent <= 100 + 1e-6 for mark in marks)
