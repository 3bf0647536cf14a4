"""Segments are cleaned, forgotten and used again, and nothing that lives goes with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from storage_core.catalog.commands import DeleteContainer
from tests.storage_core.node.cores import ACCOUNT, CONTAINER
from tests.storage_core.node.loops import play, until
from tests.storage_core.node.parts import SEGMENT_BYTES, Part, Parts

BODY_BYTES = 90_000
ROUNDS_MAX = 30


def body(name: str, version: int) -> bytes:
    return hashlib.shake_128(f"{name}:{version}".encode()).digest(BODY_BYTES)


async def overwrite(part: Part, versions: dict[str, int], names: int, count: int) -> None:
    """`count` writes over few names, and every tenth to a name that is never touched again."""
    for number in range(count):
        old = number % 10 == 9
        name = f"old-{len(versions)}" if old else f"new-{number % names}"
        versions[name] = versions.get(name, 0) + 1
        await part.put(name, body(name, versions[name]))


async def check_all(part: Part, versions: dict[str, int]) -> None:
    for name, version in versions.items():
        assert await part.read(name) == body(name, version), name


def test_a_node_recycles_its_segments_and_recovers(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path, 1)
        parts.start(0)
        part = await parts.ready()
        versions: dict[str, int] = {}
        for _ in range(12):
            await overwrite(part, versions, names=5, count=30)
            for _ in range(6):
                await part.upkeep.step()

        written = 12 * 30 * BODY_BYTES // SEGMENT_BYTES
        live = part.opened.pool.live()
        assert live[0] >= 5, "what lived in the first segments was moved out of them"
        assert len(live) < written // 2
        assert part.opened.core.log.first_index > 200
        await check_all(part, versions)

        await overwrite(part, versions, names=5, count=20)
        await parts.crash(0)
        parts.start(0)
        await parts.settled()
        again = parts.leader
        await check_all(again, versions)
        assert again.opened.catalog.segments() == part.opened.catalog.segments()
        for _ in range(10):
            await overwrite(again, versions, names=5, count=10)
            await again.upkeep.step()
        await check_all(again, versions)
        await parts.crash(0)

    play(story)


def test_a_crash_between_any_two_steps_of_upkeep_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path, 1)
        parts.start(0)
        part = await parts.ready()
        versions: dict[str, int] = {}
        for steps in range(8):
            await overwrite(part, versions, names=3, count=25)
            for _ in range(steps):
                await part.upkeep.step()
            await parts.crash(0)
            parts.start(0)
            await parts.settled()
            part = parts.leader
            await check_all(part, versions)
        await parts.crash(0)

    play(story)


def test_nothing_goes_that_a_voter_lacks_and_replicas_stay_equal(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0, 1, 2)
        leader = await parts.ready()
        versions: dict[str, int] = {}
        absent = parts.followers[0].node
        await parts.crash(absent)
        held = leader.opened.core.log.first_index
        await overwrite(leader, versions, names=3, count=80)
        for _ in range(4):
            for part in parts.parts.values():
                await part.upkeep.step()
        assert leader.opened.core.log.first_index == held, "who is away may need it"
        assert leader.opened.pool.live()[0] == 0

        parts.start(absent)
        back = parts.parts[absent]
        await until(
            lambda: back.opened.core.applied_index == leader.opened.core.applied_index,
            "it caught up",
        )
        for _ in range(ROUNDS_MAX):
            await overwrite(leader, versions, names=3, count=20)
            for part in parts.parts.values():
                await part.upkeep.step()
            if all(part.opened.pool.live()[0] > 0 for part in parts.parts.values()):
                break
        else:
            raise AssertionError([part.opened.pool.live() for part in parts.parts.values()])
        assert leader.opened.core.log.first_index > held
        await check_all(back, versions)
        _compare_segments(parts)
        await parts.crash(0, 1, 2)

    play(story)


def _compare_segments(parts: Parts) -> None:
    """Closed segments that all have are equal byte for byte."""
    pools = [part.opened.pool for part in parts.parts.values()]
    common = set.intersection(*(set(pool.live()) for pool in pools))
    closed = [seq for seq in common if seq < max(common)]
    assert closed
    for segment_seq in closed:
        contents = {pool.read(segment_seq, 0, SEGMENT_BYTES) for pool in pools}
        assert len(contents) == 1, segment_seq


def test_a_damaged_body_does_not_keep_the_cleaner_from_other_segments(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path, 1)
        parts.start(0)
        part = await parts.ready()
        versions: dict[str, int] = {}
        await overwrite(part, versions, names=3, count=60)
        row = part.view.blob(ACCOUNT, CONTAINER, "old-3")
        assert row is not None
        (extent,) = row.extents
        file = tmp_path / "data" / "node-0" / "log" / f"{extent.segment_seq:016x}.seg"
        with file.open("r+b") as segment:
            segment.seek(extent.offset + 10)
            segment.write(b"rotten")

        for _ in range(12):
            await overwrite(part, versions, names=3, count=10)
            for _ in range(3):
                await part.upkeep.step()

        live = part.opened.pool.live()
        assert extent.segment_seq in live, "its segment stays, for a repair"
        assert sum(1 for seq in live if seq < extent.segment_seq + 6) <= 2, live
        await parts.crash(0)

    play(story)


def test_garbage_is_reaped_until_none_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path, 1)
        parts.start(0)
        part = await parts.ready()
        for number in range(40):
            await part.put(f"b{number}", body("b", number))
        assert sum(part.opened.catalog.segments().values()) == 40 * BODY_BYTES
        await part.submit(DeleteContainer(ACCOUNT, CONTAINER))

        for _ in range(10):
            await part.upkeep.step()

        assert part.opened.catalog.segments() == {}
        await parts.crash(0)

    play(story)
