"""The rule of the front door without a socket, and how real sockets are brought in line with it."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.fleet.front_door import LEAVE_S_MAX, FrontDoor, NodeView, choose_open

FOLLOWER = NodeView(is_alive=True, is_beating=True, is_serving=True, is_leader=False)
LEADER = FOLLOWER._replace(is_leader=True)
LOST = FOLLOWER._replace(is_serving=False)
"""It beats, and knows no leader for the moment."""
SILENT = LOST._replace(is_beating=False)
STOPPED = FOLLOWER._replace(is_alive=False)

ALL = frozenset({0, 1, 2})
VIEWS = st.builds(NodeView, *[st.booleans()] * len(NodeView._fields))


def test_followers_take_connections_and_the_leader_does_not() -> None:
    assert choose_open({0: LEADER, 1: FOLLOWER, 2: FOLLOWER}, ALL) == {1, 2}


def test_a_silent_node_takes_none_while_another_follower_serves() -> None:
    assert choose_open({0: LEADER, 1: SILENT, 2: FOLLOWER}, ALL) == {2}


def test_the_leader_takes_connections_when_it_alone_serves() -> None:
    assert choose_open({0: LEADER, 1: SILENT, 2: STOPPED}, ALL) == {0}


def test_while_nobody_serves_living_processes_take_connections() -> None:
    assert choose_open({0: SILENT, 1: STOPPED, 2: SILENT}, ALL) == {0, 2}


def test_while_nobody_lives_what_is_open_stays_open() -> None:
    assert choose_open({0: STOPPED, 1: STOPPED}, frozenset({1})) == {1}


@given(
    st.dictionaries(st.integers(0, 4), VIEWS, min_size=1),
    st.frozensets(st.integers(0, 4)),
)
def test_somebody_always_listens_and_never_a_dead_node_beside_a_living_one(
    nodes: dict[int, NodeView], open_before: frozenset[int]
) -> None:
    chosen = choose_open(nodes, open_before & frozenset(nodes))

    assert chosen
    assert chosen <= frozenset(nodes)
    if any(node.is_alive for node in nodes.values()):
        assert all(nodes[number].is_alive for number in chosen)
    if any(node.is_alive and node.is_serving and not node.is_leader for node in nodes.values()):
        assert not any(nodes[number].is_leader for number in chosen)


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    door = FrontDoor(port)
    for node in ALL:
        door.make(node)
    yield door
    door.close()


def connect(door: FrontDoor, count: int) -> list[socket.socket]:
    """Clients whom the kernel has connected, and whom no node has taken in."""
    return [socket.create_connection(("127.0.0.1", door.port), timeout=5) for _ in range(count)]


def reset_count(clients: list[socket.socket]) -> int:
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            count += 1
    return count


def test_a_new_leader_is_left_time_to_take_in_who_is_connected(door: FrontDoor) -> None:
    clients = connect(door, 60)
    nodes = {0: LEADER, 1: FOLLOWER, 2: FOLLOWER}

    assert door.apply(nodes, now_s=10.0) == (frozenset(), frozenset())
    assert door.apply(nodes, now_s=9.99 + LEAVE_S_MAX) == (frozenset(), frozenset())
    assert reset_count(clients) == 0

    assert door.apply(nodes, now_s=10.0 + LEAVE_S_MAX) == (frozenset(), frozenset({0}))
    assert 0 < reset_count(clients) < 60
    for client in clients:
        client.close()


def test_a_leader_that_follows_again_in_time_is_asked_afresh_the_next_time(door: FrontDoor) -> None:
    leads, follows = {0: LEADER, 1: FOLLOWER, 2: FOLLOWER}, dict.fromkeys(ALL, FOLLOWER)
    door.apply(leads, now_s=10.0)
    door.apply(follows, now_s=10.5)

    assert door.apply(leads, now_s=11.2) == (frozenset(), frozenset())
    assert door.open_nodes() == ALL


def test_a_follower_without_a_leader_stays_while_the_lead_moves(door: FrontDoor) -> None:
    door.apply({0: LEADER, 1: FOLLOWER, 2: FOLLOWER}, now_s=10.0)
    door.apply({0: LEADER, 1: LOST, 2: LEADER}, now_s=10.1)
    assert 1 in door.open_nodes()

    for now_s in (10.2, 10.2 + LEAVE_S_MAX):
        door.apply({0: FOLLOWER, 1: LOST, 2: LEADER}, now_s=now_s)
    assert door.open_nodes() == {0}


@pytest.mark.parametrize("gone", [SILENT, STOPPED])
def test_a_node_that_can_not_leave_by_itself_is_shut_at_once(
    door: FrontDoor, gone: NodeView
) -> None:
    assert door.apply({0: gone, 1: FOLLOWER, 2: FOLLOWER}, now_s=10.0) == (
        frozenset(),
        frozenset({0}),
    )
    assert door.open_nodes() == {1, 2}
