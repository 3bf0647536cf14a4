"""Runbook files: ours are sound, a user's own comes first, an error names its place."""

from pathlib import Path

import pytest

from runbooks import actions, clock, library
from runbooks.engine.plan import StepKind
from runbooks.errors import BadParameter
from runbooks.library.reading import BadRunbook, read
from runbooks.management.commands import watcher
from tests.runbooks.runbook_files import HEAD, own_runbook, text_of

NOTE = "  - {id: say, title: Say it, action: run.note, with: {text: hello}}\n"


def problems_of(text: str, name: str = "mine") -> list[str]:
    with pytest.raises(BadRunbook) as caught:
        read(text.encode(), file=f"runbooks/{name}.yaml", is_own=True)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.django_db
def test_every_runbook_that_we_ship_is_sound_and_every_finding_has_one() -> None:
    kinds = (
        "node_down", "process_pause", "fsync_stall", "isolated", "cpu_hog", "loop_block",
        "noisy_tenant", "bad_config",
    )  # fmt: skip

    assert library.problems() == ()
    found = {kind: library.for_finding(kind, is_leader=True) for kind in kinds}
    assert [kind for kind, runbook in found.items() if runbook is None] == []


def test_a_change_that_we_ship_asks_first_and_a_guarded_one_can_be_checked() -> None:
    for runbook in library.all():
        changing = [s for s in runbook.steps if s.kind in (StepKind.IDEMPOTENT, StepKind.GUARDED)]
        asks = [s for s in runbook.steps if s.kind is StepKind.APPROVAL]
        assert not changing or runbook.steps.index(asks[0]) < runbook.steps.index(changing[0])
        assert all(step.verify for step in changing if step.kind is StepKind.GUARDED)


def test_a_stall_is_for_the_leader_only_and_a_hang_for_any_role() -> None:
    stalled = library.for_finding("fsync_stall", is_leader=True)

    assert stalled is not None and stalled.name == "leader-fsync-stall"
    assert library.for_finding("fsync_stall", is_leader=False) is None
    hung = library.for_finding("process_pause", is_leader=False)
    assert hung is not None and hung.name == "hung-node"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("  - {id: a, title: T, action: raft.dance}\n", "7: steps.0.action: 'raft.dance'"),
        ("  - {id: a, title: T}\n", "mine.yaml:7: steps.0: either action or approval"),
        ("  - {id: a, title: T, action: run.note, wiht: {}}\n", "known are action, approval"),
        ("  - {id: A, title: T, action: run.note}\n", "7: steps.0.id: 'A' does not match"),
        (NOTE + "  - {id: b, title: T,\n     action: run.note, with: {}}\n",
         "mine.yaml:9: steps.1.with: 'text' is a required property"),
        (NOTE + NOTE, "say is taken; each name once"),
        (NOTE + "  - {id: b, title: T, action: raft.status, expect: 'leader =! 3'}\n",
         "mine.yaml:8: steps.1.expect: 'leader =! 3' is no expression; allowed: names"),
        ("  - {id: b, title: T, action: run.note, with: {text: '{{ nobody.term }}'}}\n",
         "nobody: not known here; known are fleet, run_id, target"),
        ("  - {id: b, title: T, action: wait.until, with: {condition: 'leader =! 3'}}\n",
         "mine.yaml:7: steps.0.with.condition: 'leader =! 3' is no expression; allowed: names"),
        ("  - {id: b, title: T, action: wait.until, with: {condition: nobody.leads}}\n",
         "steps.0.with.condition: nobody: not known here; known are fleet, run_id, target"),
        ("  - {id: b, title: T, action: run.note, with: {text: x}, onFailure: 'step:z'}\n",
         "steps.0.onFailure: abort or step:ID of a later step"),
        ("  - {id: b, title: T, action: node.restart, with: {node: n}}\n",
         "a guarded step needs verify"),
        ("  - {id: b, title: T, action: node.drain, with: {node: n}, kind: read}\n",
         "steps.0.kind: node.drain is idempotent"),
        ("  - {id: b, title: T, action: run.note, with: {text: x}, timeout: 10m}\n",
         "steps.0.timeout: less than 150 s"),
        ("  - {id: b, title: T, action: run.note, with: {text: x}, fence: {leader: a, term: 1}}\n",
         "run.note takes no fence"),
        ("  - {id: b, title: T, title: U, action: run.note}\n", "title: each name once"),
        ("  - [unclosed\n", "mine.yaml:8: the file: YAML:"),
        ("  - &a [*a]\n", "at most 12 levels; no value inside itself"),
    ],
)  # fmt: skip
def test_an_error_names_the_line_the_field_and_what_is_allowed(steps: str, told: str) -> None:
    assert any(told in problem for problem in problems_of(text_of(steps))), problems_of(
        text_of(steps)
    )


