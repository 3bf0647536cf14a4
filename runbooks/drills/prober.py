"""The drill's own traffic: clients that never retry, each pinned to one door, all in one history.

Two clients stand at each node's own port and two at the front door. Each asks one thing at a time,
at a steady pace, of a few keys that all share, so that they have to agree about them. What came
back is written into the history at once as it is: *ok*, *fail* only where it surely did not happen,
else *info*. The pace is drawn from the drill's seed; the times are not.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from runbooks.drills import content, history, limits, wire
from runbooks.drills.history import ABSENT, Kind, Operation, Outcome
from runbooks.drills.wire import Answer, Connection, NotSent

OPERATION_S_MAX = 9.0
"""Longer than the front door parks a request (5 s), so that the store's own answer is heard."""

PACE_S = 0.05
REGISTERS = 8
DELETABLE = 2
SMALL_BYTES, LARGE_BYTES = 128, 4096
READ_BACK_TRIES = 6
READ_BACK_WAIT_S = 0.5

_OUTCOME = re.compile(rb"<Outcome>(\w+)</Outcome>")


class Recorder:
    """The one history. Every line is in the file before anything else happens. `slower` than usual
    is how its clients ask.
    """

    def __init__(self, stream: TextIO, *, started_s: float) -> None:
        self.operations: list[Operation] = []
        self.slower = 1.0
        self._stream = stream
        self._started_s = started_s
        self._values = 0

    @property
    def is_full(self) -> bool:
        return len(self.operations) >= limits.HISTORY_OPERATIONS_MAX

    def now_us(self) -> int:
        """Since the drill's start."""
        return int((time.monotonic() - self._started_s) * 1_000_000)

    def new_value(self) -> int:
        """A number that no other write carries."""
        self._values += 1
        return self._values

    def invoke(
        self, client: int, path: str, kind: Kind, key: str, *, value: int | None = None,
        size_bytes: int = 0, expected: str = "",
    ) -> Operation:  # fmt: skip
        """Before it is sent, so that its interval is never shorter than the truth."""
        operation = Operation(
            index=len(self.operations),
            client=client,
            path=path,
            kind=kind,
            key=key,
            value=value,
            size_bytes=size_bytes,
            invoked_us=self.now_us(),
            expected=expected,
        )
        self.operations.append(operation)
        self._stream.write(history.invoked(operation) + "\n")
        return operation

    def complete(
        self, operation: Operation, outcome: Outcome, *, value: int | None = None,
        version: str = "", error: str = "",
    ) -> Operation:  # fmt: skip
        """After the answer was read."""
        ended = replace(
            operation,
            outcome=outcome,
            completed_us=self.now_us(),
            value=operation.value if operation.is_change else value,
            version=version,
            error=error,
        )
        self.operations[operation.index] = ended
        self._stream.write(history.completed(ended) + "\n")
        return ended


