"""A submission finds the leader wherever it is, takes effect once, and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from storage_core.catalog.commands import CreateAccount, CreateContainer
from storage_core.catalog.view import CatalogView
from storage_core.core import LIMITS, Limits
from storage_core.errors import Overloaded, Unavailable
from storage_core.pending import PARKED_COUNT_MAX, PARKED_US_MAX
from tests.storage_core.node.cores import ACCOUNT, CONTAINER, Cores, put
from tests.storage_core.node.desks import Desks

Story = Callable[[Desks], Awaitable[None]]


def play(story: Story, *, leader: bool = True) -> None:
    async def run() -> None:
        cores = Cores()
        desks = Desks(cores)
        if leader:
            cores.elect()
            await desks.settle()
            for command in (CreateAccount(ACCOUNT, (b"k",)), CreateContainer(ACCOUNT, CONTAINER)):
                made = desks.submit(0, command)
                await desks.settle()
                assert made.outcome.code == ""
        await story(desks)

    asyncio.run(run())


def names(desks: Desks, node: int = 0) -> set[str]:
    view = CatalogView(desks.cores.nodes[node].index)
    page = view.list_blobs(ACCOUNT, CONTAINER, prefix="", delimiter="", marker="", limit=100)
    return {item.name for item in page.items}


def lose_leader(desks: Desks, leader: int) -> None:
    """Nothing of the leader gets through any more."""
    desks.cores.drop = lambda sender, outgoing: leader in (sender, outgoing.to)


def test_a_submission_is_settled_by_the_leader_itself() -> None:
    async def story(desks: Desks) -> None:
        client = desks.submit(0, put("a"))
        await desks.settle()

        assert client.outcome.code == ""

    play(story)


def test_a_waiter_that_fails_leaves_the_others_of_its_batch_alone() -> None:
    async def story(desks: Desks) -> None:
        errors: list[BaseException | None] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: errors.append(context.get("exception"))
        )
        before, failing, after = (desks.submit(0, put(name)) for name in "abc")
        failing.told = None  # type: ignore[assignment]  # whatever it is told, it fails
        await desks.settle()

        assert before.outcome.code == after.outcome.code == ""
        assert [type(error) for error in errors] == [AttributeError]

    play(story)


def test_a_follower_forwards_and_hears_the_same_outcome() -> None:
    async def story(desks: Desks) -> None:
        client = desks.submit(1, put("a", b"body"), body=b"body")
        await desks.settle()

        assert client.outcome.code == ""
        assert client.outcome.etag
        refused = desks.submit(2, CreateContainer(ACCOUNT, CONTAINER))
        await desks.settle()
        assert refused.outcome.code == "ContainerAlreadyExists"

    play(story)


def test_what_comes_before_any_election_is_parked_and_then_done() -> None:
    async def story(desks: Desks) -> None:
        clients = [desks.submit(node, CreateAccount(f"a{node}", (b"k",))) for node in range(3)]
        await desks.settle()
        assert [desk.pending.parked_count for desk in desks.desks] == [1, 1, 1]

        await desks.pass_time(2_000_000)

        assert [client.outcome.code for client in clients] == ["", "", ""]

    play(story, leader=False)


def test_a_leader_change_is_hidden_and_nothing_happens_twice() -> None:
    async def story(desks: Desks) -> None:
        unique = CreateContainer(ACCOUNT, "once")
        desks.cores.holds = {1, 2}
        client = desks.submit(0, unique)
        forwarded = desks.submit(1, put("b"))
        desks.cores.settle()
        lose_leader(desks, 0)
        desks.cores.holds = set()

        await desks.pass_time(3_000_000)

        assert forwarded.outcome.code == ""
        desks.cores.drop = lambda sender, outgoing: False
        await desks.pass_time(1_500_000)
        assert client.outcome.code == "", "a second attempt gets the first outcome"
        ops = [op for desk in desks.desks for op in desk.proposed]
        assert len(ops) > len(set(ops)), "it was proposed twice"

    play(story)


def test_a_broken_bulk_connection_leads_to_a_second_attempt() -> None:
    async def story(desks: Desks) -> None:
        client = desks.submit(1, CreateContainer(ACCOUNT, "once"))
        while desks.wire:
            desks.deliver(*desks.wire.popleft())
        desks.cores.settle()
        desks.tell_routers()
        desks.cut(0, 1)
        assert client.told == []

        desks.join(0, 1)
        await desks.pass_time(100_000)

        assert client.outcome.code == ""

    play(story)


def test_nobody_waits_longer_than_parking_lasts_and_none_means_none() -> None:
    async def story(desks: Desks) -> None:
        lose_leader(desks, 0)
        desks.cores.drop = lambda sender, outgoing: True
        await desks.pass_time(2_000_000)
        client = desks.submit(1, put("never"))

        await desks.pass_time(PARKED_US_MAX - 200_000)
        assert client.told == []
        await desks.pass_time(400_000)

        assert isinstance(client.error, Unavailable)
        assert client.error.outcome == "none"
        desks.cores.drop = lambda sender, outgoing: False
        await desks.pass_time(2_000_000)
        assert "never" not in names(desks)

    play(story)


def test_a_deadline_ends_what_no_quorum_answers_as_unknown() -> None:
    async def story(desks: Desks) -> None:
        desks.cores.drop = lambda sender, outgoing: True
        local = desks.submit(0, put("a"), deadline_us=200_000)
        forwarded = desks.submit(1, put("b"), deadline_us=200_000)

        await desks.pass_time(400_000)

        for client in (local, forwarded):
            assert isinstance(client.error, Unavailable)
            assert client.error.outcome == "unknown"
        desks.cores.drop = lambda sender, outgoing: False
        await desks.pass_time(2_000_000)
        assert len(local.told) == len(forwarded.told) == 1

    play(story)


def test_what_was_given_up_is_not_proposed_again() -> None:
    async def story(desks: Desks) -> None:
        desks.cores.drop = lambda sender, outgoing: True
        desks.submit(0, put("a"), deadline_us=200_000)
        await desks.pass_time(3_000_000)
        before = [len(desk.proposed) for desk in desks.desks]

        desks.cores.drop = lambda sender, outgoing: False
        await desks.pass_time(3_000_000)

        assert [len(desk.proposed) for desk in desks.desks] == before

    play(story)


def test_a_node_that_slept_does_not_send_an_old_operation_again() -> None:
    async def story(desks: Desks) -> None:
        client = desks.submit(1, put("a"))
        slept_us = desks.cores.now_us + 6_000_000
        desks.wire.clear()

        desks.desks[1].pending.disconnected(0, slept_us)
        desks.desks[1].pending.leader_changed(slept_us)
        await asyncio.sleep(0)

        assert isinstance(client.error, Unavailable)
        assert client.error.outcome == "unknown"
        assert not desks.wire

    play(story)


def test_a_full_queue_is_told_at_once_to_a_first_attempt_only() -> None:
    async def story(desks: Desks) -> None:
        desks.cores.nodes[0].core.limits = Limits(queue_records=4, uncommitted_bytes=0)
        waiting = [desks.submit(0, put(f"a{number}")) for number in range(4)]
        refused = desks.submit(0, put("one more"))
        forwarded = desks.submit(1, put("two more"))
        await desks.settle()

        assert isinstance(refused.error, Overloaded)
        assert isinstance(forwarded.error, Overloaded)
        desks.cores.nodes[0].core.limits = LIMITS
        await desks.settle()
        assert [client.outcome.code for client in waiting] == [""] * 4

    play(story)


def test_overload_says_nothing_of_an_attempt_before() -> None:
    async def story(desks: Desks) -> None:
        client = desks.submit(1, put("a"))
        desks.wire.clear()
        desks.desks[1].pending.disconnected(0, desks.cores.now_us)
        desks.cores.nodes[0].core.limits = Limits(queue_records=0)

        await desks.pass_time(1_000_000)
        assert client.told == [], "it goes on trying"
        desks.cores.nodes[0].core.limits = LIMITS
        await desks.pass_time(100_000)

        assert client.outcome.code == ""

    play(story)


def test_parking_is_bounded() -> None:
    async def story(desks: Desks) -> None:
        clients = [desks.submit(0, put("a")) for _ in range(PARKED_COUNT_MAX + 1)]
        await asyncio.sleep(0)

        assert isinstance(clients[-1].error, Unavailable)
        assert desks.desks[0].pending.parked_count == PARKED_COUNT_MAX
        await desks.pass_time(50_000)
        assert sum(len(client.told) for client in clients) == 1

    play(story, leader=False)


def test_a_node_that_leads_no_more_says_so_to_its_origin() -> None:
    async def story(desks: Desks) -> None:
        desks.cores.nodes[0].core.replica.transfer(2, desks.cores.now_us)
        client = desks.submit(1, put("a"))

        await desks.settle()
        await desks.pass_time(500_000)

        assert client.outcome.code == ""
        assert desks.cores.leader.number == 2

    play(story)
