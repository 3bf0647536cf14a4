"""The simulator is deterministic, its checks bite, and a few seeds run with every test run."""

import os
import shutil
import subprocess
import sys

import pytest

from storage_core.catalog.commands import Conditions, PutBlob
from storage_core.raft.messages import AppendReply, HardState, VoteReply
from tests.simulation.checker import Checker, Violation
from tests.simulation.model import Model
from tests.simulation.mutants import MUTANTS
from tests.simulation.simulation import run_seed
from tests.simulation.world import Rng, World

SHORT_SEED = 1


@pytest.mark.parametrize("seed", [1, 4, 8])
def test_all_invariants_hold(seed: int) -> None:
    report = run_seed(seed)

    assert report.violation == "", f"replay: python -m tests.simulation --seed {seed}"


def replay(interpreter: str, hash_seed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [interpreter, "-m", "tests.simulation", "--seed", str(SHORT_SEED), *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_seed_gives_the_same_trace_on_every_interpreter_and_under_every_hash_seed() -> None:
    interpreters = [sys.executable, shutil.which("pypy3") or sys.executable]
    outputs = {
        replay(interpreter, hash_seed).stdout
        for interpreter in interpreters
        for hash_seed in ("1", "2")
    }

    assert len(outputs) == 1
    assert "trace" in outputs.pop()


def test_different_seeds_give_different_traces() -> None:
    assert run_seed(2).trace_hash != run_seed(4).trace_hash


def test_a_planted_bug_is_caught_and_told() -> None:
    told = replay(sys.executable, "0", "--mutant", "acknowledge-before-fsync")

    assert told.returncode == 1
    assert "Violation" in told.stdout


def test_there_are_eight_planted_bugs_with_names_of_their_own() -> None:
    assert len({mutant.slug for mutant in MUTANTS}) == 8


def test_events_happen_by_time_and_then_in_the_order_of_planning() -> None:
    world = World()
    seen: list[str] = []
    for delay_us, name in ((5, "c"), (1, "a"), (5, "d"), (1, "b")):
        world.after(delay_us, seen.append, name)

    world.run_until(5)

    assert "".join(seen) == "abcd"


def test_chance_is_a_function_of_seed_and_stream() -> None:
    def draw(seed: int, stream: int) -> list[int]:
        rng = Rng(seed, stream)
        return [rng.below(1_000) for _ in range(5)]

    assert draw(1, 2) == draw(1, 2) != draw(1, 3)


def test_two_leaders_of_a_term_are_a_violation() -> None:
    checker = Checker(3)
    checker.leader_of[7] = 1

    with pytest.raises(Violation, match="both lead term 7"):
        checker.became_leader(2, 7, None)  # type: ignore[arg-type]


def test_an_acknowledgement_beyond_the_disk_is_a_violation() -> None:
    with pytest.raises(Violation, match="acknowledges 5"):
        Checker(3).announced(0, 1, AppendReply(1, 0, True, 5, 0, 0, 0, ()))


def test_a_vote_that_the_disk_does_not_know_is_a_violation() -> None:
    checker = Checker(3)
    checker.told[0].hard_state = HardState(1, 4, 2, 0)

    checker.announced(0, 2, VoteReply(4, 0, True))
    with pytest.raises(Violation, match="votes for 1"):
        checker.announced(0, 1, VoteReply(4, 0, True))


def test_a_read_that_is_older_than_what_was_seen_is_a_violation() -> None:
    checker = Checker(3)

    checker.read("blob", None, applied=8, floor_index=8)
    with pytest.raises(Violation, match="stale"):
        checker.read("blob", None, applied=8, floor_index=9)


def make_put(
    content: bytes,
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match: tuple[str, ...] | None = None,
) -> PutBlob:
    conditions = Conditions(if_match=if_match, if_none_match=if_none_match)
    return PutBlob("a", "c", "blob", len(content), conditions=conditions)


def test_the_model_keeps_every_version_and_answers_a_repeat_with_the_first_answer() -> None:
    model = Model()
    model.apply(3, b"one", make_put(b"first"), b"first")
    model.apply(5, b"two", make_put(b"second", if_match=("0x8D00000000000003",)), b"second")

    assert model.apply(6, b"one", make_put(b"first"), b"first") == ("", 3)
    assert [model.at("blob", index).content for index in (2, 3, 4, 5, 6)] == [
        None,
        b"first",
        b"first",
        b"second",
        b"second",
    ]
    assert model.apply(7, b"new", make_put(b"x", if_none_match=("*",)), b"x")[0] == (
        "BlobAlreadyExists"
    )
