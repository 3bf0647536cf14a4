"""What the Cluster page shows: who leads, who agrees, who sees whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.live.badge import badge_of, blindness
from console.live.observatory import Picture
from console.live.reading import Sight
from console.now.health import Agreement, agreement_of
from console.now.page import node_rows
from console.verdict import State, Verdict, plural
from storage_core.client import NodeStatus, PeerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCell:
    """What the row's node says of the column's node."""

    state: State
    word: str
    lag_entries: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    name: str
    cells: Sequence[PairCell]


SELF = PairCell(state="idle", word="self", lag_entries=None)
NOT_TOLD = PairCell(state="unknown", word="not told", lag_entries=None)


def verdict_of(picture: Picture) -> Verdict:
    agreement = agreement_of(picture)
    context = blindness(picture) or "Every figure is a node's own word; telemetry isn't asked."
    total = agreement.node_count
    if not agreement.answering:
        return Verdict(
            state="unknown",
            sentence="No node answers: whether they lead, agree or run can't be said",
            context=context,
        )
    if agreement.leader is None:
        return Verdict(
            state="firing",
            sentence=f"No node leads in term {agreement.term}: writes wait",
            context=context,
        )
    agreeing = agreement.agreeing_count
    return Verdict(
        state="ok" if agreeing == total else "warning",
        sentence=(
            f"node-{agreement.leader} leads in term {agreement.term}; "
            f"{agreeing} of {plural(total, 'node')} agree"
        ),
        context=f"{_lag(agreement)} · {context}",
    )


def _lag(agreement: Agreement) -> str:
    commit = max(node.commit_index for node in agreement.answering)
    lag = max(commit - node.applied_index for node in agreement.answering)
    return f"At most {plural(lag, 'entry', 'entries')} behind" if lag > 0 else "None is behind"


def pair_rows(picture: Picture) -> Sequence[PairRow]:
    numbers = range(len(picture.nodes))
    rows = []
    for number, part in enumerate(picture.nodes):
        facts: NodeStatus | None = part.current
        peers = facts.peers if facts else {}
        leads = facts is not None and facts.role == "leader"
        cells = [
            SELF if other == number else pair_cell(peers.get(other), leads=leads)
            for other in numbers
        ]
        rows.append(PairRow(name=part.part, cells=cells))
    return rows


def pair_cell(peer: PeerStatus | None, *, leads: bool) -> PairCell:
    """Only a leader knows how far another is behind."""
    if peer is None:
        return NOT_TOLD
    lag_entries = peer.lag_entries if leads else None
    if not peer.is_connected:
        return PairCell(state="warning", word="not connected", lag_entries=lag_entries)
    return PairCell(state="ok", word="connected", lag_entries=lag_entries)


def live_context(picture: Picture) -> dict[str, Any]:
    return {
        "verdict": verdict_of(picture),
        "badge": badge_of(picture),
        "nodes": node_rows(picture),
        "pairs": pair_rows(picture),
        "processes": picture.supervisor.value or (),
        "supervisor": picture.supervisor,
        "supervisor_fresh": picture.supervisor.sight is Sight.OK,
        "telemetry": picture.telemetry,
        "queues": picture.broker.current,
        "taken_ms": picture.taken_ms,
    }
