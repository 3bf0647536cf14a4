"""What is on its way to a follower: bounded, found again when lost, and never past the log."""

from storage_core.raft.messages import Append, AppendReply
from storage_core.raft.ready import Timing
from tests.storage_core.raft.cluster import TIMING, Cluster, make_payload

SMALL = Timing(append_bytes_max=2_000, in_flight_bytes_max=8_000, in_flight_count_max=3)


def make_leading_cluster(timing: Timing = TIMING) -> Cluster:
    cluster = Cluster(3, timing=timing)
    cluster.elect(1)
    cluster.pass_time(60_000)
    return cluster


def test_in_flight_is_bounded_by_count() -> None:
    cluster = make_leading_cluster(SMALL)
    cluster.down.add(3)
    for _ in range(9):
        cluster[1].propose([make_payload("x" * 1_000)], cluster.now_us)

    cluster.collect()

    to_peer = [o for _, o in cluster.mail if o.to == 3 and isinstance(o.message, Append)]
    assert len(to_peer) == 3
    assert cluster[1].progress[3].in_flight_bytes == sum(1_104 for _ in to_peer)


def test_a_follower_past_its_bound_catches_up_from_the_log() -> None:
    cluster = make_leading_cluster(SMALL)
    for at in range(40):
        cluster.propose(1, "x" * 1_000 + str(at))

    cluster.deliver()

    assert cluster.nodes[3].log.items == cluster.nodes[1].log.items
    assert cluster[1].progress[3].in_flight_bytes == 0


def test_followers_that_are_equally_far_get_the_very_same_message() -> None:
    cluster = make_leading_cluster()
    cluster.propose(1, "a")

    ready = cluster.ready(1)

    first, second = (each.message for each in ready.messages)
    assert first is second


def test_a_lost_append_is_sent_again() -> None:
    cluster = make_leading_cluster()
    cluster.propose(1, "a")
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, Append))

    cluster.pass_time(300_000)

    assert cluster.nodes[2].log.last_index == cluster.nodes[3].log.last_index == 2


def test_a_lost_acknowledgement_is_asked_for_again() -> None:
    cluster = make_leading_cluster()
    cluster.propose(1, "a")
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, AppendReply))
    assert cluster[1].commit_index == 1

    cluster.pass_time(300_000)

    assert cluster[1].commit_index == 2


def test_a_late_refusal_changes_nothing() -> None:
    cluster = make_leading_cluster()
    cluster.propose(1, "a")
    cluster.deliver()

    cluster.step(1, AppendReply(1, 2, False, 1, 0, 0, 0, ()))

    assert not cluster[1].progress[2].probing


def test_a_restarted_follower_is_probed_and_fed_what_it_lost() -> None:
    cluster = make_leading_cluster()
    cluster.nodes[2].holds_flush = True
    cluster.propose(1, "a", "b")
    cluster.deliver()

    cluster.restart(2, lose_unflushed=2)
    cluster[1].peer_restarted(2)
    cluster.deliver()

    assert cluster.nodes[2].log.last_index == 3


def test_a_follower_that_needs_what_was_compacted_gets_only_heartbeats() -> None:
    cluster = make_leading_cluster()
    cluster.down.add(3)
    cluster.propose(1, *"abcdef")
    cluster.deliver()
    cluster.nodes[1].log.compact(5)
    cluster.down.discard(3)
    cluster[1].progress[3].probe(2)

    cluster.pass_time(200_000)

    assert cluster[1].progress[3].behind_log
    assert cluster[1].progress[3].contact_us >= cluster.now_us - 60_000


def test_safe_index_is_what_every_voter_holds() -> None:
    cluster = make_leading_cluster()
    cluster.down.add(3)
    cluster.propose(1, "a")
    cluster.deliver()
    assert (cluster[1].commit_index, cluster[1].safe_index) == (2, 1)
    cluster.down.discard(3)

    cluster.pass_time(400_000)

    assert [cluster[n].safe_index for n in (1, 2, 3)] == [2, 2, 2]
