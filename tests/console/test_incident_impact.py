"""What users feel of an incident: counted where somebody counted, and by tenant."""

from __future__ import annotations

import pytest

from console.incidents.measuring import Felt, felt, tenants_felt

SLOW_MS = 50.0
T0 = 1_750_000_000_000


def point(
    account: str, *, at_s: int = 15, count: int = 10, p99_ms: float | None = 80.0
) -> tuple[object, ...]:
    return ("node-0", account, T0 + at_s * 1000, count, 1.0, 0.0, 4.0, p99_ms)


def tenants(*rows: tuple[object, ...]) -> tuple[str, ...]:
    return tenants_felt(rows, since_ms=T0, until_ms=T0 + 60_000, slow_ms=SLOW_MS)


def test_a_tenant_is_touched_if_its_slowest_requests_were_slow() -> None:
    assert tenants(point("ada"), point("bob", p99_ms=12.0)) == ("ada",)


@pytest.mark.parametrize(
    "row",
    [
        point("ada", at_s=-30),
        point("ada", at_s=61),
        point("ada", count=0),
        point("ada", p99_ms=None),
        point("holdfastcanary"),
        point("other"),
        point(""),
    ],
    ids=["before", "after", "no request", "no time", "our own probe", "the rest", "nobody's"],
)
def test_nobody_is_named_for_what_is_not_a_tenants_slow_request_of_that_time(
    row: tuple[object, ...],
) -> None:
    assert tenants(row) == ()


def test_a_tenant_of_several_nodes_and_steps_is_named_once() -> None:
    assert tenants(point("bob", at_s=15), point("ada"), point("bob", at_s=30)) == ("ada", "bob")


def test_requests_are_summed_over_the_steps_of_the_incident() -> None:
    step = {"writes_failed": 1, "reads_failed": 2, "writes_slow": 3, "reads_slow": 4}
    steps = [{"t_ms": T0 + at_s * 1000, **step} for at_s in (-60, 0, 5, 10, 90)]

    assert felt(steps, since_ms=T0, until_ms=T0 + 60_000) == Felt(failed=9, late=21)


def test_nobody_counted_is_not_none_failed() -> None:
    assert felt([], since_ms=T0, until_ms=T0 + 60_000) == Felt(failed=None, late=None)
