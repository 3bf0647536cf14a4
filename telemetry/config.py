"""Every setting of Holdfast, read once from the environment into one frozen value.

A process must not learn in the middle of the night that a port was a word. So each setting is a
row of one table: its variable, its default, its meaning and the check that it must pass; a value
that fails stops the start with the variable's name and what was expected. docs/guide/settings.md
prints the same table, and a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORT_MAX: Final = 65_535
NODES_MAX: Final = 9
"""The node ports are three runs of ten: own, peers, admin."""


class SettingError(Exception):
    """A variable of the environment holds something that cannot be used."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name}={value!r}: expected {expected}")
        self.name = name
        self.value = value
        self.expected = expected


class SettingRow(NamedTuple):
    """One documented variable. `low` and `high` are inclusive, in the variable's own unit."""

    variable: str
    default: str
    low: float
    high: float
    meaning: str


ROWS: Final[Mapping[str, SettingRow]] = {
    "home": SettingRow("HOLDFAST_HOME", "var", 0, 0, "Folder of all state: data, secrets, logs."),
    "web_port": SettingRow("HOLDFAST_WEB_PORT", "8000", 1, PORT_MAX, "The console."),
    "public_url": SettingRow(
        "HOLDFAST_PUBLIC_URL",
        "",
        0,
        0,
        "Where people reach the console, for links (empty: http://127.0.0.1 and its port).",
    ),
    "blob_port": SettingRow(
        "HOLDFAST_BLOB_PORT", "10000", 1, PORT_MAX, "The front door, shared by all nodes."
    ),
    "node_port_base": SettingRow(
        "HOLDFAST_NODE_PORT_BASE",
        "10010",
        1,
        PORT_MAX - 30,
        "Node n listens on base + n (own), base + 10 + n (peers), base + 20 + n (admin).",
    ),
    "otlp_port": SettingRow("HOLDFAST_OTLP_PORT", "4318", 1, PORT_MAX, "OTLP/HTTP receiver."),
    "query_port": SettingRow("HOLDFAST_QUERY_PORT", "4319", 1, PORT_MAX, "Telemetry queries."),
    "nodes": SettingRow("HOLDFAST_NODES", "3", 1, NODES_MAX, "Nodes of the built-in store."),
    "demo": SettingRow("DEMO", "1", 0, 1, "Run the demo traffic (0 leaves it out)."),
    "drills": SettingRow(
        "HOLDFAST_DRILLS", "1", 0, 1, "Allow fault switches and drills on this fleet."
    ),
    "heartbeat_url": SettingRow(
        "HEARTBEAT_URL",
        "",
        0,
        0,
        "Asked every 10 s while the watch works; who listens there alarms when that ends.",
    ),
    "trace_random_ratio": SettingRow(
        "HOLDFAST_TRACE_RANDOM_RATIO",
        "0.01",
        0,
        1,
        "Share of requests kept as traces at random; baselines use these only.",
    ),
    "slow_write_ms": SettingRow(
        "HOLDFAST_SLOW_WRITE_MS", "50", 1, 600_000, "A slower write is kept as a trace."
    ),
    "slow_read_ms": SettingRow(
        "HOLDFAST_SLOW_READ_MS", "20", 1, 600_000, "A slower read is kept as a trace."
    ),
    "telemetry_hours": SettingRow(
        "HOLDFAST_TELEMETRY_HOURS", "24", 1, 24 * 90, "Age at which signals are deleted."
    ),
    "telemetry_size_mb": SettingRow(
        "HOLDFAST_TELEMETRY_SIZE_MB",
        "4096",
        64,
        1_048_576,
        "Size of stored signals at which the oldest hours are deleted early.",
    ),
    "page_webhook_url": SettingRow(
        "HOLDFAST_PAGE_WEBHOOK_URL",
        "",
        0,
        0,
        "Page by a signed CloudEvent, posted to this address.",
    ),
    "page_slack_url": SettingRow(
        "HOLDFAST_PAGE_SLACK_URL", "", 0, 0, "Page into Slack: address of an incoming webhook."
    ),
    "page_pagerduty_key": SettingRow(
        "HOLDFAST_PAGE_PAGERDUTY_KEY", "", 0, 0, "Page by PagerDuty Events v2: routing key."
    ),
    "page_pagerduty_url": SettingRow(
        "HOLDFAST_PAGE_PAGERDUTY_URL",
        "https://events.pagerduty.com/v2/enqueue",
        0,
        0,
        "Where PagerDuty events go.",
    ),
    "page_smtp_url": SettingRow(
        "HOLDFAST_PAGE_SMTP_URL",
        "",
        0,
        0,
        "Page by mail: smtp://user:password@host:587 (STARTTLS if offered) or smtps://host:465.",
    ),
    "page_smtp_from": SettingRow(
        "HOLDFAST_PAGE_SMTP_FROM", "holdfast@localhost", 0, 0, "Sender of paging mail."
    ),
    "page_smtp_to": SettingRow(
        "HOLDFAST_PAGE_SMTP_TO",
        "",
        0,
        0,
        "Addresses that get every page, by commas; who is on call gets them anyway.",
    ),
    "page_wait_s": SettingRow(
        "HOLDFAST_PAGE_WAIT_S",
        "300",
        5,
        86_400,
        "Seconds without an acknowledgement after which the next person is paged.",
    ),
}
"""One row for each field of Settings, under the field's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all layers may know of where and how this fleet runs."""

    home: Path
    web_port: int
    blob_port: int
    node_port_base: int
    otlp_port: int
    query_port: int
    nodes: int
    demo: bool
    drills: bool = True
    trace_random_ratio: float = 0.01
    slow_write_ms: int = 50
    slow_read_ms: int = 20
    public_url: str = ""
    heartbeat_url: str = ""
    telemetry_hours: int = 24
    telemetry_size_mb: int = 4096
    page_webhook_url: str = ""
    page_slack_url: str = ""
    page_pagerduty_key: str = ""
    page_pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    page_smtp_url: str = ""
    page_smtp_from: str = "holdfast@localhost"
    page_smtp_to: str = ""
    page_wait_s: int = 300

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read and check every variable; the first bad one raises SettingError."""
        return cls(
            home=_folder(env, "home"),
            web_port=_whole(env, "web_port"),
            public_url=_address(env, "public_url"),
            heartbeat_url=_endpoint(env, "heartbeat_url"),
            blob_port=_whole(env, "blob_port"),
            node_port_base=_whole(env, "node_port_base"),
            otlp_port=_whole(env, "otlp_port"),
            query_port=_whole(env, "query_port"),
            nodes=_whole(env, "nodes"),
            demo=_whole(env, "demo") == 1,
            drills=_whole(env, "drills") == 1,
            trace_random_ratio=_number(env, "trace_random_ratio"),
            slow_write_ms=_whole(env, "slow_write_ms"),
            slow_read_ms=_whole(env, "slow_read_ms"),
            telemetry_hours=_whole(env, "telemetry_hours"),
            telemetry_size_mb=_whole(env, "telemetry_size_mb"),
            page_webhook_url=_endpoint(env, "page_webhook_url"),
            page_slack_url=_endpoint(env, "page_slack_url"),
            page_pagerduty_key=_text(env, "page_pagerduty_key"),
            page_pagerduty_url=_endpoint(env, "page_pagerduty_url"),
            page_smtp_url=_mail_server(env, "page_smtp_url"),
            page_smtp_from=_text(env, "page_smtp_from"),
            page_smtp_to=_text(env, "page_smtp_to"),
            page_wait_s=_whole(env, "page_wait_s"),
        )

    def own_port(self, node: int) -> int:
        """Where one node answers the Blob service for itself."""
        return self.node_port_base + self._checked(node)

    def peer_port(self, node: int) -> int:
        """Where one node listens for its peers."""
        return self.node_port_base + 10 + self._checked(node)

    def admin_port(self, node: int) -> int:
        """Where one node tells its state and takes orders."""
        return self.node_port_base + 20 + self._checked(node)

    def with_ports(self, *, otlp_port: int, query_port: int) -> Settings:
        """The same settings with other telemetry ports; 0 lets the system choose."""
        return replace(self, otlp_port=otlp_port, query_port=query_port)

    def _checked(self, node: int) -> int:
        assert 0 <= node <= NODES_MAX, node
        return node

    @property
    def secrets(self) -> Path:
        """Folder of the tokens and keys made on first start."""
        return self.home / "secrets"

    @property
    def run(self) -> Path:
        """Folder of the Unix sockets and the registry."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of the processes' log files."""
        return self.home / "logs"

    @property
    def telemetry_folder(self) -> Path:
        """Folder of the stored signals and their spool."""
        return self.home / "telemetry"

    def data(self, node: int) -> Path:
        """Folder of one node's log and index."""
        return self.home / "data" / f"node-{self._checked(node)}"


