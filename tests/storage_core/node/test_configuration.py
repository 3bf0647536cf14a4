"""Settings in force: shown from who obeys, changed within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_core.configuration import SETTINGS
from storage_core.errors import OrderRefused
from tests.storage_core.node.keepers import KeptNodes, play_kept


def test_a_change_is_obeyed_and_shown(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        part, front_end = nodes.parts.parts[1], nodes.kept[1].front_end
        client = nodes.client

        for name, value in (
            ("batch_records", 1),
            ("writes_in_flight", 1),
            ("cache_bytes", 1 << 20),
            ("unreplicated_bytes", 1 << 16),
            ("request_wait_ms", 50),
        ):
            await nodes.ask(client.configure, 1, name, value)
            assert (await nodes.ask(client.configuration, 1))[name] == value

        assert part.opened.core.limits.batch_records == 1
        assert part.opened.core.limits.writes_in_flight == 1
        assert part.cache.bytes_max == 1 << 20
        assert front_end.budget.bytes_max == 1 << 16
        assert front_end.request_us == 50_000
        assert (await nodes.ask(client.configuration, 0))["batch_records"] == 64
        await nodes.leader.put("still", b"works")

    play_kept(tmp_path, story)


def test_what_is_unknown_or_out_of_bounds_changes_nothing(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        client = nodes.client
        before = await nodes.ask(client.configuration, 0)
        assert set(before) == set(SETTINGS)
        for name, value, words in (
            ("batch_record", 1, "name: must be one of batch_records, "),
            ("batch_records", 0, "value: must be a whole number from 1 to 256"),
            ("cache_bytes", -1, "value: must be"),
        ):
            with pytest.raises(OrderRefused, match=words):
                await nodes.ask(client.configure, 0, name, value)

        assert await nodes.ask(client.configuration, 0) == before

    play_kept(tmp_path, story)
