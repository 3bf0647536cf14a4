"""Linearizable reads without writing: thesis §6.4."""

from storage_core.raft.messages import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Outgoing,
    ReadIndex,
    ReadIndexReply,
)
from storage_core.raft.ready import ReadState, Timing
from tests.storage_core.raft.cluster import Cluster


def make_leading_cluster() -> Cluster:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.pass_time(60_000)
    return cluster


def test_within_its_lease_a_leader_reads_at_once() -> None:
    cluster = make_leading_cluster()

    cluster[1].read(7, cluster.now_us)

    assert cluster.ready(1).read_states == (ReadState(7, 1),)


def test_a_lease_counts_from_the_send_time_and_ends_before_any_promise() -> None:
    cluster = make_leading_cluster()
    sent_us = cluster[1].lease_start_us
    cluster.down |= {2, 3}

    assert cluster[1].lease_valid(sent_us + Timing().lease_us - 1)
    assert not cluster[1].lease_valid(sent_us + Timing().lease_us)
    assert Timing().lease_us < Timing().election_us_min


def test_without_a_lease_a_read_waits_for_a_quorum_asked_after_it() -> None:
    cluster = make_leading_cluster()
    now_us = cluster[1].lease_start_us + Timing().lease_us
    cluster[1].read(7, now_us)
    asked = cluster.ready(1)
    assert asked.read_states == ()

    # An echo of something sent before the read proves nothing about now.
    asking = asked.messages[0].message
    assert isinstance(asking, Heartbeat)
    old = asking.sent_us - 1
    cluster[1].step(HeartbeatReply(1, 2, old, 1), now_us)
    assert cluster[1].ready() is None
    cluster[1].step(HeartbeatReply(1, 2, old + 1, 1), now_us)

    assert cluster.ready(1).read_states == (ReadState(7, 1),)


def test_a_new_leader_answers_no_read_before_its_own_entry_is_committed() -> None:  # §6.4
    cluster = Cluster(3)
    cluster.campaign(1)
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, AppendReply))
    cluster[1].read(7, cluster.now_us)

    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, AppendReply))
    assert cluster.nodes[1].reads == []
    cluster.pass_time(60_000)

    assert cluster.nodes[1].reads == [ReadState(7, 1)]


def test_a_follower_asks_its_leader_once_for_all_reads_of_a_turn() -> None:
    cluster = make_leading_cluster()
    asked: list[Outgoing] = []

    def listen(sender: int, outgoing: Outgoing) -> bool:
        if isinstance(outgoing.message, ReadIndex):
            asked.append(outgoing)
        return False

    for context in (7, 8, 9):
        cluster[2].read(context, cluster.now_us)

    cluster.deliver(drop=listen)

    assert cluster.nodes[2].reads == [ReadState(7, 1), ReadState(8, 1), ReadState(9, 1)]
    assert len(asked) == 1


def test_a_follower_that_asks_learns_of_the_commit_at_once() -> None:
    cluster = make_leading_cluster()
    cluster.propose(1, "a")
    cluster.deliver()
    assert cluster[2].commit_index == 1
    cluster[2].read(7, cluster.now_us)

    cluster.deliver()

    assert cluster.nodes[2].reads == [ReadState(7, 2)]
    assert cluster[2].commit_index == 2


def test_a_read_with_no_leader_fails_at_once() -> None:
    cluster = Cluster(3)

    cluster[2].read(7, 0)

    assert cluster.ready(2).reads_failed == (7,)


def test_a_read_whose_answer_is_lost_fails_in_bounded_time() -> None:
    cluster = make_leading_cluster()
    cluster[2].read(7, cluster.now_us)
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, ReadIndexReply))

    cluster.pass_time(Timing().election_us_max + 50_000)

    assert cluster.nodes[2].reads_failed == [7]


def test_reads_that_wait_for_a_quorum_fail_with_the_leadership() -> None:
    cluster = make_leading_cluster()
    cluster[1].read(7, cluster[1].lease_start_us + Timing().lease_us)
    cluster.step(1, HeartbeatReply(9, 2, 0, 0))

    assert cluster.ready(1).reads_failed == (7,)


def test_an_answer_to_an_earlier_incarnation_is_not_taken() -> None:
    cluster = make_leading_cluster()
    cluster[2].read(7, cluster.now_us)
    cluster[2].ready()

    cluster.step(2, ReadIndexReply(1, 1, cluster[2].read_wire_context - 1, 1))

    assert cluster[2].ready() is None
