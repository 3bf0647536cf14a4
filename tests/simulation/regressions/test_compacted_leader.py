"""Found by the simulator: a follower was left behind for ever by a leader that had compacted.

A new leader looks for the place where a follower's log agrees, starting at the end of its own. When
the connection broke before the first answer, it began again at index 1, which its compacted log no
longer held, and sent nothing but heartbeats although the follower lacked only a few entries.
"""

from storage_core.raft.messages import AppendReply
from tests.storage_core.raft.cluster import Cluster


def make_compacted_cluster() -> Cluster:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.propose(1, *"abcdef")
    cluster.deliver()
    cluster.pass_time(60_000)
    cluster.cut |= {(1, 3), (2, 3)}
    cluster.propose(1, *"ghi")
    cluster.deliver()
    for number in (1, 2):
        cluster.nodes[number].log.compact(5)
    cluster.cut.clear()
    return cluster


def test_a_connection_lost_before_the_first_answer_does_not_send_the_leader_back_to_index_1() -> (
    None
):
    cluster = make_compacted_cluster()
    cluster.campaign(2)
    cluster.deliver(drop=lambda sender, outgoing: isinstance(outgoing.message, AppendReply))

    cluster[2].peer_restarted(3)
    cluster.pass_time(100_000)

    assert cluster[3].log.last_index == cluster[2].log.last_index


def test_a_follower_that_needs_what_was_compacted_is_asked_again_in_peace() -> None:
    cluster = make_compacted_cluster()
    cluster.nodes[3].log.truncate(3)
    cluster.restart(3)
    cluster.elect(2)

    before = cluster[2].progress[3]
    cluster.pass_time(500_000)

    assert before.behind_log
    assert cluster[2].commit_index == cluster[1].commit_index
