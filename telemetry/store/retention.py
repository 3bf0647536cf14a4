"""Signals are dropped by the hour: when they are old, and earlier when they are too many.

A partition is one hour of one table, so dropping one costs a few milliseconds and gives the space
back at once. Profiles are few and dear; they have days of their own and no share in the size
limit.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from telemetry.store.engine import DATABASE

PROFILE_DAYS: Final = 30
HOURLY: Final = ("spans", "metrics", "logs")

log = logging.getLogger(__name__)


class Partition(NamedTuple):
    """One hour (or day) of one table."""

    table: str
    partition_id: str
    newest_s: int
    size_bytes: int


class Retention:
    """Decides by age and size, and drops."""

    def __init__(self, *, keep_hours: int, keep_bytes: int) -> None:
        self._keep_hours = keep_hours
        self._keep_bytes = keep_bytes

    def run(self, client: Client, *, now_s: float) -> list[Partition]:
        """Drop what is due; returns what was dropped."""
        doomed = choose(
            partitions(client),
            now_s=now_s,
            keep_hours=self._keep_hours,
            keep_bytes=self._keep_bytes,
        )
        for partition in doomed:
            client.command(
                f"ALTER TABLE {DATABASE}.{partition.table} "
                f"DROP PARTITION ID '{partition.partition_id}'"
            )
            log.info(
                "old signals deleted",
                extra={"table": partition.table, "size_bytes": partition.size_bytes},
            )
        return doomed


def partitions(client: Client) -> list[Partition]:
    """Every partition there is, with the time of its newest row."""
    found = client.query(
        "SELECT table, partition_id, toUInt32(max(max_time)), sum(bytes_on_disk) "
        f"FROM system.parts WHERE database = '{DATABASE}' AND active GROUP BY 1, 2"
    )
    return [Partition(*row) for row in found.result_rows]


def choose(
    found: list[Partition], *, now_s: float, keep_hours: int, keep_bytes: int
) -> list[Partition]:
    """Partitions past their age, then the oldest ones until the rest fits."""
    doomed: list[Partition] = []
    kept: list[Partition] = []
    for partition in sorted(found, key=lambda each: (each.newest_s, each.table)):
        hours = keep_hours if partition.table in HOURLY else PROFILE_DAYS * 24
        is_old = partition.newest_s < now_s - hours * 3600
        (doomed if is_old else kept).append(partition)
    hourly = [each for each in kept if each.table in HOURLY]
    size_bytes = sum(each.size_bytes for each in hourly)
    for partition in hourly:
        # The hour being written stays: without it nobody could see what fills the disk.
        if size_bytes <= keep_bytes or partition.newest_s > now_s - 3600:
            break
        doomed.append(partition)
        size_bytes -= partition.size_bytes
    return doomed
