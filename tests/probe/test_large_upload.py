"""A large upload that meets the death of a node ends whole, or was never there."""

from __future__ import annotations

import hashlib
import socket

import pytest

from bench import signed
from bench.client import RawClient, send_once
from bench.cluster import NODE_COUNT, Cluster

CONTAINER = "large"
SIZE_BYTES = 12 * 1024 * 1024
FIRST_BYTES = 5 * 1024 * 1024
PIECE_BYTES = 256 * 1024


def content(name: str) -> bytes:
    return hashlib.shake_128(name.encode()).digest(SIZE_BYTES)


def upload(cluster: Cluster, name: str, *, through: int, victim: int) -> int:
    """Status of the answer, or 0 if there was none. The victim dies between two chunks."""
    request = signed.put_blob(CONTAINER, name, content(name))
    killed = False
    with socket.create_connection(
        ("127.0.0.1", cluster.settings.own_port(through)), timeout=30
    ) as sock:
        try:
            for at in range(0, len(request), PIECE_BYTES):
                if at > FIRST_BYTES and not killed:
                    killed = True
                    cluster.kill(victim)
                sock.sendall(request[at : at + PIECE_BYTES])
            with sock.makefile("rb") as answer:
                line = answer.readline()
            return int(line.split()[1]) if line else 0
        except OSError:
            return 0
        finally:
            cluster.start(victim)
            cluster.wait_ready()


def found_everywhere(cluster: Cluster, name: str) -> set[str]:
    """What a read from each node finds: whole, absent, or something that must not be."""
    found = set()
    for node in range(NODE_COUNT):
        with RawClient(cluster.settings.own_port(node), timeout_s=30) as client:
            answer = client.send(signed.get_blob(CONTAINER, name))
        if answer.status == 404:
            found.add("absent")
        elif answer.status == 200 and answer.body == content(name):
            found.add("whole")
        else:
            found.add(f"node {node}: {answer.status}, {len(answer.body)} bytes")
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim_role", ["leader", "follower", "the node that takes it"])
def test_an_upload_is_whole_or_absent_after_a_kill_between_its_chunks(
    cluster: Cluster, victim_role: str
) -> None:
    leader = cluster.wait_ready()
    through, third = (leader + 1) % NODE_COUNT, (leader + 2) % NODE_COUNT
    victim = {"leader": leader, "follower": third}.get(victim_role, through)
    send_once(cluster.settings.own_port(through), signed.create_container(CONTAINER))
    name = victim_role.replace(" ", "-")

    status = upload(cluster, name, through=through, victim=victim)

    found = found_everywhere(cluster, name)
    if victim == through:
        assert status == 0
        assert found in ({"absent"}, {"whole"})
    else:
        assert status == 201, "the client is not bothered with the death of another node"
        assert found == {"whole"}
