"""Log lines as JSON, one object a line, with the trace they belong to.

A message is constant and says what surprised us; what differs goes into fields (`extra=`), so that
lines can be counted by message and joined to traces by `trace_id`. Lines go to a stream always,
and to the telemetry process as well if `ship` is given; a full queue there never holds a line up.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TextIO

FIELD_CHARS_MAX: Final = 4096
"""A field longer than this is cut: one line must not fill the disk."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

FieldValue = str | int | float | bool | None


class LogLine(NamedTuple):
    """One log record, ready to leave the process."""

    time_unix_ns: int
    severity: int
    level: str
    logger: str
    message: str
    trace_id: str
    fields: Mapping[str, FieldValue]


def no_trace() -> str:
    """The trace id where nobody tells one."""
    return ""


def _field(value: object) -> FieldValue:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:FIELD_CHARS_MAX]


def line_of(record: logging.LogRecord, trace_id: Callable[[], str] = no_trace) -> LogLine:
    """The parts of a record that we keep. Numeric levels map to OTLP severities (INFO = 9)."""
    fields = {name: _field(value) for name, value in vars(record).items() if name not in _STANDARD}
    trace = fields.pop("trace_id", None) or trace_id()
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)[
            -FIELD_CHARS_MAX:
        ]
    return LogLine(
        time_unix_ns=int(record.created * 1e9),
        severity=min(24, max(1, (record.levelno // 10) * 4 + 1)),
        level=record.levelname.lower(),
        logger=record.name,
        message=record.getMessage()[:FIELD_CHARS_MAX],
        trace_id=str(trace),
        fields=fields,
    )


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, service: str, node: str, trace_id: Callable[[], str] = no_trace) -> None:
        super().__init__()
        self._constant = {"service": service, "node": node}
        self._trace_id = trace_id

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record, self._trace_id)
        seconds, fraction_ns = divmod(line.time_unix_ns, 1_000_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        document: dict[str, FieldValue] = {
            "time": f"{stamp}.{fraction_ns // 1_000_000:03d}Z",
            "level": line.level,
            **self._constant,
            "logger": line.logger,
            "message": line.message,
        }
        if line.trace_id:
            document["trace_id"] = line.trace_id
        for name, value in line.fields.items():
            document.setdefault(name, value)
        return json.dumps(document, ensure_ascii=False)


class Shipping(logging.Handler):
    """Hands lines to the exporter. What it can't take is counted there."""

    def __init__(
        self, ship: Callable[[LogLine], None], trace_id: Callable[[], str] = no_trace
    ) -> None:
        super().__init__()
        self._ship = ship
        self._trace_id = trace_id

    def emit(self, record: logging.LogRecord) -> None:
        self._ship(line_of(record, self._trace_id))


def configure(
    service: str,
    node: str,
    *,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    ship: Callable[[LogLine], None] | None = None,
    trace_id: Callable[[], str] = no_trace,
) -> None:
    """Make the root logger write JSON to `stream` (standard error), and to `ship` if given."""
    to_stream = logging.StreamHandler(stream or sys.stderr)
    to_stream.setFormatter(JsonFormatter(service, node, trace_id))
    handlers: list[logging.Handler] = [to_stream]
    if ship is not None:
        handlers.append(Shipping(ship, trace_id))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
