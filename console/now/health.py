"""Is the fleet well? One sentence from one picture, worst first.

Green needs evidence from both sides: the nodes' own word that they agree, and telemetry's fresh
count of requests. With either missing the answer is "can't say", with what is missing.
"""

from dataclasses import dataclass

from console.figures import quantity
from console.live.badge import blindness
from console.live.facts import Traffic
from console.live.observatory import Picture
from console.verdict import State, Verdict, plural
from storage_core.client import NodeStatus

FAILED_PERCENT_MAX = 1.0
AGREE_LAG_ENTRIES_MAX = 10_000  # More than a loop tick's worth: a follower that falls behind.


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the nodes that answer say together."""

    answering: tuple[NodeStatus, ...]
    node_count: int
    leader: int | None  # as a majority of all nodes names it; None: no majority names one
    term: int
    lagging: tuple[NodeStatus, ...]

    @property
    def agreeing_count(self) -> int:
        return sum(
            1
            for node in self.answering
            if node.leader == self.leader and node.term == self.term and node not in self.lagging
        )


def agreement_of(picture: Picture) -> Agreement:
    answering = tuple(part.current for part in picture.nodes if part.current is not None)
    term = max((node.term for node in answering), default=0)
    votes: dict[int, int] = {}
    for node in answering:
        if node.leader is not None and node.term == term:
            votes[node.leader] = votes.get(node.leader, 0) + 1
    majority = len(picture.nodes) // 2 + 1
    leader = next((name for name, count in votes.items() if count >= majority), None)
    commit = max((node.commit_index for node in answering), default=0)
    lagging = tuple(
        node for node in answering if commit - node.applied_index > AGREE_LAG_ENTRIES_MAX
    )
    return Agreement(
        answering=answering,
        node_count=len(picture.nodes),
        leader=leader,
        term=term,
        lagging=lagging,
    )


def health_of(picture: Picture, *, slow_write_ms: float) -> Verdict:
    agreement = agreement_of(picture)
    missing = blindness(picture)
    traffic = picture.telemetry.current
    if not agreement.answering:
        return _nobody(picture, missing)
    nodes = _node_trouble(agreement)
    if nodes is not None:
        return Verdict(state=nodes[0], sentence=nodes[1], context=missing or _who_leads(agreement))
    if traffic is None:
        return Verdict(
            state="unknown",
            sentence=f"{_agree(agreement)}; requests can't be seen without telemetry",
            context=missing,
        )
    return _by_traffic(agreement, traffic, slow_write_ms, missing or _who_leads(agreement))


def _nobody(picture: Picture, missing: str) -> Verdict:
    if picture.telemetry.current is None:
        return Verdict(
            state="unknown",
            sentence="Can't see the fleet: telemetry and nodes don't answer",
            context=f"In a terminal: ./manage.py status, ./manage.py up · {missing}",
        )
    return Verdict(state="firing", sentence="No node answers", context=missing)


def _node_trouble(agreement: Agreement) -> tuple[State, str] | None:
    total = agreement.node_count
    answering = len(agreement.answering)
    silent = sorted(set(range(total)) - {node.node for node in agreement.answering})
    names = ", ".join(f"node-{node}" for node in silent)
    if answering <= total // 2:
        return "firing", f"Writes can't commit: only {answering} of {plural(total, 'node')} answers"
    if agreement.leader is None:
        return "firing", f"No node leads in term {agreement.term}: writes wait"
    if silent:
        verb = "doesn't" if len(silent) == 1 else "don't"
        return "warning", f"{names} {verb} answer; {answering} of {total} nodes carry on"
    if agreement.lagging:
        behind = ", ".join(node.name for node in agreement.lagging)
        return "warning", f"{behind} is behind by more than {AGREE_LAG_ENTRIES_MAX:,} entries"
    if agreement.agreeing_count < total:
        return "warning", f"{_agree(agreement)} on who leads in term {agreement.term}"
    return None


def _by_traffic(
    agreement: Agreement,
    traffic: Traffic,
    slow_write_ms: float,
    context: str,
) -> Verdict:
    rate = traffic.last("requests_per_s")
    failed = traffic.last("failed_percent")
    p99 = traffic.last("write_p99_ms")
    if failed is not None and failed > FAILED_PERCENT_MAX:
        sentence = f"{quantity(failed, '%')} of requests fail"
        return Verdict(state="firing", sentence=sentence, context=context)
    if p99 is not None and p99 > slow_write_ms:
        sentence = f"Writes are slow: p99 {quantity(p99, 'ms')}, objective {slow_write_ms:g} ms"
        return Verdict(state="warning", sentence=sentence, context=context)
    if not rate:
        sentence = f"No requests in the last 30 s; {_agree(agreement)}"
        return Verdict(state="idle", sentence=sentence, context=context)
    slowest = f", write p99 {quantity(p99, 'ms')}" if p99 is not None else ""
    sentence = f"Healthy: serving {quantity(rate, '/s')}{slowest}, {_agree(agreement)}"
    return Verdict(state="ok", sentence=sentence, context=context)


def _agree(agreement: Agreement) -> str:
    return f"{agreement.agreeing_count} of {plural(agreement.node_count, 'node')} agree"


def _who_leads(agreement: Agreement) -> str:
    if agreement.leader is None:
        return ""
    return f"node-{agreement.leader} leads in term {agreement.term}"
