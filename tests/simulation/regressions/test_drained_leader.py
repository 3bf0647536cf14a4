"""Found by the simulator: a drained leader that lost its quorum stopped its node.

In one tick it stepped down, since nobody had answered for long, and then went on to hand over the
lead that it no longer had.
"""

from storage_core.raft.ready import FOLLOWER, LEADER
from tests.storage_core.raft.cluster import Cluster


def test_a_drained_leader_that_hears_nobody_steps_down_and_lives() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    leader = cluster[1]
    cluster.cut |= {(1, 2), (1, 3), (2, 1), (3, 1)}
    leader.drain(True, cluster.now_us)
    assert leader.role == LEADER

    cluster.pass_time(5_000_000)

    assert leader.role == FOLLOWER
    assert leader.drained
