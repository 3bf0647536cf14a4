"""The orders that a node takes on its admin port, and when it says no.

Each order is checked in the same sequence: is it well formed, is it late (an older attempt was
overtaken), is it about the leader and term that there are now. Only then something happens, and
it is remembered before the answer leaves. A refusal names its kind in `code`, so that the client
can raise the right error, and nothing was done.

Orders about the node itself (drain, switches, settings, fences) need no quorum and no other
process. Accounts and limits are entries of the log and wait for one.

Read next: `orders` for the fields, `memory` for what is kept, `admin` for the port.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from storage_core import fault_leases, orders
from storage_core.catalog.commands import (
    ACCOUNT_NAME_CHARS_MAX,
    ACCOUNT_NAME_CHARS_MIN,
    CreateAccount,
    SetAccountLimit,
)
from storage_core.errors import StoreError
from storage_core.orders import BadOrder, Operation
from storage_core.raft.ready import LEADER
from telemetry.tracing import StageClock

if TYPE_CHECKING:
    from storage_core.admin import Answer
    from storage_core.configuration import Configuration
    from storage_core.engine import Engine
    from storage_core.faults import Faults
    from storage_core.memory import Memory
    from storage_core.peers import Peers
    from storage_core.store import NodeStore

Body = Mapping[str, Any]
SUBMIT_US_MAX = 3_000_000
"""Less than the admin port's own limit, so that its answer says what happened."""
ACCOUNT_KEY_BYTES = 64
ACCOUNTS_MAX = 1_000
OPS_PER_S_MIN, OPS_PER_S_MAX = 0.001, 1_000_000.0
_ACCOUNT_NAME = re.compile("[a-z0-9]{%d,%d}" % (ACCOUNT_NAME_CHARS_MIN, ACCOUNT_NAME_CHARS_MAX))


