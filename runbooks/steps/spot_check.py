"""The step that asks the store itself: write something, and find it through every door.

Read back is the very value, from the shared front door and from each node's own port, and the
listing must name it: after leadership moved, a node that serves old state would show here. A node
that is known not to answer is left out and named; the front door never is. What was written is
deleted at the end, with what attempts left that did not come so far.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from django.conf import settings

from runbooks.drills import wire
from runbooks.drills.wire import Answer, Connection, NotSent
from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.steps import orders
from runbooks.steps.registry import StepAction
from storage_core.client import NodeStatus

CONTAINER = "holdfast-spot-checks"
BODY_BYTES = 1024
ASK_TIMEOUT_S = 6.0


def spot_check(context: StepContext) -> StepResult:
    """Write, read back and list through the front door and through each node that answers."""
    statuses = orders.client().statuses()
    house = settings.HOLDFAST
    doors = {"the front door": house.blob_port} | {
        f"node-{n}": house.own_port(n) for n, s in statuses.items() if isinstance(s, NodeStatus)
    }
    silent = [f"node-{n}" for n, s in statuses.items() if not isinstance(s, NodeStatus)]
    names = [f"run-{context.run_id}-{n}" for n in range(1, context.attempt_number + 1)]
    try:
        seen = asyncio.run(_check(doors, names, secrets.token_bytes(BODY_BYTES)))
    except (OSError, TimeoutError, NotSent) as error:
        reason = f"the store did not answer: {error or type(error).__name__}"
        raise StepFailed(reason, again=True) from error
    wrong = {door: told for door, told in seen.items() if told}
    if wrong:
        told = "; ".join(f"{door}: {reason}" for door, reason in wrong.items())
        raise StepFailed(f"not what was written: {told}", again=True)
    outcome: JsonObject = {"doors": list(seen), "silent": silent}
    return StepResult(outcome=outcome)


async def _check(doors: Mapping[str, int], names: Sequence[str], body: bytes) -> dict[str, str]:
    """What is wrong at each door; empty where nothing is. Raises what a connection raises.

    The last of `names` is this attempt's. Attempts before it may have died before they deleted.
    """
    front, name = Connection(doors["the front door"]), names[-1]
    try:
        await _ask(front, wire.container("PUT", CONTAINER), (201, 409))
        await _ask(front, wire.put(f"{CONTAINER}/{name}", body), (201,))
        seen = {door: await _read(port, name, body) for door, port in doors.items()}
        for left in names:
            await _ask(front, wire.delete(f"{CONTAINER}/{left}"), (202, 404))
    finally:
        front.close()
    return seen


async def _read(port: int, name: str, body: bytes) -> str:
    door = Connection(port)
    listing = wire.signed(
        "GET", CONTAINER, query={"comp": "list", "prefix": name, "restype": "container"}
    )
    try:
        got = await door.ask(wire.get(f"{CONTAINER}/{name}"), timeout_s=ASK_TIMEOUT_S)
        listed = await door.ask(listing, timeout_s=ASK_TIMEOUT_S)
    finally:
        door.close()
    if got.status != 200 or got.body != body:
        return f"read back {len(got.body)} bytes with status {got.status}"
    if listed.status != 200 or f"<Name>{name}</Name>".encode() not in listed.body:
        return f"not in the listing, status {listed.status}"
    return ""


async def _ask(front: Connection, request: bytes, expected: tuple[int, ...]) -> Answer:
    answer = await front.ask(request, timeout_s=ASK_TIMEOUT_S)
    if answer.status not in expected:
        raise ConnectionError(f"status {answer.status} where {expected[0]} was due")
    return answer


CHECK = StepAction(
    name="store.spot_check",
    kind=StepKind.IDEMPOTENT,
    sentence="Write, read back and list through every door",
    perform=spot_check,
)
