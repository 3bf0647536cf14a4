"""The step that restarts a node's process: which one is meant, and what a refusal says."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from django.conf import settings

from runbooks import facts
from runbooks.engine.executor import OutcomeUnknown, StepContext
from runbooks.facts import Statuses
from runbooks.steps import node
from storage_core.errors import NodeUnreachable
from tests.console.twins import make_node


@contextmanager
def supervisor(answer: Mapping[str, object]) -> Iterator[list[dict[str, object]]]:
    """One that gives this answer to one request; yields what it was asked."""
    asked: list[dict[str, object]] = []
    settings.HOLDFAST.run.mkdir(parents=True, exist_ok=True)
    path = settings.HOLDFAST.run / "supervisor.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as lines:
                asked.append(json.loads(lines.readline()))
                lines.write(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            thread.join(5)
            path.unlink()


def restart(process: int) -> object:
    context = StepContext(
        run_id=1,
        run_key="k",
        step_name="restart",
        attempt_number=1,
        target="node-1",
        params={"node": "node-1", "process": process},
        outcomes={},
        payload=b"",
        time_left_s=5.0,
        keep_lease=lambda: None,
    )
    return node.restart(context).outcome


def test_the_order_names_the_process_that_was_meant() -> None:
    with supervisor({"ok": True}) as asked:
        outcome = restart(4711)

    assert asked == [{"op": "restart", "name": "node-1", "process": 4711}]
    assert outcome == {"node": "node-1"}


def test_a_refusal_leaves_open_whether_an_earlier_attempt_did_it() -> None:
    refusal = {"error": "node-1 is process 12 by now, not 4711; nothing was done"}

    with supervisor(refusal), pytest.raises(OutcomeUnknown, match="process 12 by now"):
        restart(4711)


def test_a_node_that_hangs_is_known_by_the_process_that_the_supervisor_keeps() -> None:
    statuses: Statuses = {0: make_node(0), 1: NodeUnreachable("node-1 hangs")}

    seen = facts.of_statuses(statuses, "node-1", processes={"node-1": 4711, "web": 9})

    assert seen["target"] == {"answers": False, "process": 4711}