class Client:
    """One client at one door."""

    def __init__(
        self, number: int, path: str, port: int, *, container: str, recorder: Recorder, seed: int
    ) -> None:
        self.path = path
        self._number = number
        self._connection = Connection(port)
        self._container = container
        self._recorder = recorder
        self._random = random.Random(f"{seed}:{number}")
        self._seen: dict[str, str] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Ask until told to stop; the last answer is waited for."""
        while not stopped.is_set() and not self._recorder.is_full:
            await self._one()
            # A client that fails at once must not ask in a loop.
            await asyncio.sleep(PACE_S * self._recorder.slower * self._random.uniform(0.7, 1.3))
        self.close()

    def close(self) -> None:
        self._connection.close()

    async def look(self, key: str) -> Operation:
        """One read."""
        asked = self._recorder.invoke(self._number, self.path, Kind.READ, key)
        return await self._send(asked, wire.get(f"{self._container}/{key}"))

    async def _one(self) -> None:
        draw = self._random.random()
        if draw < 0.40:
            await self.look(self._some_key())
        elif draw < 0.65:
            await self._write(Kind.WRITE, f"r-{self._random.randrange(REGISTERS)}")
        elif draw < 0.90:
            await self._write(Kind.WRITE, "")
        elif draw < 0.96:
            key = f"r-{self._random.randrange(REGISTERS)}"
            expected = self._seen.get(key, "")
            await self._write(Kind.REPLACE if expected else Kind.WRITE, key, expected)
        elif draw < 0.98:
            await self._write(Kind.WRITE, f"d-{self._random.randrange(DELETABLE)}")
        else:
            key = f"d-{self._random.randrange(DELETABLE)}"
            asked = self._recorder.invoke(self._number, self.path, Kind.DELETE, key)
            await self._send(asked, wire.delete(f"{self._container}/{key}"))

    def _some_key(self) -> str:
        if self._random.random() < 0.1:
            return f"d-{self._random.randrange(DELETABLE)}"
        return f"r-{self._random.randrange(REGISTERS)}"

    async def _write(self, kind: Kind, key: str, expected: str = "") -> None:
        """Without a key: to one of its own that is never written again, for the read-back."""
        value = self._recorder.new_value()
        size_bytes = LARGE_BYTES if self._random.random() < 0.1 else SMALL_BYTES
        body = content.body_of(self._container, value, size_bytes)
        key = key or f"u-{value}"
        asked = self._recorder.invoke(
            self._number, self.path, kind, key,
            value=value, size_bytes=len(body), expected=expected,
        )  # fmt: skip
        await self._send(asked, wire.put(f"{self._container}/{key}", body, expected=expected))

    async def _send(self, asked: Operation, request: bytes) -> Operation:
        try:
            answer = await self._connection.ask(request, timeout_s=OPERATION_S_MAX)
        except NotSent as error:
            return self._recorder.complete(asked, Outcome.FAIL, error=f"not sent: {error}")
        except (OSError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            # A read that was not answered changed nothing, whatever became of it.
            outcome = Outcome.INFO if asked.is_change else Outcome.FAIL
            return self._recorder.complete(asked, outcome, error=type(error).__name__)
        return self._heard(asked, answer)

    def _heard(self, asked: Operation, answer: Answer) -> Operation:
        version = answer.headers.get("etag", "")
        if asked.kind is Kind.READ and answer.status in (200, 404):
            found = answer.status == 200
            value = content.value_of(self._container, answer.body) if found else ABSENT
            if found:
                self._seen[asked.key] = version
            return self._recorder.complete(
                asked, Outcome.OK, value=value, version=version if found else ""
            )
        if asked.is_change and answer.status in (201, 202):
            if answer.status == 201:
                self._seen[asked.key] = version
            return self._recorder.complete(asked, Outcome.OK, version=version)
        outcome = Outcome.FAIL if surely_not_done(asked, answer) else Outcome.INFO
        return self._recorder.complete(asked, outcome, error=f"HTTP {answer.status}")


def surely_not_done(asked: Operation, answer: Answer) -> bool:
    """Whether this refusal promises that nothing happened and nothing will."""
    if not asked.is_change or 400 <= answer.status < 500:
        return True
    told = _OUTCOME.search(answer.body)
    return told is not None and told[1] == b"none"


async def read_back(clients: Sequence[Client], keys: Sequence[str], *, everywhere: bool) -> None:
    """Read each key, in turn through the clients, or through all of them; try again where no
    answer comes. What stays unread shows as missing.
    """
    count = len(clients)
    work = [keys if everywhere else keys[number::count] for number in range(count)]

    async def go_through(client: Client, own: Sequence[str]) -> None:
        for key in own:
            for _ in range(READ_BACK_TRIES):
                if (await client.look(key)).is_ok:
                    break
                await asyncio.sleep(READ_BACK_WAIT_S)

    await asyncio.gather(*(go_through(c, own) for c, own in zip(clients, work, strict=True)))
