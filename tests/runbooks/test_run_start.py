"""Starting a run: defaults, idempotency keys, bounds, and errors that name the field."""

from typing import Any

import pytest

from runbooks import actions, limits, queries
from runbooks.errors import AlreadyActive, BadParameter, KeyReused, TooManyRuns
from runbooks.models import Run
from tests.runbooks.making import make_run

pytestmark = pytest.mark.django_db


def test_a_started_run_is_queued_with_its_steps_and_defaults_filled_in() -> None:
    run = make_run(params={}, subject="incident:42")

    detail = queries.run_detail(run.pk)

    assert (detail.run.state, detail.run.subject) == ("queued", "incident:42")
    assert detail.run.params == {"seconds": 10, "rate_hz": 100}
    assert [step.name for step in detail.steps] == ["capture", "store"]
    assert [line.to_state for line in detail.transitions] == ["queued"]


def test_the_same_key_returns_the_same_run() -> None:
    first = make_run(target="node-1", key="button-7")

    second = make_run(target="node-1", key="button-7", actor="bob")

    assert second.pk == first.pk
    assert Run.objects.count() == 1


def test_a_key_with_another_request_is_refused() -> None:
    make_run(target="node-1", key="button-7")

    with pytest.raises(KeyReused):
        make_run(target="node-2", key="button-7")


def test_a_second_run_of_a_kind_on_a_target_is_refused_and_told_whose_the_first_is() -> None:
    first = make_run(target="node-1", actor="ann")

    with pytest.raises(AlreadyActive, match="by ann") as caught:
        make_run(target="node-1", actor="bob")

    assert caught.value.run_id == first.pk
    make_run(target="node-2", actor="bob")


def test_unfinished_runs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACTIVE_RUNS_MAX", 2)
    make_run()
    make_run()

    with pytest.raises(TooManyRuns):
        make_run()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": "../etc"}, "target"),
        ({"target": " "}, "target"),
        ({"target": "n" * 101}, "target"),
        ({"params": {"seconds": 0}}, "seconds"),
        ({"params": {"seconds": 61}}, "seconds"),
        ({"params": {"seconds": True}}, "seconds"),
        ({"params": {"seconds": "5"}}, "seconds"),
        ({"params": {"rate_hz": 201}}, "rate_hz"),
        ({"params": {"shell": "rm"}}, "shell"),
        ({"actor": ""}, "actor"),
        ({"actor": "a\nb"}, "actor"),
        ({"key": ""}, "key"),
        ({"subject": "s" * 121}, "subject"),
    ],
)
def test_bad_input_names_the_field_and_starts_nothing(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadParameter) as caught:
        make_run(**changes)

    assert caught.value.field == field
    assert Run.objects.count() == 0


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadParameter, match="capture-profile"):
        actions.start("dance", "node-1", actor="ann")
