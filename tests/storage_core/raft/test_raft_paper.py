"""The rules of the Raft paper and thesis, one test each, cited by section."""

import time
from typing import Any

import pytest

from storage_core.raft.messages import (
    Append,
    AppendReply,
    HardState,
    Heartbeat,
    HeartbeatReply,
    Outgoing,
    Vote,
    VoteReply,
)
from storage_core.raft.ready import CANDIDATE, FOLLOWER, LEADER, Timing
from tests.storage_core.raft.cluster import (
    VOTERS,
    Cluster,
    MemoryLog,
    Node,
    make_append,
    make_entry,
    make_follower,
    replies,
)

LATER_US = 10_000_000


def test_three_nodes_elect_and_commit_without_an_event_loop_in_milliseconds() -> None:
    started_s = time.perf_counter()
    cluster = Cluster(3)

    cluster.elect(1)
    cluster.propose(1, "a", "b")
    cluster.deliver()

    assert [entry.meta for entry in cluster.nodes[1].applied] == [b"", b"a", b"b"]
    assert time.perf_counter() - started_s < 0.1


def test_one_voter_alone_commits_when_its_disk_has_flushed() -> None:
    cluster = Cluster(1)
    cluster.nodes[1].holds_flush = True

    cluster[1].tick(0)
    cluster.deliver()

    assert cluster[1].role == CANDIDATE
    cluster.nodes[1].flush()
    cluster.deliver()
    assert (cluster[1].role, cluster[1].commit_index) == (LEADER, 0)
    cluster.nodes[1].flush()
    assert cluster[1].commit_index == 1
    assert cluster[1].lease_valid(LATER_US) is False, "the no-op is not applied yet"
    cluster.deliver()
    assert cluster[1].lease_valid(LATER_US)


# -- terms and votes, §5.1, §5.2, §5.4.1 ----------------------------------------------------------


def test_a_higher_term_makes_a_leader_follow() -> None:  # §5.1
    cluster = Cluster(3)
    cluster.elect(1)

    cluster.step(1, HeartbeatReply(9, 2, 0, 0))

    assert (cluster[1].role, cluster[1].term, cluster[1].leader) == (FOLLOWER, 9, None)
    assert cluster.ready(1).lost_leadership


def test_a_message_of_an_old_term_is_not_obeyed() -> None:  # §5.1
    node = make_follower(1, 2)

    node.replica.step(make_append(1, 2, 1, 1), 0)

    assert node.log.last_index == 2
    assert replies(node, HeartbeatReply)[0].term == 2


def test_a_follower_never_votes_twice_in_a_term() -> None:  # §5.2
    node = make_follower(1)

    node.replica.step(Vote(2, 2, 1, 1, False), LATER_US)
    node.replica.step(Vote(2, 3, 1, 1, False), LATER_US)

    sent: list[Any] = node.take()
    granted = {each.to: each.message.granted for each in sent}
    assert granted == {2: True, 3: False}


def test_a_vote_given_before_a_restart_still_binds() -> None:  # figure 2
    node = make_follower(1, term=2, voted_for=3)

    node.replica.step(Vote(2, 2, 1, 1, False), LATER_US)

    assert not replies(node, VoteReply)[0].granted


def test_a_vote_leaves_only_after_the_disk() -> None:  # figure 2
    node = make_follower(1)

    node.replica.step(Vote(2, 2, 1, 1, False), LATER_US)
    ready = node.replica.ready()

    assert ready is not None
    assert ready.hard_state == HardState(1, 2, 2, 0)
    assert [each.after_flush for each in ready.messages] == [True]


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"),
    [(2, 2, True), (3, 2, True), (1, 3, True), (1, 2, False), (9, 1, False)],
)
def test_votes_go_only_to_logs_that_are_up_to_date(
    last_index: int, last_term: int, granted: bool
) -> None:  # §5.4.1
    node = make_follower(1, 2)

    node.replica.step(Vote(5, 2, last_index, last_term, False), LATER_US)

    assert replies(node, VoteReply)[0].granted is granted


def test_a_candidate_that_sees_a_leader_of_its_term_follows_it() -> None:  # §5.2
    node = make_follower(1, term=1)
    node.replica.tick(node.replica.election_due_us)
    node.replica.role = CANDIDATE

    node.replica.step(Heartbeat(1, 2, 0, 0, 5), 900_000)

    assert (node.replica.role, node.replica.leader) == (FOLLOWER, 2)


def test_election_timeouts_are_spread_between_their_bounds() -> None:  # §5.2, §9.3
    due_us = {Node(n, range(1, 40)).replica.election_due_us for n in range(1, 40)}

    assert len(due_us) > 20
    assert min(due_us) >= Timing().election_us_min
    assert max(due_us) < Timing().election_us_max


