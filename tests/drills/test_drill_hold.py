"""How long a drill's fault stands: as asked, until somebody cured it, and not beyond."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks import actions as runs
from runbooks.drills import limits
from runbooks.drills.injector import injector_of
from runbooks.drills.kind import DRILL
from runbooks.drills.scenarios import SCENARIOS
from runbooks.errors import BadParameter
from tests.drills.admin_port import Nodes, nodes

STALL = SCENARIOS["fsync-stall-leader"]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Nodes]:
    with nodes(tmp_path) as made:
        yield made


@pytest.mark.parametrize("hold_s", [0, 0.9, 301, -5, "long", True, float("nan"), float("inf")])
def test_a_fault_stands_for_no_time_that_is_out_of_bounds(hold_s: object) -> None:
    params = {"scenario": STALL.name, "hold_s": hold_s}

    with pytest.raises(BadParameter, match=r"hold_s is .* expected seconds from 1 to 300"):
        runs.start("drill", "fleet", params, actor="ada")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_takes_a_time_and_has_its_own(name: str) -> None:
    asked = DRILL.check("fleet", {"scenario": name, "hold_s": 240})
    own = DRILL.check("fleet", {"scenario": name})

    assert asked["hold_s"] == 240.0
    assert own["hold_s"] == SCENARIOS[name].hold_s
    steps = {step.name: step.timeout_s for step in DRILL.steps(asked)}
    assert 240 + limits.REST_S_MAX < steps["drill"] < DRILL.deadline_s


def test_a_fault_that_the_store_cannot_heal_is_not_called_slow_for_standing() -> None:
    assert STALL.target_ms(240) == 245_000
    assert SCENARIOS["failover-leader"].target_ms(240) == 3_000


def test_a_switch_that_was_cleared_is_not_set_again(fleet: Nodes) -> None:
    fault = injector_of(STALL, fleet.settings, 1, hold_s=60)
    fault.begin()
    before = fault.cure()

    fleet.faults.clear()

    assert before.text == ""
    assert fault.cure().is_gone


def test_a_drained_node_is_a_cure_that_leaves_the_fault_where_it_is(fleet: Nodes) -> None:
    fault = injector_of(STALL, fleet.settings, 0, hold_s=60)
    fault.begin()

    fleet.drained.add(0)

    cure = fault.cure()
    assert cure.text == "node-0 was drained"
    assert not cure.is_gone


def test_a_drained_node_that_still_leads_is_not_cured_yet(fleet: Nodes) -> None:
    fault = injector_of(STALL, fleet.settings, 1, hold_s=60)
    fault.begin()

    fleet.drained.add(1)

    assert fault.cure().text == ""


def test_a_setting_that_somebody_put_back_is_cured(fleet: Nodes) -> None:
    fleet.configuration.update({"writes_in_flight": 2, "request_wait_ms": 5_000})
    before = dict(fleet.configuration)
    fault = injector_of(SCENARIOS["bad-config"], fleet.settings, 1, hold_s=60)
    fault.begin()
    worse = dict(fleet.configuration)
    stands = fault.cure()

    fleet.configuration.update(before)

    assert worse != before
    assert stands.text == ""
    assert fault.cure().is_gone


def test_a_paused_node_that_was_restarted_is_not_paused_again(fleet: Nodes) -> None:
    book = fleet.settings.run / "registry.json"
    record = {
        "pid": 11, "start_time_ticks": 5, "boot_id": "b", "state": "running", "ready": True,
        "since_ms": 1, "restarts": 0,
    }  # fmt: skip
    book.write_text(json.dumps({"node-1": record}))
    fault = injector_of(SCENARIOS["pause-leader"], fleet.settings, 1, hold_s=60)
    stands = fault.cure()

    book.write_text(json.dumps({"node-1": record | {"pid": 12}}))

    assert stands.text == ""
    assert fault.cure().is_gone
