"""Requests by account: who spends what all share.

Account names are chosen by people and may be many, so only the first 64 that a process meets have
series of their own; the rest share one. Cheap enough for every request: one look-up in a dict and
the count itself.
"""

from __future__ import annotations

from telemetry import names
from telemetry.metrics import Counter, Histogram, MetricSet


class _Account:
    __slots__ = ("bytes", "durations", "name")

    def __init__(self, name: str, bytes_: Counter) -> None:
        self.name = name
        self.bytes = bytes_
        self.durations: dict[str, Histogram] = {}


class Accounts:
    """The instruments of each account. One owner: the recorder."""

    def __init__(self, metrics: MetricSet) -> None:
        self._metrics = metrics
        self._known: dict[str, _Account] = {}
        self._rest: _Account | None = None

    def count(self, name: str, kind: str, duration_ns: int, bytes_: int) -> None:
        """One request has ended."""
        account = self._known.get(name) or self._meet(name)
        account.bytes.value += bytes_
        duration = account.durations.get(kind)
        if duration is None:
            attributes = {names.ACCOUNT: account.name, names.KIND: kind}
            duration = self._metrics.histogram(names.ACCOUNT_DURATION, attributes)
            account.durations[kind] = duration
        duration.record(duration_ns)

    def _meet(self, name: str) -> _Account:
        if len(self._known) < names.ACCOUNTS_MAX:
            account = self._known[name] = self._open(name)
            return account
        if self._rest is None:
            self._rest = self._open(names.ACCOUNT_REST)
        return self._rest

    def _open(self, name: str) -> _Account:
        return _Account(name, self._metrics.counter(names.ACCOUNT_BYTES, {names.ACCOUNT: name}))
