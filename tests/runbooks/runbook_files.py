"""Runbooks of tests: a user's own file in the home of tests, and the fleet as facts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbooks import library
from runbooks.engine.plan import JsonObject

HEAD = """\
apiVersion: holdfast/v1
kind: Runbook
metadata: {name: NAME, title: A runbook of tests}
summary: For tests.
target: node
steps:
"""


def text_of(steps: str, *, name: str = "mine", head: str = HEAD) -> str:
    return head.replace("NAME", name) + steps


@contextmanager
def own_runbook(steps: str, *, name: str = "mine", head: str = HEAD) -> Iterator[Path]:
    """The file NAME.yaml in the user's folder, for as long as the block lasts."""
    folder = library.own_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text_of(steps, name=name, head=head))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def fleet_facts(**changes: object) -> JsonObject:
    """Three healthy nodes, node-1 leading in term 41."""
    node: JsonObject = {"answers": True, "drained": False, "lag": 0, "uptime_s": 99.0}
    facts: JsonObject = {
        "leader": "node-1",
        "term": 41,
        "answering": 3,
        "quorum_margin": 1,
        "best_follower": "node-0",
        "best_follower_lag": 0,
        "target": node,
    }
    return facts | changes
