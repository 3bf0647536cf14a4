"""Stories on the product's own loop; what the loop is told of errors fails the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

WAIT_S_MAX = 20.0


class Errors(list[BaseException]):
    """What reached the loop's exception handler."""

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.append(error if error is not None else RuntimeError(context["message"]))


def play(
    story: Callable[[], Awaitable[None]], *, expected: type[BaseException] | None = None
) -> None:
    errors = Errors()

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(errors)
        await story()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    if expected is None:
        assert errors == []
    else:
        assert [type(error) for error in errors] == [expected]


async def until(happened: Callable[[], object], what: str) -> None:
    """Give the loop its turns until something is so."""
    give_up_s = time.monotonic() + WAIT_S_MAX
    turn = asyncio.Event()
    while not happened():
        assert time.monotonic() < give_up_s, f"not in {WAIT_S_MAX} s: {what}"
        asyncio.get_running_loop().call_later(0.001, turn.set)
        await turn.wait()
        turn.clear()
