"""The core keeps its order: durable before told, applied after durable, settled once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core.catalog import codec
from storage_core.catalog.commands import Conditions, CreateContainer
from storage_core.catalog.view import CatalogView
from storage_core.core import LIMITS, Limits
from storage_core.errors import NotLeader, Overloaded
from storage_core.raft.messages import CHUNK, COMMAND, AppendReply, HeartbeatReply, VoteReply
from tests.storage_core.node.cores import ACCOUNT, CONTAINER, CoreNode, Cores, chunk, put

SMALL = b"x" * 1000
CHUNK_BYTES = 256 * 1024


def blob_size(node: CoreNode, name: str) -> int | None:
    row = CatalogView(node.index).blob(ACCOUNT, CONTAINER, name)
    return None if row is None else row.size


def test_a_proposal_is_settled_once_and_applied_on_every_node() -> None:
    cores = Cores()
    leader = cores.ready()

    outcome = cores.done(leader, put("a", SMALL), SMALL)

    assert outcome.code == ""
    assert [blob_size(node, "a") for node in cores.nodes] == [1000, 1000, 1000]
    assert [node.core.applied_index for node in cores.nodes] == [outcome.index] * 3


def test_a_follower_acknowledges_nothing_before_its_flush() -> None:
    cores = Cores()
    leader = cores.ready()
    follower = cores.nodes[1]
    cores.holds = {1}
    before = len(follower.sent)

    ticket = leader.propose(put("a", SMALL), SMALL)
    cores.settle()

    assert ticket in leader.settled, "the other two are a quorum"
    said = [outgoing.message for outgoing in follower.sent[before:]]
    index = leader.settled[ticket].index
    assert [m for m in said if isinstance(m, AppendReply) and m.match_index >= index] == []
    while follower.writes:
        follower.flush()
    follower.drain(cores.now_us)
    said = [outgoing.message for outgoing in follower.sent[before:]]
    assert [m.match_index for m in said if isinstance(m, AppendReply)][-1] == index


def test_a_vote_leaves_only_when_it_is_durable() -> None:
    cores = Cores()
    cores.ready()
    voter = cores.nodes[2]
    cores.holds = {2}
    cores.drop = lambda sender, outgoing: 0 in (sender, outgoing.to)
    before = len(voter.sent)

    while not any(isinstance(write.hard_state, tuple) for write in voter.writes):
        cores.pass_time(10_000)

    votes = [o.message for o in voter.sent[before:] if isinstance(o.message, VoteReply)]
    assert [vote for vote in votes if vote.granted] == []


def test_heartbeats_are_answered_while_the_disk_is_slow() -> None:
    cores = Cores()
    leader = cores.ready()
    follower = cores.nodes[1]
    cores.holds = {1}
    leader.propose(put("a", SMALL), SMALL)
    cores.settle()
    before = len(follower.sent)

    cores.pass_time(200_000)

    said = [type(outgoing.message) for outgoing in follower.sent[before:]]
    assert said.count(HeartbeatReply) >= 3


def test_nothing_is_applied_before_it_is_durable_here() -> None:
    cores = Cores()
    leader = cores.ready()
    cores.holds = {leader.number}

    ticket = leader.propose(put("a", SMALL), SMALL)
    cores.settle()
    cores.pass_time(100_000)

    assert leader.core.replica.commit_index > leader.core.applied_index
    assert ticket not in leader.settled
    assert blob_size(leader, "a") is None
    leader.flush()
    leader.drain(cores.now_us)
    assert leader.settled[ticket].code == ""


def test_at_most_two_writes_are_in_flight() -> None:
    cores = Cores()
    leader = cores.ready()
    cores.holds = {leader.number}

    for number in range(300):
        leader.propose(put(f"b{number}", SMALL), SMALL)
        leader.drain(cores.now_us)

    assert leader.core.writes_in_flight == len(leader.writes) == LIMITS.writes_in_flight
    cores.holds = set()
    cores.settle()
    assert len([o for o in leader.settled.values() if not o.code]) >= 300


def test_small_writes_and_chunks_take_turns_in_pure_batches() -> None:
    cores = Cores()
    leader = cores.ready()
    leader.batches.clear()
    body = b"c" * CHUNK_BYTES
    for number in range(200):
        leader.propose(put(f"s{number}", SMALL), SMALL)
    for sequence in range(16):
        leader.propose(chunk(sequence), body)

    cores.settle()

    assert all(len(set(batch)) == 1 for batch in leader.batches)
    kinds = [batch[0] for batch in leader.batches]
    assert kinds[:6] in ([COMMAND, CHUNK] * 3, [CHUNK, COMMAND] * 3)
    small = [len(batch) for batch in leader.batches if batch[0] == COMMAND]
    assert small == [64, 64, 64, 8]
    # While small writes are about, a chunk batch is half a megabyte: at most two of 256 KiB.
    assert max(len(batch) for batch in leader.batches[:8] if batch[0] == CHUNK) <= 2


def test_chunks_alone_fill_a_megabyte_a_batch() -> None:
    cores = Cores()
    leader = cores.ready()
    body = b"c" * (CHUNK_BYTES - 4096)
    for sequence in range(20):
        leader.propose(chunk(sequence), body)
    cores.settle()
    leader.batches.clear()

    for sequence in range(20, 40):
        leader.propose(chunk(sequence), body)
    cores.settle()

    assert [len(batch) for batch in leader.batches] == [4] * 5


def test_what_was_queued_is_lost_with_none_and_what_was_proposed_with_unknown() -> None:
    cores = Cores()
    leader = cores.ready()
    cores.holds = {leader.number}
    cores.drop = lambda sender, outgoing: leader.number in (sender, outgoing.to)
    proposed = leader.propose(put("a"))
    leader.drain(cores.now_us)
    leader.propose(put("b"))
    leader.drain(cores.now_us)
    queued = leader.propose(put("c"))
    leader.drain(cores.now_us)

    cores.pass_time(3_000_000)

    assert not leader.leads
    assert leader.lost[proposed] == "unknown"
    assert leader.lost[queued] == "none"
    assert len(leader.lost) == 3
    with pytest.raises(NotLeader):
        leader.propose(put("d"))


def test_a_resent_operation_gets_its_first_outcome_from_the_next_leader() -> None:
    cores = Cores()
    leader = cores.ready()
    op_id = cores.new_op()
    ticket = leader.propose(put("a", conditions=Conditions(if_none_match=("*",))), op_id=op_id)
    cores.settle()
    first = leader.settled[ticket]
    cores.pass_time(100_000)
    leader.core.replica.transfer(1, cores.now_us)
    cores.settle()
    cores.pass_time(200_000)

    again = cores.nodes[1].propose(
        put("a", conditions=Conditions(if_none_match=("*",))), op_id=op_id
    )
    cores.settle()

    assert cores.nodes[1].settled[again] == first
    assert first.code == ""


def test_a_refusal_in_advance_rests_on_no_entry_that_may_fail() -> None:
    cores = Cores()
    leader = cores.ready()
    again = CreateContainer(ACCOUNT, CONTAINER)
    assert leader.core.precheck(again, cores.now_us) == "ContainerAlreadyExists"

    cores.holds = {leader.number}
    leader.propose(put("a"))
    assert leader.core.precheck(again, cores.now_us) == "", "something is queued"
    leader.drain(cores.now_us)
    assert leader.core.precheck(again, cores.now_us) == "", "something is not applied"
    cores.holds = set()
    cores.settle()
    assert leader.core.precheck(again, cores.now_us + 1_000_000) == "", "the lease is over"
    assert cores.nodes[1].core.precheck(again, cores.now_us) == "", "a follower"


def test_a_leader_reads_within_its_lease_only() -> None:
    cores = Cores()
    leader = cores.ready()

    assert leader.core.can_read_now(cores.now_us)
    assert not leader.core.can_read_now(cores.now_us + 400_000)
    assert not cores.nodes[1].core.can_read_now(cores.now_us)


def test_a_follower_is_ready_to_read_when_it_has_applied_the_read_point() -> None:
    cores = Cores()
    leader = cores.ready()
    follower = cores.nodes[1]
    cores.holds = {1}
    leader.propose(put("a"))
    cores.settle()
    cores.pass_time(100_000)

    follower.core.read(77, cores.now_us)
    cores.settle()
    assert follower.reads_ready == []
    cores.holds = set()
    cores.settle()
    cores.pass_time(100_000)

    assert follower.reads_ready == [77]


def test_entry_time_never_goes_back_under_a_new_leader() -> None:
    cores = Cores()
    leader = cores.ready()
    late_ms = 1_900_000_000_000
    leader.core.propose(COMMAND, codec.encode(put("a")), b"", 0, cores.new_op(), late_ms)
    cores.settle()
    leader.core.replica.transfer(1, cores.now_us)
    cores.settle()
    cores.pass_time(200_000)

    outcome = cores.done(cores.nodes[1], put("b"))

    assert outcome.last_modified_ms >= late_ms


def test_the_queue_is_bounded_in_bytes_and_in_records() -> None:
    limits = Limits(queue_records=10, queue_bytes=100_000)
    cores = Cores(limits)
    leader = cores.ready()

    with pytest.raises(Overloaded):
        leader.propose(put("large", b"x" * 100_001), b"x" * 100_001)
    for number in range(10):
        leader.propose(put(f"b{number}"))
    with pytest.raises(Overloaded):
        leader.propose(put("one more"))
    cores.settle()
    leader.propose(put("after"))
    cores.settle()

    assert leader.core.queued_bytes == 0


def test_uncommitted_bytes_are_bounded_while_followers_are_silent() -> None:
    cores = Cores(Limits(uncommitted_bytes=2_000_000))
    leader = cores.ready()
    cores.drop = lambda sender, outgoing: True
    body = b"c" * 200_000

    for sequence in range(60):
        leader.propose(chunk(sequence), body)
        cores.settle()

    uncommitted = leader.log.last_index - leader.core.replica.commit_index
    assert 10 <= uncommitted <= 16
    cores.drop = lambda sender, outgoing: False
    cores.pass_time(500_000)
    assert leader.log.last_index == leader.core.applied_index


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("pfdtlh"), st.integers(0, 2)), max_size=60))
def test_whatever_happens_each_proposal_ends_once_and_all_nodes_agree(
    steps: list[tuple[str, int]],
) -> None:
    """p propose, f flush one, d deliver, t time, l cut a node off or let it in, h hand over."""
    cores = Cores()
    cores.ready()
    tickets: list[tuple[CoreNode, int]] = []
    cut: set[int] = set()
    cores.drop = lambda sender, outgoing: sender in cut or outgoing.to in cut
    for step, number in steps:
        node = cores.nodes[number]
        if step == "p" and node.leads:
            tickets.append((node, node.propose(put(f"b{len(tickets)}"), op_id=cores.new_op())))
        elif step == "f" and node.writes:
            node.flush()
        elif step == "d":
            cores.holds = {number}
            cores.settle()
        elif step == "t":
            cores.pass_time(150_000)
        elif step == "l":
            cut ^= {number}
        elif step == "h" and node.leads:
            node.core.replica.transfer((number + 1) % 3, cores.now_us)
        node.drain(cores.now_us)
    cut.clear()
    cores.holds = set()
    cores.pass_time(3_000_000)

    assert all(ticket in node.settled or ticket in node.lost for node, ticket in tickets)
    rows = [node.index.scan(b"", b"\xff", 10_000) for node in cores.nodes]
    assert rows[0] == rows[1] == rows[2]
