"""Tasks that nobody awaits, and whose failures show all the same.

An error in a task that is merely kept in a set comes to light when the task is collected, maybe
never. Here it goes to the loop's exception handler as soon as it happens, as a callback's would:
so a broken assertion stops the node wherever it was met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


def spawn(
    loop: asyncio.AbstractEventLoop,
    tasks: set[asyncio.Task[None]],
    work: Coroutine[None, None, None],
) -> asyncio.Task[None]:
    """Run `work`, kept alive in `tasks` until it's done."""
    task = loop.create_task(work)
    tasks.add(task)

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "a background task failed", "exception": error, "task": task}
            loop.call_exception_handler(context)

    task.add_done_callback(ended)
    return task
