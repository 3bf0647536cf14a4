"""Runs scenarios written as text: a command line, `----`, what must be printed then.

`python -m tests.storage_core.raft.scenario` writes today's outputs into the files; read the diff.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage_core.raft.messages import HardState, Message, Outgoing
from storage_core.raft.ready import Timing
from tests.storage_core.raft.cluster import Cluster, MemoryLog, Node, make_entry

FOLDER = Path(__file__).parent / "scenarios"


class Scenario:
    """A cluster and the words that a scenario file may use."""

    def __init__(self) -> None:
        self.cluster = Cluster(3)

    def run(self, line: str) -> str:
        word, *arguments = line.split()
        do: Callable[..., str | None] = getattr(self, "do_" + word.replace("-", "_"))
        return do(*arguments) or "ok"

    def do_nodes(self, size: str) -> None:
        self.cluster = Cluster(int(size))

    def do_log(self, number: str, *terms: str) -> None:
        """Start node `number` anew with entries of these terms, all durable."""
        entries = [make_entry(int(term), at + 1, "x") for at, term in enumerate(terms)]
        term = int(terms[-1]) if terms else 0
        node = int(number)
        hard_state = HardState(0, term, None, 0)
        self.cluster.nodes[node] = Node(
            node,
            self.cluster.voters,
            timing=Timing(),
            hard_state=hard_state,
            log=MemoryLog(entries),
        )

    def do_campaign(self, number: str) -> None:
        self.cluster.campaign(int(number))

    def do_propose(self, number: str, *texts: str) -> None:
        self.cluster.propose(int(number), *texts)

    def do_deliver(self) -> str:
        """Deliver everything; print what was said, in order."""
        said: list[str] = []

        def listen(sender: int, outgoing: Outgoing) -> bool:
            message = outgoing.message
            lost = (sender, outgoing.to) in self.cluster.cut or outgoing.to in self.cluster.down
            said.append(f"{sender} -> {outgoing.to} {describe(message)}{' (lost)' if lost else ''}")
            return False

        self.cluster.deliver(drop=listen)
        return "\n".join(said)

    def do_settle(self) -> None:
        self.cluster.deliver()

    def do_wait(self, duration: str) -> None:
        self.cluster.pass_time(int(duration.removesuffix("ms")) * 1000)

    def do_cut(self, *numbers: str) -> None:
        """Nothing passes between these nodes and the others."""
        inside = {int(number) for number in numbers}
        for a in self.cluster.voters:
            for b in self.cluster.voters:
                if (a in inside) != (b in inside):
                    self.cluster.cut.add((a, b))

    def do_heal(self) -> None:
        self.cluster.cut.clear()

    def do_stop(self, number: str) -> None:
        self.cluster.down.add(int(number))

    def do_start(self, number: str) -> None:
        self.cluster.down.discard(int(number))
        self.cluster.restart(int(number))

    def do_transfer(self, number: str, to: str, target: str) -> None:
        self.cluster[int(number)].transfer(int(target), self.cluster.now_us)

    def do_hold_flush(self, number: str) -> None:
        self.cluster.nodes[int(number)].holds_flush = True

    def do_flush(self, number: str) -> None:
        node = self.cluster.nodes[int(number)]
        node.holds_flush = False
        self.cluster.mail += [(node.number, each) for each in node.flush()]

    def do_show(self) -> str:
        lines = []
        for number, node in self.cluster.nodes.items():
            replica = node.replica
            terms = " ".join(str(entry.term) for entry in node.log.items)
            lines.append(
                f"{number} {replica.role} term={replica.term} commit={replica.commit_index}"
                f" log=[{terms}]"
            )
        return "\n".join(lines)


def describe(message: Message) -> str:
    """One message in words: the fields that matter, without times."""
    shown = []
    for field, value in zip(message._fields, message, strict=True):
        if field in ("sender", "sent_us", "stages", "safe_index"):
            continue
        shown.append(f"{field}={_terms(value) if isinstance(value, tuple) else value}")
    return f"{type(message).__name__}({' '.join(shown)})"


def _terms(entries: tuple[Any, ...]) -> str:
    return "[" + " ".join(str(entry.term) for entry in entries) + "]"


def blocks(text: str) -> list[tuple[list[str], str, str]]:
    """(comment lines, command, expected output) of each block of a file."""
    found = []
    for part in text.strip().split("\n\n"):
        head, _, expected = part.partition("\n----\n")
        *comments, command = head.splitlines()
        found.append((comments, command, expected.strip()))
    return found


def replay(text: str) -> str:
    """The same file with the outputs that the code gives today."""
    scenario = Scenario()
    parts = []
    for comments, command, _ in blocks(text):
        parts.append("\n".join([*comments, command, "----", scenario.run(command)]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.txt")):
        path.write_text(replay(path.read_text()))