def test_a_file_is_called_as_its_runbook_and_takes_no_built_in_name() -> None:
    assert "mine, as the file is called" in problems_of(text_of(NOTE, name="other"))[0]
    taken = problems_of(text_of(NOTE, name="capture-profile"), name="capture-profile")
    assert "is a built-in kind of run" in taken[0]


def test_what_is_no_text_or_too_much_of_it_is_refused() -> None:
    assert "1: the file: at most 65536 bytes" in problems_of("#" * 65_537)[0]
    with pytest.raises(BadRunbook, match="text in UTF-8"):
        read(b"\xff", file="runbooks/mine.yaml", is_own=True)
    assert "a mapping with apiVersion" in problems_of("")[0]


@pytest.mark.django_db
def test_a_file_of_the_users_is_in_force_at_once_and_takes_the_place_of_ours() -> None:
    with own_runbook(NOTE, name="hung-node"):
        assert library.get("hung-node").is_own
        assert library.get("hung-node").title == "A runbook of tests"

    assert not library.get("hung-node").is_own


@pytest.mark.django_db
def test_a_file_that_breaks_leaves_the_version_in_force_that_was_so_before() -> None:
    with own_runbook(NOTE) as path:
        actions.remember(library.all(), now_ms=clock.now_ms())
        before = library.get("mine").content_hash
        path.write_text(text_of(NOTE) + "  - {id: broken}\n")

        assert library.get("mine").content_hash == before
        assert "mine.yaml:8" in str(library.problems()[0])
        assert [row.content_hash for row in library.versions("mine")] == [before]


@pytest.mark.django_db
def test_a_file_that_breaks_before_it_was_ever_started_leaves_its_version_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watcher, "_remembered", set())
    with own_runbook(NOTE, name="hung-node") as path:
        watcher.remember_runbooks(clock.now_ms())
        path.write_text(text_of(NOTE, name="hung-node") + "  - {id: broken}\n")

        assert library.get("hung-node").title == "A runbook of tests"
        assert library.problems()


@pytest.mark.django_db
def test_a_file_that_never_was_sound_is_not_in_force() -> None:
    with own_runbook("  - {id: broken}\n"):
        with pytest.raises(BadParameter, match="one of capture-evidence"):
            library.get("mine")


def test_parameters_have_types_limits_and_defaults() -> None:
    head = HEAD.replace("steps:", "params:\n  ops: {type: int, default: 5, min: 1, max: 9}\nsteps:")
    kind = read(text_of(NOTE, head=head).encode(), file="mine.yaml", is_own=True).kind()

    assert kind.check("node-1", {}) == {"ops": 5}
    for params, field in (({"ops": 10}, "ops"), ({"ops": True}, "ops"), ({"oops": 1}, "oops")):
        with pytest.raises(BadParameter) as caught:
            kind.check("node-1", params)
        assert caught.value.field == field
    with pytest.raises(BadParameter, match="a node such as node-1"):
        kind.check("tenant:a", {})


def test_the_example_of_the_guide_is_sound() -> None:
    guide = (Path(__file__).parents[2] / "docs/guide/runs.md").read_text()
    example = guide.split("```yaml\n", 1)[1].split("```", 1)[0]

    assert read(example.encode(), file="guide", is_own=True).name == "step-down"
