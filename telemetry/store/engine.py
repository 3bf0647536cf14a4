"""Opening the embedded engine, kept small.

chdb is ClickHouse as a library: by itself it takes a thread for every kind of work and nine
tenths of the memory. One process owns the folder (a second is refused even to read), so limits
are set once, here. Handles are not to be shared between threads; each thread opens its own and
they share the engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client

DATABASE: Final = "holdfast"
MEMORY_BYTES_MAX: Final = 900 * 1024 * 1024
"""Of which the library itself takes about 300 MB before the first row."""
QUERY_BYTES_MAX: Final = 300 * 1024 * 1024
QUERY_S_MAX: Final = 10
QUERY_THREADS: Final = 2
SCHEMA: Final = Path(__file__).with_name("schema.sql")

CONFIG: Final = f"""<clickhouse>
  <max_server_memory_usage>{MEMORY_BYTES_MAX}</max_server_memory_usage>
  <max_thread_pool_size>48</max_thread_pool_size>
  <max_io_thread_pool_size>8</max_io_thread_pool_size>
  <background_pool_size>1</background_pool_size>
  <background_schedule_pool_size>1</background_schedule_pool_size>
  <mark_cache_size>16777216</mark_cache_size>
  <index_mark_cache_size>8388608</index_mark_cache_size>
  <primary_index_cache_size>16777216</primary_index_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
</clickhouse>
"""


def open_engine(folder: Path) -> Client:
    """A handle for the calling thread."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder.parent / "engine.xml"
    config.write_text(CONFIG, encoding="ascii")
    client = clickhouse_connect.get_client(
        dsn=f"chdb://{folder}",
        chdb_options={"config-file": str(config)},
        settings={
            "max_threads": QUERY_THREADS,
            "max_memory_usage": QUERY_BYTES_MAX,
            "max_execution_time": QUERY_S_MAX,
        },
    )
    client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    client.command(f"USE {DATABASE}")
    return client


def create_tables(client: Client) -> None:
    """Make what is missing of the schema."""
    for statement in SCHEMA.read_text(encoding="utf-8").split(";\n"):
        client.command(statement)
