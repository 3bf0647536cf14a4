"""A limit on one account's requests, so that one tenant can't spend what all share.

Each account with a limit has a bucket that fills at its rate and holds one second's worth; a
request takes one token or is refused, after its signature was checked and before anything else is
done for it. The limits are the catalog's own table, changed in place as entries are applied, so
every node enforces what the log says. Accounts without a limit cost one look at an empty table.

Invariant: no account takes more than rate * t + burst requests in any t seconds on this node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

BURST_S = 1.0
"""A client's usual burst of parallel requests passes; a steady flood doesn't."""
RETRY_AFTER_S_MAX = 60


class _Bucket:
    __slots__ = ("at_s", "tokens")

    def __init__(self, tokens: float, at_s: float) -> None:
        self.tokens = tokens
        self.at_s = at_s


class Throttle:
    """`limits`: requests in 1,000 s, by account."""

    __slots__ = ("_buckets", "limits")

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.limits = limits
        self._buckets: dict[str, _Bucket] = {}

    def admits(self, account: str, now_s: float) -> bool:
        """Whether a request may go on; it takes a token if so."""
        limit = self.limits.get(account)
        if limit is None:
            self._buckets.pop(account, None)
            return True
        rate = limit / 1000
        burst = max(1.0, rate * BURST_S)
        bucket = self._buckets.get(account)
        if bucket is None:
            bucket = self._buckets[account] = _Bucket(burst, now_s)
        elif now_s > bucket.at_s:
            bucket.tokens = min(burst, bucket.tokens + (now_s - bucket.at_s) * rate)
            bucket.at_s = now_s
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def retry_after_s(self, account: str) -> int:
        """When a token will be there, in whole seconds."""
        return max(1, min(RETRY_AFTER_S_MAX, math.ceil(1000 / self.limits[account])))
