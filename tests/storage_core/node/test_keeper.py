"""Orders over real admin ports: obeyed, refused when stale or late, and remembered."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from storage_core.client import Fence, Operation
from storage_core.errors import FenceRefused, NodeUnreachable, OperationRefused, OrderRefused
from tests.storage_core.node.keepers import KeptNodes, play_kept
from tests.storage_core.node.loops import until


async def refused(nodes: KeptNodes, kind: type[Exception], call: Any, *values: Any, **named: Any):  # type: ignore[no-untyped-def]
    with pytest.raises(kind) as caught:
        await nodes.ask(call, *values, **named)
    return caught.value


def test_a_transfer_moves_the_lead_while_its_fence_holds(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        leader, term = nodes.leader.node, nodes.leader.engine.core.replica.term
        to = (leader + 1) % 3
        fence = Fence(leader, term)

        await nodes.ask(nodes.client.transfer, to, fence=fence)

        await until(lambda: nodes.parts.parts[to].leads, "the other leads")
        await nodes.parts.settled()
        error = await refused(nodes, FenceRefused, nodes.client.transfer, to, fence=fence)
        assert error.current_leader == to
        assert error.current_term == nodes.leader.engine.core.replica.term > term

    play_kept(tmp_path, story)


def test_a_late_attempt_of_a_step_is_refused_even_after_a_restart(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        client = nodes.client
        node = nodes.parts.followers[0].node
        await nodes.ask(client.drain, node, True, operation=Operation(7, "drain", 1))
        assert await nodes.ask(client.raise_fence, node, 7, "drain", 2), "it was done"
        assert not await nodes.ask(client.raise_fence, node, 7, "undrain", 2), "it was not"

        late = Operation(7, "drain", 1)
        await refused(nodes, OperationRefused, client.drain, node, False, operation=late)
        await nodes.crash(node)
        await nodes.start(node)
        await nodes.parts.settled()

        await refused(nodes, OperationRefused, client.drain, node, False, operation=late)
        assert (await nodes.ask(client.status, node)).drained, "a restart doesn't undrain"
        await nodes.ask(client.drain, node, False, operation=Operation(7, "drain", 3))
        assert not (await nodes.ask(client.status, node)).drained

    play_kept(tmp_path, story)


def test_a_drained_leader_hands_over_and_its_status_says_so(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        former = nodes.leader.node

        await nodes.ask(nodes.client.drain, former, True)

        await until(lambda: not nodes.parts.parts[former].leads, "it handed over")
        await nodes.parts.settled()
        status = await nodes.ask(nodes.client.status, former)
        assert (status.role, status.drained) == ("follower", True)

    play_kept(tmp_path, story)


def test_the_last_node_that_could_lead_is_not_drained(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        leader = nodes.leader.node
        for part in nodes.parts.followers:
            await nodes.ask(nodes.client.drain, part.node, True)

        error = await refused(nodes, OrderRefused, nodes.client.drain, leader, True)

        assert "no node that answers could lead" in str(error)
        assert not (await nodes.ask(nodes.client.status, leader)).drained

    play_kept(tmp_path, story)


def test_a_transfer_to_a_node_that_is_away_is_refused(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        away = nodes.parts.followers[0].node
        leader = nodes.leader
        await nodes.crash(away)
        await until(lambda: not leader.peers.is_connected(away), "the leader sees it")

        error = await refused(nodes, OrderRefused, nodes.client.transfer, away)

        assert f"node-{away} is not connected" in str(error)

    play_kept(tmp_path, story)


def test_an_account_is_made_once_and_listed_without_its_key(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        client = nodes.client

        key = await nodes.ask(client.add_account, "tenant2")

        row = nodes.leader.view.account("tenant2")
        assert row is not None
        assert row.keys == (base64.b64decode(key),)
        error = await refused(nodes, OrderRefused, client.add_account, "tenant2")
        assert "AccountAlreadyExists" in str(error)
        for bad in ("Tenant", "ab", "a" * 25, "a b"):
            error = await refused(nodes, OrderRefused, client.add_account, bad)
            assert "name: must be 3 to 24 lower-case letters and digits" in str(error)
        listed = await nodes.ask(client.accounts)
        assert [account.name for account in listed] == ["team", "tenant2"]

    play_kept(tmp_path, story)


def test_orders_that_cannot_be_meant_name_their_field(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        port = nodes.client._port
        for path, body, words in (
            ("/transfer", {"to": 9}, "to: must be the number of another node"),
            ("/drain", {"on": 1}, "on: must be true or false"),
            ("/fence", {"run": 1, "step": "a", "attempt": 0}, "attempt: must be"),
        ):
            error = await refused(nodes, OrderRefused, port.call, 0, "POST", path, body, 2.0)
            assert words in str(error)

    play_kept(tmp_path, story)


def test_a_node_that_is_away_is_unreachable_not_refusing(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        away = nodes.parts.followers[0].node
        await nodes.crash(away)

        await refused(nodes, NodeUnreachable, nodes.client.faults, away)

    play_kept(tmp_path, story)


def test_a_limit_holds_on_all_nodes_and_over_restarts(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        client = nodes.client

        await nodes.ask(client.throttle, "team", ops_per_s=2.5, operation=Operation(7, "limit", 2))

        catalogs = [part.opened.catalog for part in nodes.parts.parts.values()]
        await until(lambda: all(each.limits == {"team": 2500} for each in catalogs), "applied")
        (account,) = await nodes.ask(client.accounts)
        assert account.ops_per_s == 2.5
        late = Operation(7, "limit", 1)
        await refused(
            nodes, OperationRefused, client.throttle, "team", ops_per_s=None, operation=late
        )
        node = nodes.parts.followers[0].node
        await nodes.crash(node)
        await nodes.start(node)
        await nodes.parts.settled()
        assert nodes.parts.parts[node].opened.catalog.limits == {"team": 2500}

        await nodes.ask(client.throttle, "team", ops_per_s=None)
        (account,) = await nodes.ask(client.accounts)
        assert account.ops_per_s is None
        for name, value, words in (
            ("stranger", 1.0, "ResourceNotFound: stranger"),
            ("team", 0, "ops_per_s: must be a number from 0.001 to 1e.06"),
            ("team", "many", "ops_per_s: must be"),
        ):
            with pytest.raises(OrderRefused, match=words):
                await nodes.ask(client.throttle, name, ops_per_s=value)

    play_kept(tmp_path, story)