# -- the log, §5.3 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "append", "success", "after"),
    [
        ((), make_append(1, 0, 0, 1), True, [1]),
        ((1, 1), make_append(1, 2, 1, 1), True, [1, 1, 1]),
        ((1, 1), make_append(2, 3, 2, 2), False, [1, 1]),
        ((1, 2), make_append(3, 2, 1, 3), False, [1, 2]),
        ((1, 2, 2), make_append(3, 1, 1, 3), True, [1, 3]),
        ((1, 1, 1), make_append(1, 1, 1, 1), True, [1, 1, 1]),
    ],
)
def test_an_append_is_taken_only_where_the_logs_agree(
    terms: tuple[int, ...], append: Append, success: bool, after: list[int]
) -> None:
    node = make_follower(*terms)

    node.replica.step(append, 0)

    assert replies(node, AppendReply)[0].success is success
    assert [entry.term for entry in node.log.items] == after


def test_a_late_append_cuts_nothing_that_a_newer_one_brought() -> None:  # §5.3, "if conflicts"
    node = make_follower(1)
    node.replica.step(make_append(1, 1, 1, 1, 1, 1), 0)

    node.replica.step(make_append(1, 1, 1, 1), 0)

    assert node.log.last_index == 4


def test_a_follower_commits_no_further_than_what_it_has_matched() -> None:  # §5.3
    node = make_follower(1, 1, 1)

    node.replica.step(make_append(2, 0, 0, 1, commit_index=3), 0)

    assert node.replica.commit_index == 1


def test_a_follower_never_cuts_what_is_committed() -> None:  # §5.4.3
    node = make_follower(1, 1)
    node.replica.step(make_append(1, 2, 1, commit_index=2), 0)

    node.replica.step(make_append(2, 0, 0, 2), 0)

    assert node.log.last_index == 2, "what is committed is not even looked at"


def test_a_refusal_lets_the_leader_skip_whole_terms() -> None:  # §5.3, end
    cluster = Cluster(3)
    ours = [make_entry(1, n) for n in range(1, 201)] + [make_entry(5, n) for n in range(201, 203)]
    theirs = [make_entry(1, 1)] + [make_entry(2 + n // 60, n) for n in range(2, 201)]
    for number, entries in ((1, ours), (2, ours), (3, theirs)):
        term = entries[-1].term
        cluster.nodes[number] = Node(
            number, VOTERS, hard_state=HardState(0, term, None, 0), log=MemoryLog(list(entries))
        )
    probes: list[int] = []

    def listen(sender: int, outgoing: Outgoing) -> bool:
        if isinstance(outgoing.message, Append) and outgoing.to == 3:
            probes.append(outgoing.message.prev_index)
        return False

    cluster.campaign(1)

    cluster.deliver(drop=listen)

    assert cluster.nodes[3].log.items == cluster.nodes[1].log.items
    assert len(probes) <= 8, probes


def test_an_entry_of_an_old_term_is_not_committed_by_counting() -> None:  # §5.4.2, figure 8
    cluster = Cluster(5)
    for number, terms in ((1, (1, 2)), (2, (1, 2)), (3, (1,)), (4, (1,)), (5, (1, 3))):
        entries = [make_entry(term, at + 1) for at, term in enumerate(terms)]
        cluster.nodes[number] = Node(
            number,
            cluster.voters,
            hard_state=HardState(0, terms[-1], None, 0),
            log=MemoryLog(entries),
        )
    cluster.down.add(5)
    cluster.campaign(1)
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, AppendReply))
    leader = cluster[1]

    for follower in (2, 3, 4):
        cluster.step(1, AppendReply(leader.term, follower, True, 2, 0, 0, 0, ()))

    assert (leader.role, leader.commit_index) == (LEADER, 0)
    for follower in (2, 3):
        cluster.step(1, AppendReply(leader.term, follower, True, 3, 0, 0, 0, ()))
    assert leader.commit_index == 3


def test_a_leader_counts_itself_only_when_its_own_disk_has_flushed() -> None:  # thesis §10.2.1
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.nodes[1].holds_flush = True
    cluster.down.add(3)
    cluster.propose(1, "a")

    cluster.deliver()

    assert cluster[1].commit_index == 1
    cluster.nodes[1].flush()
    assert cluster[1].commit_index == 2


def test_an_acknowledgement_waits_for_the_disk_and_an_append_does_not() -> None:  # thesis §10.2.1
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.propose(1, "a")
    appended = cluster.ready(1)
    cluster.step(2, appended.messages[0].message)

    answered = cluster.ready(2)

    assert not any(each.after_flush for each in appended.messages)
    assert all(each.after_flush for each in answered.messages)
