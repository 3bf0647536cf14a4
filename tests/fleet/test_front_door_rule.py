"""The rule of the front door, without a socket."""

from hypothesis import given
from hypothesis import strategies as st

from storage_core.fleet.front_door import NodeView, choose_open

FOLLOWER = NodeView(is_alive=True, is_serving=True, is_leader=False)
LEADER = NodeView(is_alive=True, is_serving=True, is_leader=True)
SILENT = NodeView(is_alive=True, is_serving=False, is_leader=False)
STOPPED = NodeView(is_alive=False, is_serving=True, is_leader=False)

ALL = frozenset({0, 1, 2})
VIEWS = st.builds(NodeView, st.booleans(), st.booleans(), st.booleans())


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
