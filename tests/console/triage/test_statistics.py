"""The statistics against known values, and against what they must not do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.triage import attributes, links, robust, tuning
from console.triage.attributes import adjusted, common, g_test
from console.triage.stages import Diff
from telemetry import names
from tests.console.triage.scenes import (
    NODES,
    ONSET_MS,
    make_curve,
    make_evidence,
    make_node,
    make_request,
    with_curve,
)


def test_the_g_test_agrees_with_a_worked_example() -> None:
    # Observed 30 of 100 against 10 of 100: G = 2 sum O ln(O/E) = 13.0, p = 0.00031.
    p = g_test(30, 100, 10, 100)

    assert p == pytest.approx(0.00031, abs=2e-5)
    assert g_test(20, 100, 20, 100) == pytest.approx(1.0)


def test_the_correction_agrees_with_the_published_example() -> None:
    # Benjamini and Hochberg 1995, 3.2: fifteen tests, of which four hold at 5 %.
    ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
          0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip

    qs = adjusted(ps)

    assert sum(1 for q in qs if q <= 0.05) == 4


@given(st.lists(st.floats(0, 1), max_size=30))
def test_corrected_values_are_no_smaller_and_keep_their_order(ps: list[float]) -> None:
    qs = adjusted(ps)

    assert all(q >= p or math.isclose(q, p) for p, q in zip(ps, qs, strict=True))
    order = sorted(range(len(ps)), key=lambda at: ps[at])
    assert [qs[at] for at in order] == sorted(qs)


def make_bad(value: str, count: int, ms: float) -> list[object]:
    return [
        make_request(
            at_ms=ONSET_MS + at,
            parts={("flush", "node-1"): ms},
            attributes={"holdfast.account": value, "holdfast.request_id": f"{value}{ms}{at}"},
        )
        for at in range(count)
    ]


def test_what_bad_requests_share_is_found_and_ids_are_not() -> None:
    requests = make_bad("loud", 60, 200.0) + make_bad("calm", 10, 200.0) + make_bad("calm", 60, 2.0)

    found = common(requests)  # type: ignore[arg-type]

    assert (found[0].attribute, found[0].value) == ("holdfast.account", "loud")
    assert found[0].bad_share == pytest.approx(60 / 70)
    assert all("request_id" not in each.attribute for each in found)


def test_few_requests_prove_nothing() -> None:
    requests = make_bad("loud", 12, 200.0) + make_bad("calm", 60, 2.0)

    assert common(requests) == []  # type: ignore[arg-type]
    assert attributes.SUPPORT_MIN == 20


def test_medians_are_not_moved_by_a_wild_value() -> None:
    calm = [10.0, 11.0, 9.0, 10.0, 10.5, 9.5]

    assert robust.z(30.0, [*calm, 9000.0], 0.1) == pytest.approx(robust.z(30.0, calm, 0.1), rel=0.5)
    assert robust.ratio(0.2, 0.001, 3.0) == 1.0


def cut(*pairs: tuple[str, str]) -> links.Cut | None:
    evidence = with_curve(
        make_evidence(),
        *(
            make_curve(names.PEER_HEARTBEATS_MISSED, a, lambda hurt: 40.0 if hurt else 0.0, of=b)
            for a, b in pairs
        ),
    )
    return links.of(evidence, "node-1")


def test_a_node_is_cut_off_when_its_pairs_are_bad_and_the_others_are_well() -> None:
    own = cut(
        ("node-1", "node-0"), ("node-1", "node-2"), ("node-0", "node-1"), ("node-2", "node-1")
    )
    everything = cut(*((a, b) for a in NODES for b in NODES if a != b))

    assert own is not None and own.strength > 0.9
    assert "the others hear each other" in own.sentence
    assert everything is not None and everything.strength < 0.1


def test_one_direction_is_told_from_both() -> None:
    found = cut(("node-0", "node-1"), ("node-2", "node-1"))

    assert found is not None and 0.4 < found.strength < 0.6
    assert "node-0 to node-1" in found.sentence and "node-1 to node-0" not in found.sentence


def test_a_setting_stands_out_only_against_a_majority() -> None:
    def evidence(*values: int) -> object:
        return make_evidence(
            nodes=tuple(
                make_node(node, settings={"batch_records_max": value})
                for node, value in zip(NODES, values, strict=False)
            )
        )

    assert tuning.strangers(evidence(64, 1, 64)) == [("node-1", "batch_records_max", 1, 64)]  # type: ignore[arg-type]
    assert tuning.strangers(evidence(64, 1, 8)) == []  # type: ignore[arg-type]
    assert tuning.strangers(evidence(64, 1)) == []  # type: ignore[arg-type]


def test_a_setting_is_blamed_for_the_stages_that_it_can_move() -> None:
    diff = Diff(
        kind=names.KIND_WRITE,
        normal={("queue", "node-1"): 1.0, ("disk", "node-1"): 1.0},
        now={("queue", "node-1"): 31.0, ("disk", "node-1"): 11.0},
    )

    assert tuning.touched("batch_records_max", "node-1", [diff]).strength == pytest.approx(0.75)
    assert tuning.touched("cache_bytes", "node-1", [diff]).strength == pytest.approx(0.25)
    assert tuning.touched("colour", "node-1", [diff]).strength is None
