"""Moves sealed spool files into the store, one thread, one file at a time.

A file is decoded and inserted under its own name as deduplication token, then deleted. Killed
anywhere between, the next start inserts it again and the engine drops the repeat. A file that
can't be stored is tried again while the engine is at fault; one that is itself damaged is set
aside under another name and counted, so that it can't stop the ones behind it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.receiver import decode, spool
from telemetry.receiver.decode import Rows, Window
from telemetry.receiver.spool import Sealed, Spool, SpoolDamage
from telemetry.store.engine import create_tables, open_engine
from telemetry.store.retention import Retention

POLL_S: Final = 0.1
RETRY_S: Final = 1.0
RETRIES_MAX: Final = 30
"""Tries before a file counts as poison: half a minute of a faulty engine."""
FUTURE_S_MAX: Final = 600
"""Senders' clocks may be ahead by this much."""
INSERT_ROWS: Final = 4096
"""Building an insert holds Python's lock: a small one lets the receiver answer meanwhile."""
RETENTION_EVERY_S: Final = 60.0

log = logging.getLogger(__name__)

Job = Callable[[Client], object]


class Writer:
    """Owns the engine's writing handle. `call` runs a small job between two files."""

    def __init__(self, *, folder: Path, spool_: Spool, keep_hours: int, keep_bytes: int) -> None:
        self._folder = folder
        self._spool = spool_
        self._keep_hours = keep_hours
        self._retention = Retention(keep_hours=keep_hours, keep_bytes=keep_bytes)
        self._jobs: SimpleQueue[tuple[Job, Future[Any]]] = SimpleQueue()
        self._stopping = threading.Event()
        self._retries_count = 0
        self.rows: dict[str, int] = {"spans": 0, "metrics": 0, "logs": 0}
        self.dropped: dict[str, int] = {}
        self.open: Future[bool] = Future()
        """Done once the engine answers queries."""
        self.caught_up: Future[bool] = Future()
        """Done once what an earlier process left in the spool is stored as well; cancelled where
        the engine doesn't open."""
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)

    def start(self) -> None:
        """Open the engine and begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Store what is sealed, close the engine."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def call(self, job: Job) -> Future[Any]:
        """Run `job` on the writing handle."""
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        try:
            client = open_engine(self._folder)
            create_tables(client)
        except Exception as error:
            log.exception("the telemetry store does not open")
            self.open.set_exception(error)
            self.caught_up.cancel()
            return
        self.open.set_result(True)
        left_count = self._spool.found_count
        retention_due_s = time.monotonic()
        while not self._stopping.is_set():
            busy = self._run_job(client)
            sealed = self._spool.take()
            if left_count <= 0 and not self.caught_up.done():
                self.caught_up.set_result(True)
            if sealed is not None:
                left_count -= self._store(client, sealed)
            elif not busy and time.monotonic() >= retention_due_s:
                retention_due_s = time.monotonic() + RETENTION_EVERY_S
                self._retain(client)
        self._spool.close()
        while (sealed := self._spool.take()) is not None:
            if not self._store(client, sealed):
                break
        client.close()

    def _run_job(self, client: Client) -> bool:
        try:
            job, future = self._jobs.get(timeout=POLL_S)
        except Empty:
            return False
        try:
            future.set_result(job(client))
        except Exception as error:  # It belongs to whoever asked.
            future.set_exception(error)
        return True

    def _retain(self, client: Client) -> None:
        try:
            self._retention.run(client, now_s=time.time())
        except ClickHouseError:
            log.exception("old signals could not be deleted")

    def _store(self, client: Client, sealed: Sealed) -> bool:
        try:
            self._insert_all(client, sealed)
        except (SpoolDamage, DecodeError) as error:
            self._set_aside(sealed, str(error))
        except ClickHouseError as error:
            self._retries_count += 1
            if self._retries_count <= RETRIES_MAX:
                log.warning("spool file not stored yet", extra={"error": str(error)[:500]})
                self._spool.put_back(sealed)
                self._stopping.wait(RETRY_S)
                return False
            self._set_aside(sealed, str(error))
        else:
            self._spool.stored(sealed)
        self._retries_count = 0
        return True

    def _set_aside(self, sealed: Sealed, reason: str) -> None:
        log.error("spool file set aside", extra={"file": sealed.path.name, "error": reason[:500]})
        self._count("damaged_file", 1)
        sealed.path.rename(sealed.path.with_suffix(".damaged"))
        self._spool.stored(sealed)

    def _count(self, what: str, count: int) -> None:
        self.dropped[what] = self.dropped.get(what, 0) + count

    def _insert_all(self, client: Client, sealed: Sealed) -> None:
        batches = {
            "spans": _Batch(decode.SPAN_COLUMNS),
            "metrics": _Batch(decode.METRIC_COLUMNS),
            "logs": _Batch(decode.LOG_COLUMNS),
        }
        window = window_of(sealed.path, self._keep_hours)
        for record in spool.read(sealed.path.read_bytes()):
            if record.signal == spool.TRACES:
                traces = ExportTraceServiceRequest.FromString(record.body)
                decode.spans(traces, batches["spans"].rows, window)
            elif record.signal == spool.METRICS:
                metrics = ExportMetricsServiceRequest.FromString(record.body)
                decode.metrics(metrics, batches["metrics"].rows, window)
            elif record.signal == spool.LOGS:
                logs = ExportLogsServiceRequest.FromString(record.body)
                decode.logs(logs, batches["logs"].rows, window)
            for table, batch in batches.items():
                if len(batch.rows) >= INSERT_ROWS:
                    self._insert(client, table, batch, sealed)
        for table, batch in batches.items():
            self._insert(client, table, batch, sealed)

    def _insert(self, client: Client, table: str, batch: _Batch, sealed: Sealed) -> None:
        rows, batch.rows = batch.rows, Rows(batch.rows.names)
        for reason, count in rows.left_out.items():
            self._count(f"{table}: {reason}", count)
        if len(rows):
            # Cut in the same places each time, so that a repeat has the same tokens.
            token = f"{sealed.path.name}:{batch.inserts_count}"
            batch.inserts_count += 1
            client.insert(
                table,
                rows.columns,
                column_names=list(rows.names),
                column_oriented=True,
                settings={"insert_deduplication_token": token},
            )
            self.rows[table] += len(rows)


class _Batch:
    """Rows of one table that wait for their insert, and how many inserts its file has had."""

    __slots__ = ("inserts_count", "rows")

    def __init__(self, column_names: Sequence[str]) -> None:
        self.rows = Rows(column_names)
        self.inserts_count = 0


def window_of(path: Path, keep_hours: int) -> Window:
    """Times that the store takes, by when the file was made: at a repeat it is the same window."""
    try:
        made_ns = int(path.stem, 16)
    except ValueError:
        raise SpoolDamage("the file's name is not a time") from None
    return Window(made_ns - keep_hours * 3_600_000_000_000, made_ns + FUTURE_S_MAX * 1_000_000_000)


PROFILE_COLUMNS: Final = (
    "Id", "Timestamp", "Target", "Seconds", "RateHz", "Samples", "PausePercent", "Details",
    "Collapsed",
)  # fmt: skip


def profile_job(row: tuple[object, ...]) -> Job:
    """Store one profile; the same id a second time is dropped."""
    assert len(row) == len(PROFILE_COLUMNS), row

    def insert(client: Client) -> None:
        client.insert(
            "profiles",
            [list(row)],
            column_names=list(PROFILE_COLUMNS),
            settings={"insert_deduplication_token": str(row[0])},
        )

    return insert
