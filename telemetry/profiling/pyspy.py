"""Runs py-spy on a process and measures what that cost the process.

py-spy stops its target for each sample. How long depends on threads and depth (0.3 to 2.4 ms a
sample were measured), so the figure isn't promised but taken: while it runs, the target's state
is read at random moments, and the share of "tracing stop" among them is the share of time it
stood still. That holds for a target that mostly sleeps, too, where the scheduler's statistics
(run and wait times) can't tell sleep from stop. `--nonblocking` never stops the target; samples
may then be torn.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from telemetry.profiling import stacks

SECONDS_MAX: Final = 120
RATE_HZ_MAX: Final = 500
GRACE_S: Final = 20.0
"""py-spy reads the symbols of a large process before its first sample."""
RAW_BYTES_MAX: Final = 32 * 1024 * 1024
LOOK_S_MIN: Final = 0.001
LOOK_S_MAX: Final = 0.009
"""Moments of looking are random, so that they can't beat in time with the samples."""


class ProfileFailed(Exception):
    """There is no profile, and this is why."""


class Profile(NamedTuple):
    """What one capture saw."""

    collapsed: str
    sample_count: int
    pause_percent: float
    looks_count: int
    """Moments behind `pause_percent`; its error is about 100 / sqrt(looks) percent of itself."""


def find_binary() -> str:
    """The py-spy of this environment, else of the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if not found:
        raise ProfileFailed("py-spy is not installed: pip install py-spy")
    return found


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does: R, S, D, t (stopped by a tracer), ..."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return text.rpartition(")")[2].split()[0]


async def record(
    pid: int, *, seconds: int, rate_hz: int, nonblocking: bool = False, idle: bool = False
) -> Profile:
    """Capture the stacks of a process. The caller has checked that `pid` is what it means."""
    assert 1 <= seconds <= SECONDS_MAX, seconds
    assert 1 <= rate_hz <= RATE_HZ_MAX, rate_hz
    with tempfile.TemporaryDirectory(prefix="holdfast-profile-") as folder:
        output = Path(folder) / "stacks"
        arguments = [
            "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(rate_hz),
            "--format", "raw", "--output", str(output),
        ]  # fmt: skip
        arguments += ["--nonblocking"] * nonblocking + ["--idle"] * idle
        process = await asyncio.create_subprocess_exec(
            find_binary(),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        looks = _Looks()
        watching = asyncio.create_task(looks.watch(pid))
        try:
            async with asyncio.timeout(seconds + GRACE_S):
                _, errors = await process.communicate()
        except TimeoutError:
            raise ProfileFailed(f"py-spy did not end within {seconds + GRACE_S:.0f} s") from None
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise ProfileFailed(_reason(errors.decode(errors="replace")))
        if not output.exists():
            raise ProfileFailed("py-spy saw no stack: the process may have been idle throughout")
        return _profile(output, looks)


class _Looks:
    """Looks at a process until cancelled: how many, and how many found it stopped by a tracer."""

    def __init__(self) -> None:
        self.count = 0
        self.stopped_count = 0

    async def watch(self, pid: int) -> None:
        while True:
            try:
                state = state_of(pid)
            except (FileNotFoundError, ProcessLookupError):
                return
            self.count += 1
            self.stopped_count += state == "t"
            await asyncio.sleep(random.uniform(LOOK_S_MIN, LOOK_S_MAX))


def _profile(output: Path, looks: _Looks) -> Profile:
    if output.stat().st_size > RAW_BYTES_MAX:
        raise ProfileFailed(f"more than {RAW_BYTES_MAX} bytes of stacks: lower the rate")
    try:
        found = stacks.parse(output.read_text(encoding="utf-8", errors="replace"))
    except stacks.MalformedStacks as error:
        raise ProfileFailed(f"py-spy wrote something else than stacks: {error}") from error
    return Profile(
        collapsed=stacks.render(found),
        sample_count=sum(found.values()),
        pause_percent=100.0 * looks.stopped_count / max(1, looks.count),
        looks_count=looks.count,
    )


def _reason(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    text = " ".join(line.removeprefix("Error: ") for line in lines)[:500]
    if "permission" in text.lower():
        text += " (the profiler needs the right to trace: same user, or CAP_SYS_PTRACE)"
    return text or "py-spy failed without a word"