def read_secret(path: Path) -> str:
    """The text of a secret file, or "" if nobody has made it yet."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _text(env: Mapping[str, str], field: str) -> str:
    row = ROWS[field]
    return env.get(row.variable, "").strip() or row.default


def _address(env: Mapping[str, str], field: str) -> str:
    text = _text(env, field).rstrip("/")
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.hostname and not parts.path):
        raise SettingError(ROWS[field].variable, text, "http:// or https://, a host, no path")
    return text


def _endpoint(env: Mapping[str, str], field: str) -> str:
    text = _text(env, field)
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.hostname):
        raise SettingError(ROWS[field].variable, text, "http:// or https:// and a host")
    return text


def _mail_server(env: Mapping[str, str], field: str) -> str:
    text = _text(env, field)
    parts = urlsplit(text)
    if text and not (parts.scheme in ("smtp", "smtps") and parts.hostname and not parts.path):
        # The password is not repeated.
        raise SettingError(
            ROWS[field].variable, parts.scheme, "smtp:// or smtps://, a host, no path"
        )
    return text


def _folder(env: Mapping[str, str], field: str) -> Path:
    path = Path(_text(env, field)).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise SettingError(ROWS[field].variable, str(path), "a folder")
    return path


def _number(env: Mapping[str, str], field: str) -> float:
    row, text = ROWS[field], _text(env, field)
    expected = f"a number from {row.low:g} to {row.high:g}"
    try:
        value = float(text)
    except ValueError:
        raise SettingError(row.variable, text, expected) from None
    if not row.low <= value <= row.high:
        raise SettingError(row.variable, text, expected)
    return value


def _whole(env: Mapping[str, str], field: str) -> int:
    row, text = ROWS[field], _text(env, field)
    value = _number(env, field)
    if value != int(value) or not text.lstrip("+").isdigit():
        expected = f"a whole number from {int(row.low)} to {int(row.high)}"
        raise SettingError(row.variable, text, expected)
    return int(value)