class _Refused(Exception):
    """Ends an order with this answer."""

    def __init__(self, status: int, code: str, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer: Answer = (status, {"code": code, "error": error, **more})


class Keeper:
    """Obeys for one node."""

    def __init__(
        self,
        *,
        engine: Engine,
        peers: Peers,
        store: NodeStore,
        faults: Faults,
        memory: Memory,
        configuration: Configuration,
    ) -> None:
        self._engine = engine
        self._peers = peers
        self._store = store
        self._faults = faults
        self._memory = memory
        self._configuration = configuration
        if memory.drained and engine.core.replica.progress:
            engine.core.replica.drain(True, monotonic_ns() // 1000)

    def routes(self) -> dict[tuple[str, str], Callable[[Body], Answer | Awaitable[Answer]]]:
        """For the admin server."""
        table: dict[tuple[str, str], Callable[[Body], Awaitable[Answer]]] = {
            ("POST", "/transfer"): self._transfer,
            ("POST", "/drain"): self._drain,
            ("POST", "/fence"): self._raise_fence,
            ("GET", "/faults"): self._list_faults,
            ("POST", "/faults"): self._set_fault,
            ("DELETE", "/faults"): self._clear_faults,
            ("GET", "/accounts"): self._list_accounts,
            ("POST", "/accounts"): self._add_account,
            ("POST", "/throttle"): self._throttle,
            ("GET", "/configuration"): self._show_configuration,
            ("POST", "/configuration"): self._configure,
        }
        return {route: _answering(obey) for route, obey in table.items()}

    # -- the node itself --------------------------------------------------------------------

    async def _transfer(self, body: Body) -> Answer:
        replica = self._engine.core.replica
        to = body.get("to")
        if type(to) is not int or to not in replica.progress:
            raise BadOrder("to: must be the number of another node")
        fence, operation = orders.fence_of(body), self._admitted(body)
        stale = fence is not None and (fence.leader, fence.term) != (replica.leader, replica.term)
        if replica.role != LEADER or stale:
            raise _Refused(
                409,
                "fence",
                f"not the leader that was meant; it is {replica.leader} in term {replica.term}",
                leader=replica.leader,
                term=replica.term,
            )
        if not self._peers.is_connected(to):
            raise _Refused(409, "unfit", f"to: node-{to} is not connected")
        term = replica.term
        replica.transfer(to, monotonic_ns() // 1000)
        self._engine.wake()
        kept = await self._done(operation)
        return 200, {"transferring_to": to, "term": term, "kept": kept}

    async def _drain(self, body: Body) -> Answer:
        replica = self._engine.core.replica
        on, operation = orders.flag(body, "on"), self._admitted(body)
        if on and not replica.progress:
            raise _Refused(409, "unfit", "the only node can't be drained")
        if on != replica.drained:
            replica.drain(on, monotonic_ns() // 1000)
            self._engine.wake()
        self._memory.drained = on
        if operation is not None:
            self._memory.operations.done(operation)
        return 200, {"drained": on, "kept": await self._memory.keep()}

    async def _raise_fence(self, body: Body) -> Answer:
        run = orders.whole(body, "run", 0, orders.NUMBER_MAX)
        step, attempt = (
            orders.word(body, "step"),
            orders.whole(body, "attempt", 1, orders.NUMBER_MAX),
        )
        was_done = self._memory.operations.raise_fence(run, step, attempt)
        return 200, {"was_done": was_done, "kept": await self._memory.keep()}

    def _admitted(self, body: Body) -> Operation | None:
        """The order's operation, unless it comes late."""
        operation = orders.operation_of(body)
        if operation is not None and not self._memory.operations.admits(operation):
            error = f"attempt {operation.attempt} of step {operation.step} was overtaken"
            raise _Refused(409, "operation", error)
        return operation

    async def _done(self, operation: Operation | None) -> bool:
        """Remember that it was carried out."""
        if operation is None:
            return True
        self._memory.operations.done(operation)
        return await self._memory.keep()

    async def _show_configuration(self, _: Body) -> Answer:
        return 200, {"settings": self._configuration.effective()}

    async def _configure(self, body: Body) -> Answer:
        return 200, {"settings": self._configuration.change(body)}

    # -- fault switches ---------------------------------------------------------------------

    async def _list_faults(self, _: Body) -> Answer:
        return 200, {"faults": [state.as_json() for state in self._faults.states()]}

    async def _set_fault(self, body: Body) -> Answer:
        if not self._faults.allowed:
            raise _Refused(403, "drills", "this fleet runs with HOLDFAST_DRILLS=0")
        kind = orders.choice(body, "kind", fault_leases.KINDS)
        owner = orders.word(body, "owner")
        ttl_ms = orders.whole(body, "ttl_ms", fault_leases.TTL_MS_MIN, fault_leases.TTL_MS_MAX)
        self._faults.set(kind, owner, fault_leases.checked(kind, body.get("params", {})), ttl_ms)
        return await self._list_faults(body)

    async def _clear_faults(self, body: Body) -> Answer:
        self._faults.clear(orders.word(body, "owner") if "owner" in body else None)
        return await self._list_faults(body)

    # -- accounts ---------------------------------------------------------------------------

    async def _list_accounts(self, _: Body) -> Answer:
        await self._caught_up()
        limits = self._engine.core.catalog.limits
        accounts = []
        for row in self._store.view().accounts(ACCOUNTS_MAX):
            limit = limits.get(row.name)
            ops_per_s = None if limit is None else limit / 1000
            accounts.append(
                {"name": row.name, "created_ms": row.created_ms, "ops_per_s": ops_per_s}
            )
        return 200, {"accounts": accounts}

    async def _throttle(self, body: Body) -> Answer:
        """A limit on each node, or none: null lifts it."""
        account, operation = orders.word(body, "account"), self._admitted(body)
        requests_per_ks = 0
        if body.get("ops_per_s") is not None:
            ops_per_s = orders.number(body, "ops_per_s", OPS_PER_S_MIN, OPS_PER_S_MAX)
            requests_per_ks = round(ops_per_s * 1000)
        await self._submit(SetAccountLimit(account, requests_per_ks))
        return 200, {"kept": await self._done(operation)}

    async def _add_account(self, body: Body) -> Answer:
        name = orders.word(body, "name")
        if not _ACCOUNT_NAME.fullmatch(name):
            limits = f"{ACCOUNT_NAME_CHARS_MIN} to {ACCOUNT_NAME_CHARS_MAX}"
            raise BadOrder(f"name: must be {limits} lower-case letters and digits")
        await self._caught_up()
        if len(self._store.view().accounts(ACCOUNTS_MAX)) >= ACCOUNTS_MAX:
            raise _Refused(
                409, "unfit", f"there are {ACCOUNTS_MAX} accounts, the most there can be"
            )
        key = secrets.token_bytes(ACCOUNT_KEY_BYTES)
        await self._submit(CreateAccount(name, (key,)))
        return 200, {"name": name, "key": base64.b64encode(key).decode("ascii")}

    async def _caught_up(self) -> None:
        """From here on the view shows what was acknowledged before."""
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US_MAX
        await self._store.read_barrier(clock=StageClock(), deadline_us=deadline_us)

    async def _submit(self, command: CreateAccount | SetAccountLimit) -> None:
        """One entry of the log, committed and done."""
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US_MAX
        outcome = await self._store.submit(command, b"", 0, clock=None, deadline_us=deadline_us)
        if outcome.code:
            raise _Refused(409, "unfit", f"{outcome.code}: {command.account}")


def _answering(obey: Callable[[Body], Awaitable[Answer]]) -> Callable[[Body], Awaitable[Answer]]:
    """Turn what an order ends with into an answer."""

    async def answer(body: Body) -> Answer:
        try:
            return await obey(body)
        except BadOrder as error:
            return 400, {"code": "bad", "error": str(error)}
        except _Refused as refused:
            return refused.answer
        except StoreError as error:
            return 503, {"code": "store", "error": str(error)}

    return answer
