"""A process killed in the middle of its writes leaves a prefix of whole batches."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from storage_core.catalog import keys
from storage_core.catalog.machine import Catalog
from storage_core.index.rocks import RocksIndex
from tests.storage_core.catalog.driving import SEGMENT_BYTES, all_rows, recount

ROOT = Path(__file__).parents[3]

# A memtable is full after some 4,000 batches, so RocksDB flushes by itself as well as when told.
# Batch n writes n to row "applied" and to one of 64 rows, and a new row of its own.
BATCHES = """
import sys
from pathlib import Path
from storage_core.index.rocks import RocksIndex
index = RocksIndex(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    value = number.to_bytes(8, "big")
    index.write([
        (b"applied", value),
        (b"slot%02d" % (number % 64), value),
        (b"row" + value, bytes(8000)),
        (b"row" + (number - 1000).to_bytes(8, "big", signed=True), None),
    ])
    if number % 5000 == 0:
        index.flush()
    if number % 500 == 0:
        print(number, flush=True)
"""

COMMANDS = """
import sys
from pathlib import Path
from storage_core.index.rocks import RocksIndex
from tests.storage_core.catalog.workload import run
run(RocksIndex(Path(sys.argv[1])))
"""


def killed_after(script: str, directory: Path, lines: int) -> None:
    """Run the script until it has printed so many lines, then `kill -9`."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(lines):
            assert child.stdout.readline()
        child.kill()


@pytest.mark.parametrize("lines", [3, 17, 33])
def test_what_survives_a_kill_is_a_prefix_of_whole_batches(tmp_path: Path, lines: int) -> None:
    killed_after(BATCHES, tmp_path / "index", lines)

    index = RocksIndex(tmp_path / "index")
    raw = index.get(b"applied")
    applied = 0 if raw is None else int.from_bytes(raw, "big")
    slots = [int.from_bytes(value, "big") for _, value in index.scan(b"slot", b"slou", 100)]
    found = [int.from_bytes(key[3:], "big") for key, _ in index.scan(b"row", b"rox", 10_000)]
    index.close()

    assert applied >= lines * 500 // 5000 * 5000
    assert sorted(slots) == list(range(max(1, applied - 63), applied + 1))
    assert found == list(range(max(1, applied - 999), applied + 1))


def test_a_catalog_killed_without_a_flush_agrees_with_its_applied_point(tmp_path: Path) -> None:
    killed_after(COMMANDS, tmp_path / "index", 6)

    index = RocksIndex(tmp_path / "index")
    catalog = Catalog(index)
    applied = catalog.applied()
    rows = all_rows(index)
    live = recount(index)
    index.close()

    assert applied is not None
    newest = max(
        [struct.unpack_from("<Q", raw, 4)[0] for key, raw in rows.items() if key[:1] == keys.BLOB]
    )
    assert newest == applied.index
    assert catalog.segments() == live
    assert applied.position.offset <= SEGMENT_BYTES
