"""How long writes stand still when the leader is killed.

A client writes through a follower without a pause; the leader gets `kill -9`. The gap is the
longest time between two acknowledged writes around it. The killed node is started again.
"""

from __future__ import annotations

import threading
import time

from bench import signed
from bench.client import RawClient
from bench.cluster import Cluster

CONTAINER = "failover"
BEFORE_S = 1.0
AFTER_S = 2.5


def measure(cluster: Cluster) -> float:
    """The gap in milliseconds."""
    leader = cluster.wait_ready()
    follower = (leader + 1) % len(cluster.nodes)
    client = RawClient(cluster.settings.own_port(follower))
    client.send(signed.create_container(CONTAINER))
    killer = threading.Timer(BEFORE_S, cluster.kill, args=(leader,))
    killer.start()
    give_up_s = time.monotonic() + BEFORE_S + AFTER_S
    last_s = time.monotonic()
    gap_s = 0.0
    count = 0
    while last_s < give_up_s:
        answer = client.send(signed.put_blob(CONTAINER, f"{leader}-{count}", b"x" * 1024))
        now_s = time.monotonic()
        if answer.status != 201:
            raise RuntimeError(f"a write was refused: {answer}")
        gap_s = max(gap_s, now_s - last_s)
        last_s = now_s
        count += 1
    killer.join()
    client.close()
    cluster.start(leader)
    cluster.wait_ready()
    return gap_s * 1000
