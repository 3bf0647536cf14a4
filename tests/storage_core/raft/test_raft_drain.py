"""A drained node neither leads nor campaigns; it votes and stores like any other."""

from __future__ import annotations

from storage_core.raft.messages import TimeoutNow
from storage_core.raft.ready import FOLLOWER, LEADER, PRE_CANDIDATE
from tests.storage_core.raft.cluster import Cluster

ELECTION_US = 800_000


def drained(cluster: Cluster, *numbers: int) -> None:
    for number in numbers:
        cluster[number].drain(True, cluster.now_us)


def test_a_drained_leader_hands_over_at_once_and_loses_nothing() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.propose(1, "a")
    cluster.deliver()

    drained(cluster, 1)
    cluster.deliver()

    assert cluster.leader() in (2, 3)
    assert cluster[1].role == FOLLOWER
    cluster.pass_time(100_000)
    assert [len(node.applied) for node in cluster.nodes.values()] == [3, 3, 3]


def test_a_drained_node_does_not_campaign_when_the_leader_is_gone() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    drained(cluster, 2)
    cluster.down.add(1)

    cluster.pass_time(4 * ELECTION_US)

    assert cluster.leader() == 3, "with the vote of the drained node"


def test_with_all_others_drained_nobody_campaigns_until_one_is_undrained() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    drained(cluster, 2, 3)
    cluster.down.add(1)
    cluster.pass_time(4 * ELECTION_US)
    assert (cluster.leader(), cluster[2].leader, cluster[2].term) == (None, None, 1)

    cluster[2].drain(False, cluster.now_us)
    cluster.pass_time(2 * ELECTION_US)

    assert cluster.leader() == 2


def test_a_drained_node_ignores_the_lead_it_is_offered() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    drained(cluster, 2)

    cluster.step(2, TimeoutNow(1, 1))

    assert (cluster[2].role, cluster[2].term) == (FOLLOWER, 1)


def test_a_candidate_that_is_drained_gives_up() -> None:
    cluster = Cluster(3)
    cluster.campaign(1)
    assert cluster[1].role == PRE_CANDIDATE

    drained(cluster, 1)
    cluster.deliver()

    assert cluster[1].role == FOLLOWER
    assert cluster[1].term == 0


def test_a_drained_leader_tries_the_others_in_turn_and_takes_writes_in_between() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    drained(cluster, 2, 3, 1)
    first = cluster[1].transferee
    cluster.pass_time(ELECTION_US + 10_000)
    assert (cluster[1].role, cluster[1].transferee) == (LEADER, None)
    cluster.propose(1, "a")
    cluster.deliver()

    cluster.pass_time(4 * ELECTION_US - 10_000)

    assert {first, cluster[1].transferee} == {2, 3}
    assert len(cluster.nodes[1].applied) == 2


def test_a_drained_leader_without_a_peer_in_reach_waits() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.down |= {2, 3}
    cluster.pass_time(500_000)

    drained(cluster, 1)

    assert (cluster[1].role, cluster[1].transferee) == (LEADER, None)
