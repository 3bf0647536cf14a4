"""What bad requests have in common that others of the same minutes have not.

Pure. For every value of every attribute: is it more frequent among slow and failed requests than
among the rest? A G-test says whether the difference is more than chance, Benjamini and Hochberg's
procedure keeps the many questions from finding something by luck, and a value must have some
support. The rest of the same minutes is the baseline, so that a load that is high for all is no
finding. Attributes that differ for every request (ids) are left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from console.triage.evidence import Request
from console.triage.stages import LIMIT_MS
from telemetry import names

SUPPORT_MIN = 20
Q_MAX = 0.05
DISTINCT_SHARE_MAX = 0.5
SIZES = ((1 << 12, "up to 4 KiB"), (1 << 18, "up to 256 KiB"), (1 << 22, "up to 4 MiB"))
LEFT_OUT = frozenset(
    (names.KIND, names.REASON, names.WEIGHT, names.BYTES_IN, names.BYTES_OUT, names.STATUS_CODE,
     names.REQUEST_ID, names.LOG_INDEX, names.BATCH_ID)
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """A value that bad requests have more often: shares from 0 to 1, `q` after the correction."""

    attribute: str
    value: str
    bad_share: float
    rest_share: float
    support: int
    q: float


def common(requests: Sequence[Request]) -> list[Common]:
    """Values over-represented among bad requests, the largest difference first."""
    bad = [each for each in requests if is_bad(each)]
    rest = [each for each in requests if not is_bad(each)]
    if len(bad) < SUPPORT_MIN or len(rest) < SUPPORT_MIN:
        return []
    counted = Counter(pair for each in bad for pair in values_of(each))
    beside = Counter(pair for each in rest for pair in values_of(each))
    distinct = Counter(attribute for attribute, _ in set(counted) | set(beside))
    tested = []
    for pair, count in counted.items():
        if distinct[pair[0]] > DISTINCT_SHARE_MAX * len(requests) or count < SUPPORT_MIN:
            continue
        p = g_test(count, len(bad), beside[pair], len(rest))
        tested.append((p, pair, count / len(bad), beside[pair] / len(rest), count))
    found = [
        Common(attribute=pair[0], value=pair[1], bad_share=bad_share, rest_share=rest_share,
               support=count, q=q)
        for q, (_, pair, bad_share, rest_share, count) in zip(
            adjusted([each[0] for each in tested]), tested, strict=True
        )
        if q <= Q_MAX and bad_share > rest_share
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.rest_share - each.bad_share)


def is_bad(request: Request) -> bool:
    return request.is_failed or request.ms > LIMIT_MS.get(request.kind, math.inf)


def values_of(request: Request) -> list[tuple[str, str]]:
    """The attributes that are always tried, and whatever else the request carries."""
    size = int(request.attributes.get(names.BYTES_IN, "0") or 0)
    size = max(size, int(request.attributes.get(names.BYTES_OUT, "0") or 0))
    sized = next((word for limit, word in SIZES if size <= limit), "over 4 MiB")
    given = [("operation", request.operation), ("node", request.node), ("size", sized)]
    return given + [
        (name, value) for name, value in request.attributes.items() if name not in LEFT_OUT
    ]


def g_test(count: int, total: int, other_count: int, other_total: int) -> float:
    """How likely chance gives a difference of shares as large (one degree of freedom)."""
    observed = (count, total - count, other_count, other_total - other_count)
    rows, columns = (total, other_total), (count + other_count, observed[1] + observed[3])
    whole = total + other_total
    expected = [rows[at // 2] * columns[at % 2] / whole for at in range(4)]
    g = 2.0 * sum(o * math.log(o / e) for o, e in zip(observed, expected, strict=True) if o)
    return math.erfc(math.sqrt(max(0.0, g) / 2.0))


def adjusted(ps: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted values, in the given order."""
    order = sorted(range(len(ps)), key=lambda at: -ps[at])
    found, least = [1.0] * len(ps), 1.0
    for behind, at in enumerate(order):
        rank = len(ps) - behind
        least = min(least, ps[at] * len(ps) / rank)
        found[at] = least
    return found
