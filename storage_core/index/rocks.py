"""The index on disk: RocksDB as a sorted file of rows, with its write-ahead log switched off.

The Raft log is the write-ahead log. What RocksDB has flushed is a prefix of the batches written,
because there is **one** column family: its memtables are flushed in the order they were filled,
and a batch is never split over two. (With several families a flush of one keeps the applied point
and loses the rows of another; tried, and not to be tried again.)

Memory is bounded: one block cache, which also holds index and filter blocks, and at most three
memtables. Any error of RocksDB is fatal to the node: it can't be known what was kept.

Read next: `memory`, the twin that forgets everything not flushed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from storage_core.errors import FatalDisk
from storage_core.index.port import Row

MIB = 1024 * 1024

BLOCK_CACHE_BYTES = 64 * MIB
MEMTABLE_BYTES = 32 * MIB
MEMTABLE_COUNT_MAX = 3
# Small blocks, since most reads are of one row.
BLOCK_BYTES = 8 * 1024
FILTER_BITS_PER_KEY = 10
OPEN_FILES_MAX = 256
BACKGROUND_JOBS_MAX = 2
# RocksDB's own diary: a few small files, not a growing one.
DIARY_FILES_MAX = 2
DIARY_BYTES = 4 * MIB
# Smooth the writing out of tables, so that a flush does not hold up the log's fdatasync.
SYNC_BYTES = 1 * MIB


@contextmanager
def _fatal(what: str) -> Iterator[None]:
    # rocksdict raises plain Exception for whatever RocksDB reports.
    try:
        yield
    except Exception as error:
        raise FatalDisk(f"index: {what}: {error}") from error


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(MEMTABLE_COUNT_MAX)
    options.set_max_open_files(OPEN_FILES_MAX)
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(DIARY_FILES_MAX)
    options.set_max_log_file_size(DIARY_BYTES)
    options.set_bytes_per_sync(SYNC_BYTES)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    table.set_block_size(BLOCK_BYTES)
    table.set_cache_index_and_filter_blocks(True)
    table.set_bloom_filter(FILTER_BITS_PER_KEY, False)
    options.set_block_based_table_factory(table)
    return options


class RocksIndex:
    """Implements `IndexPort` in a directory of its own. `flush` may run on another thread."""

    def __init__(self, directory: Path) -> None:
        with _fatal("open"):
            self._database = Rdict(str(directory), _options())
        self._get = self._database.get
        self._unlogged = WriteOptions()
        # The stub calls it a method; it is an attribute.
        self._unlogged.disable_wal = True  # type: ignore[method-assign, assignment]

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._get(key)
        except Exception as error:  # as in _fatal, without its cost on every read
            raise FatalDisk(f"index: get: {error}") from error
        return value

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if start >= stop:
            return []
        with _fatal("scan"):
            options = ReadOptions()
            options.set_iterate_upper_bound(stop)
            items = self._database.items(from_key=start, read_opt=options)
            return list(islice(cast("Iterator[tuple[bytes, bytes]]", items), limit))

    def write(self, rows: Sequence[Row]) -> None:
        with _fatal("write"):
            batch = WriteBatch(raw_mode=True)
            for key, value in rows:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            self._database.write(batch, self._unlogged)

    def flush(self) -> None:
        with _fatal("flush"):
            self._database.flush(True)

    def close(self) -> None:
        with _fatal("close"):
            self._database.close()
