"""Promises, pre-votes and transfers: how leaderships end, by the thesis, cited by section."""

import pytest

from storage_core.errors import NotLeader
from storage_core.raft.messages import (
    Heartbeat,
    PreVote,
    TimeoutNow,
    Vote,
    VoteReply,
)
from storage_core.raft.ready import FOLLOWER, LEADER, PRE_CANDIDATE
from tests.storage_core.raft.cluster import (
    Cluster,
    make_follower,
    make_payload,
    replies,
)

LATER_US = 10_000_000


# -- disturbance, thesis §6.2, §6.4, §9.6 ---------------------------------------------------------


def test_a_pre_vote_moves_nobodys_term() -> None:  # thesis §9.6
    node = make_follower(1)

    node.replica.step(PreVote(50, 2, 1, 1), LATER_US)

    assert node.replica.term == 1
    assert replies(node, object)[0].granted


def test_a_voter_within_the_leaders_lease_refuses_and_keeps_its_term() -> None:  # thesis §6.4.1
    cluster = Cluster(3)
    cluster.elect(1)

    cluster.step(2, Vote(9, 3, 99, 9, False))
    cluster.step(1, Vote(9, 3, 99, 9, False))

    assert (cluster[2].term, cluster[1].term, cluster[1].role) == (1, 1, LEADER)


def test_a_promise_outlives_a_change_of_term() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.step(2, VoteReply(4, 3, False))
    assert cluster[2].term == 4

    cluster.step(2, Vote(5, 3, 99, 4, False))

    assert cluster[2].voted_for is None


def test_a_voter_votes_once_the_leader_is_proven_dead() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster[2].peer_proven_dead(1, cluster.now_us)

    cluster.step(2, Vote(9, 3, 99, 9, False))

    assert cluster[2].voted_for == 3


def test_a_proven_death_is_followed_by_an_election_at_once() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.propose(1, "kept")
    cluster.deliver()
    cluster.down.add(1)
    for survivor in (2, 3):
        cluster[survivor].peer_proven_dead(1, cluster.now_us)

    cluster.pass_time(60_000, step_us=5_000)

    assert cluster.leader() == 2
    assert cluster.nodes[2].applied[1].meta == b"kept"


def test_what_the_dead_said_last_is_not_answered() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster[2].peer_proven_dead(1, cluster.now_us)

    cluster.step(2, Heartbeat(1, 1, 0, 0, cluster.now_us))

    assert cluster[2].ready() is None


def test_a_lost_connection_hurries_the_election_but_breaks_no_promise() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.down.add(1)
    for survivor in (2, 3):
        cluster[survivor].peer_lost(1, cluster.now_us)

    cluster.pass_time(390_000)
    assert cluster.leader() is None
    cluster.pass_time(60_000)

    assert cluster.leader() is not None


def test_a_restarted_voter_grants_nothing_until_forgotten_promises_have_ended() -> None:
    node = make_follower(1)

    node.replica.step(Vote(2, 2, 9, 9, False), 399_999)
    node.replica.step(PreVote(2, 2, 9, 9), 399_999)
    assert not any(reply.granted for reply in replies(node, object))
    node.replica.step(Vote(2, 2, 9, 9, False), 400_000)

    assert replies(node, VoteReply)[0].granted


def test_a_follower_whose_own_tick_was_late_starts_its_timer_anew() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    replica = cluster[2]

    replica.tick(replica.election_due_us + 60_000)

    assert replica.role == FOLLOWER
    replica.tick(replica.election_due_us)
    assert replica.role == PRE_CANDIDATE


def test_a_follower_that_is_always_late_campaigns_in_the_end() -> None:
    replica = make_follower(1).replica

    for _ in range(3):
        replica.tick(replica.election_due_us + 60_000)

    assert replica.role == PRE_CANDIDATE


def test_a_leader_without_a_quorum_steps_down() -> None:  # thesis §6.2
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.down |= {2, 3}

    cluster.pass_time(750_000)
    assert cluster[1].role == LEADER
    cluster.pass_time(150_000)

    assert cluster[1].role != LEADER


# -- leadership transfer, thesis §3.10 ------------------------------------------------------------


def test_a_transferring_leader_takes_no_proposals_and_drops_its_lease_first() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.pass_time(60_000)
    assert cluster[1].lease_valid(cluster.now_us)

    cluster[1].transfer(2, cluster.now_us)

    assert not cluster[1].lease_valid(cluster.now_us)
    with pytest.raises(NotLeader):
        cluster[1].propose([make_payload("a")], cluster.now_us)


def test_a_failed_transfer_gives_proposals_back_but_not_the_lease() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster[1].transfer(2, cluster.now_us)
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, TimeoutNow))

    cluster.pass_time(900_000)

    # The lost message may still arrive, and then no voter asks about a lease.
    assert cluster[1].takes_proposals
    assert not cluster[1].lease_valid(cluster.now_us)


def test_a_late_hand_over_of_an_old_term_is_ignored() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.pass_time(60_000)

    cluster.step(2, TimeoutNow(0, 1))

    assert cluster[2].role == FOLLOWER
