"""One incarnation of one part: started by us or found running, watched until it ends.

A part leads its own session, so Ctrl-C in the terminal reaches the supervisor alone and what the
part itself started can be found and ended with it. Its end is seen through a pidfd, at once and
without polling, whether or not it is our child; that it was stopped (SIGSTOP) is told by SIGCHLD
for our children and by a look at /proc for adopted ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from storage_core.fleet.linux import (
    Identity,
    boot_id,
    kill_session,
    open_pidfd,
    read_stat,
    send_signal,
)

LOG_SIZE_BYTES_MAX: Final = 32 << 20
"""A log above this is set aside under `.1` and begun anew; two such files a part at most."""


class PartProcess:
    """Owned by the supervisor's loop; `on_change` is called when it ends, stops or continues."""

    def __init__(
        self, identity: Identity, pidfd: int, child: subprocess.Popen[bytes] | None
    ) -> None:
        self.identity = identity
        self.started_s = time.monotonic()
        self.ended = asyncio.Event()
        self.exit_code: int | None = None
        """Negative for a signal; None while it runs, and for ever if it wasn't our child."""
        self.is_stopped = False
        self._pidfd = pidfd
        self._child = child

    @property
    def is_ours(self) -> bool:
        """Whether this supervisor started it."""
        return self._child is not None

    def watch(self, on_change: Callable[[], None]) -> None:
        """Begin to watch for the end."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pidfd, self._on_end, loop, on_change)

    def _on_end(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.is_stopped = False
        self.ended.set()
        # First let the front door turn away from it, then clean up, which takes milliseconds.
        on_change()
        # As long as we have not reaped it, its number can't be given to a stranger.
        kill_session(self.identity.pid)
        if self._child is not None:
            self.exit_code = self._child.wait()

    def look(self) -> bool:
        """See whether it is stopped now; True if that changed."""
        if self.ended.is_set():
            return False
        stat = read_stat(self.identity.pid)
        is_stopped = stat is not None and stat.is_stopped
        changed = is_stopped != self.is_stopped
        self.is_stopped = is_stopped
        return changed

    def signal(self, number: signal.Signals) -> bool:
        """False if it has ended."""
        return not self.ended.is_set() and send_signal(self._pidfd, number)

    async def stop(self, grace_s: float) -> bool:
        """Ask it to end, then make it; False if it had to be made to."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace_s):
                await self.ended.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended.wait()
            return False
        return True


def start_process(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    descriptors: Sequence[int],
) -> PartProcess:
    """Start a part in its own session with its output in `log`."""
    trim_log(log)
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(descriptors),
            start_new_session=True,
            umask=0o077,
        )
    # Not yet reaped, so the number is this child's even if it has ended already.
    stat = read_stat(child.pid)
    assert stat is not None, "an unreaped child is in the process table"
    identity = Identity(child.pid, stat.start_time_ticks, boot_id())
    return PartProcess(identity, os.pidfd_open(child.pid), child)


def adopt_process(identity: Identity) -> PartProcess | None:
    """Take over a part that an earlier supervisor started; None if it ended meanwhile."""
    pidfd = open_pidfd(identity)
    return None if pidfd is None else PartProcess(identity, pidfd, None)


def trim_log(log: Path) -> None:
    """Set a long log aside. Its writer appends, so it goes on at the new start of the file."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size > LOG_SIZE_BYTES_MAX:
        aside = log.with_name(log.name + ".1")
        with open(log, "rb") as source, open(aside, "wb") as target:
            os.sendfile(target.fileno(), source.fileno(), 0, size)
        os.truncate(log, 0)


def last_lines(log: Path, count: int) -> str:
    """The end of a log, to show next to the news that its writer failed."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4096))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join("    | " + line[:160] for line in text.splitlines()[-count:])
