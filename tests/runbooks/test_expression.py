"""The language of runbooks: what it can say, what it refuses, and what it can't tell."""

import pytest

from runbooks.engine.expression import (
    BadExpression,
    CannotTell,
    check,
    check_template,
    evaluate,
    is_true,
    render,
)

FACTS = {
    "node": "node-1",
    "share": 0.8,
    "confirm": {"term": 41, "leader": "node-1"},
    "fleet": {"leader": None, "answering": 3},
    "nodes": {"node-1": {"process": 99}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("share >= 0.5", True),
        ("confirm.leader == node and confirm.term == 41", True),
        ("not (share < 0.5 or node != 'node-1')", True),
        ("fleet.leader == None", True),
        ("nodes[confirm.leader].process + 1", 100),
        ("nodes['node-1']", {"process": 99}),
        ("node in ['node-0', 'node-1']", True),
        ("0.5 < share < 0.9", True),
        ("confirm.term + 1", 42),
        ("max(1, len(node)) / 2", 3.0),
        ("-share", -0.8),
    ],
)
def test_facts_are_looked_up_and_compared(text: str, value: object) -> None:
    assert evaluate(text, FACTS) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "node.__class__",
        "(lambda: 1)()",
        "[x for x in node]",
        "node if share else 1",
        "open('f')",
        "max(1, key=len)",
        "2 ** 99",
        "'a' % 1",
        "node[0]",
        "f'{node}'",
        "node := 1",
        "b'bytes'",
        "1 if",
        "",
        "a " * 300,
        " + ".join(["1"] * 90),
    ],
)
def test_whatever_is_not_in_the_table_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        check(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lag <= 100", "lag is not known"),
        ("confirm.lag <= 100", "confirm.lag is not known"),
        ("node.length == 6", "node.length is not known"),
        ("fleet.leader < 3", "fleet.leader is not known"),
        ("node < 3", "compares unlike things"),
        ("share / 0 > 1", "can't be worked out"),
        ("node + 1 == 2", "node is not a number"),
        ("len(share) == 1", "can't be worked out"),
    ],
)
def test_what_is_not_known_is_no_and_no_yes(text: str, told: str) -> None:
    with pytest.raises(CannotTell, match=told):
        is_true(text, FACTS)


def test_a_condition_that_is_no_yes_or_no_is_not_taken_for_one() -> None:
    with pytest.raises(CannotTell, match="neither true nor false"):
        is_true("confirm.term", FACTS)


def test_a_template_that_is_one_expression_keeps_its_type() -> None:
    call = {"to": "{{ node }}", "term": "{{ confirm.term }}", "says": "at {{ node }}: {{ share }}"}

    found = render(call, FACTS)

    assert found == {"to": "node-1", "term": 41, "says": "at node-1: 0.8"}
    assert check_template(call) == {"node", "confirm", "share"}


def test_what_a_decision_did_not_need_need_not_be_known() -> None:
    assert is_true("share > 0.5 or lag > 3", FACTS)
    assert not is_true("share < 0.5 and lag > 3", FACTS)
