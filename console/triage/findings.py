"""What a diagnosis says, as values: claims with evidence, or an honest "unknown".

Pure. These values go to the database as JSON, to pages and to the command line alike, so each
claim carries its own proof: a sentence, the curve behind it, a trace or a question that can be
asked again, what speaks against its rivals, and what would prove it wrong. A score only orders
claims; it is not a probability, and no page shows it as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS: Mapping[str, str] = {
    "node_down": "is down",
    "process_pause": "is paused",
    "fsync_stall": "stalls on flush",
    "isolated": "is cut off from its peers",
    "cpu_hog": "has no processor time left",
    "loop_block": "blocks its event loop",
    "noisy_tenant": "crowds out the others",
    "bad_config": "runs with a bad setting",
}
"""Every kind of cause that triage can name, with its verb. Latency itself is never a cause."""

Points = tuple[tuple[int, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of the query port that gives the same figures again. `ask` is a method of
    `telemetry.client.QueryClient`; `params` are its arguments."""

    ask: str
    params: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One piece of evidence: a sentence with its figure and unit, and where to look."""

    sentence: str
    unit: str = ""
    points: Points = ()
    trace_id: str = ""
    question: Question | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stage of one node in a stage bar, in milliseconds of a mean request."""

    stage: str
    node: str
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Where a request's time went normally and where it goes now, on one scale."""

    operation: str
    normal: tuple[Part, ...]
    now: tuple[Part, ...]
    sentence: str

    @property
    def normal_ms(self) -> float:
        return sum(part.ms for part in self.normal)

    @property
    def now_ms(self) -> float:
        return sum(part.ms for part in self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One ranked (entity, kind). `remedy` is what a runbook for it needs to know beside its target,
    by parameter: of a setting its name and the value that the peers have.
    """

    entity: str
    kind: str
    score: float
    headline: str
    lines: tuple[Line, ...] = ()
    bars: Bars | None = None
    why_not: tuple[str, ...] = ()
    wrong_if: tuple[str, ...] = ()
    remedy: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A source that was not there, and what that keeps us from seeing."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The whole answer. No claims: unknown, and `moved` says what moved most."""

    claims: tuple[Claim, ...]
    moved: tuple[Line, ...]
    missing: tuple[Silence, ...]
    onset_ms: int | None
    baselines: Mapping[str, tuple[str, str]]

    @property
    def is_abstained(self) -> bool:
        return not self.claims

    @property
    def digest(self) -> str:
        """Equal when two answers say the same: the first claim, and what could not be seen.

        Figures and the order of also-rans move with every look, and are no new answer.
        """
        first = self.claims[0] if self.claims else None
        said = [
            None if first is None else [first.entity, first.kind],
            sorted(silence.source for silence in self.missing),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def claim_body(claim: Claim) -> dict[str, Any]:
    """The part of a claim that has no column of its own."""
    return {
        "lines": [asdict(line) for line in claim.lines],
        "bars": None if claim.bars is None else asdict(claim.bars),
        "why_not": list(claim.why_not),
        "wrong_if": list(claim.wrong_if),
        "remedy": dict(claim.remedy),
    }


def line_from(raw: Mapping[str, Any]) -> Line:
    question = raw.get("question")
    return Line(
        sentence=str(raw["sentence"]),
        unit=str(raw.get("unit", "")),
        points=tuple((int(t), None if v is None else float(v)) for t, v in raw.get("points", ())),
        trace_id=str(raw.get("trace_id", "")),
        question=None
        if not question
        else Question(ask=str(question["ask"]), params=dict(question["params"])),
    )


def lines_from(raw: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    return tuple(line_from(each) for each in raw)


def bars_from(raw: Mapping[str, Any] | None) -> Bars | None:
    if not raw:
        return None
    return Bars(
        operation=str(raw["operation"]),
        normal=tuple(Part(**part) for part in raw["normal"]),
        now=tuple(Part(**part) for part in raw["now"]),
        sentence=str(raw["sentence"]),
    )


def claim_from(*, entity: str, kind: str, score: float, headline: str, body: Any) -> Claim:
    """The claim that `claim_body` took apart."""
    return Claim(
        entity=entity,
        kind=kind,
        score=score,
        headline=headline,
        lines=lines_from(body.get("lines", ())),
        bars=bars_from(body.get("bars")),
        why_not=tuple(body.get("why_not", ())),
        wrong_if=tuple(body.get("wrong_if", ())),
        remedy=dict(body.get("remedy", {})),
    )
