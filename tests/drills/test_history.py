"""The history's file: what goes in comes out, and a torn end harms nothing."""

from __future__ import annotations

import json
from dataclasses import replace

from runbooks.drills import content, history
from runbooks.drills.content import GARBAGE
from runbooks.drills.history import Kind, Operation, Outcome
from tests.drills.making import make, unknown, version

DONE = make(0, Kind.REPLACE, 4, 1_000, 2_000, at=9, expected=8)


def both_lines(operation: Operation) -> list[str]:
    return [history.invoked(operation), history.completed(operation)]


def test_an_operation_comes_back_as_it_was() -> None:
    assert history.parse(both_lines(DONE)) == [DONE]


def test_an_operation_that_never_came_back_has_an_unknown_outcome() -> None:
    asked = unknown(3, 7, 500)

    assert history.parse([history.invoked(asked)]) == [asked]


def test_a_torn_last_line_is_left_out() -> None:
    lines = both_lines(DONE)

    (found,) = history.parse([lines[0], lines[1][:-5]])

    assert found.outcome is Outcome.INFO


def test_the_lines_are_those_that_other_checkers_read() -> None:
    invoke, complete = (json.loads(line) for line in both_lines(DONE))

    assert invoke["type"] == "invoke"
    assert complete["type"] == "ok"
    for line in (invoke, complete):
        assert line["process"] == 0
        assert line["f"] == "replace"
        assert line["key"] == "k"
    assert (invoke["time"], complete["time"]) == (1_000_000, 2_000_000)


def test_a_read_that_failed_saw_nothing() -> None:
    failed = replace(make(1, Kind.READ, None, 0, 5, outcome=Outcome.FAIL), error="HTTP 503")

    assert history.parse(both_lines(failed)) == [failed]


def test_a_body_names_its_value_and_proves_itself_whole() -> None:
    body = content.body_of("drill-1", 42, 4096)

    assert content.value_of("drill-1", body) == 42
    assert len(body) == 4096
    for broken in (body[:-1], body + b"x", body[:500] + b"?" + body[501:], b"", b"a:b:c:"):
        assert content.value_of("drill-1", broken) == GARBAGE
    assert content.value_of("drill-2", body) == GARBAGE


def test_versions_survive_the_file() -> None:
    (found,) = history.parse(both_lines(DONE))

    assert (found.version, found.expected) == (version(9), version(8))
