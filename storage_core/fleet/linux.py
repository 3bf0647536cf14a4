"""Processes as Linux knows them: by number, start time and boot, never by number alone.

A process number is used again, so a signal to a remembered one may hit a stranger. An identity
here is (pid, start time, boot id), and a signal goes through a pidfd that was opened first and
checked against the identity after: from then on the kernel itself guards against re-use.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PIDFD_GETFD: Final = 438
"""System call number, the same on every architecture since Linux 5.6."""

PROC = Path("/proc")

_libc = ctypes.CDLL(None, use_errno=True)


class Identity(NamedTuple):
    """One incarnation of one process."""

    pid: int
    start_time_ticks: int
    boot_id: str


class ProcessStat(NamedTuple):
    """What /proc tells of a process in one read."""

    state: str
    session: int
    start_time_ticks: int

    @property
    def is_gone(self) -> bool:
        """A zombie holds its number but runs nothing."""
        return self.state in "ZX"

    @property
    def is_stopped(self) -> bool:
        """Halted by a signal. A profiler's halt ('t') lasts too short a time to count."""
        return self.state == "T"


def boot_id() -> str:
    """Differs after every boot of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read_stat(pid: int) -> ProcessStat | None:
    """None if there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name is in brackets and may itself hold brackets and spaces.
    fields = text.rpartition(")")[2].split()
    return ProcessStat(state=fields[0], session=int(fields[3]), start_time_ticks=int(fields[19]))


def identify(pid: int) -> Identity | None:
    """The incarnation that bears this number now; None for none or a zombie."""
    stat = read_stat(pid)
    if stat is None or stat.is_gone:
        return None
    return Identity(pid, stat.start_time_ticks, boot_id())


def open_pidfd(identity: Identity) -> int | None:
    """A handle to exactly this incarnation, or None if it is gone."""
    try:
        handle = os.pidfd_open(identity.pid)
    except (ProcessLookupError, PermissionError):
        return None
    if identify(identity.pid) != identity:
        os.close(handle)
        return None
    return handle


def send_signal(pidfd: int, number: signal.Signals) -> bool:
    """False if the process is gone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def kill_session(session: int) -> None:
    """Kill what is left of a part after its first process: children that outlived it."""
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is None or stat.session != session or stat.is_gone:
            continue
        handle = open_pidfd(Identity(pid, stat.start_time_ticks, boot_id()))
        if handle is not None:
            send_signal(handle, signal.SIGKILL)
            os.close(handle)


def all_pids() -> Iterator[int]:
    """Every process number in use now."""
    for name in os.listdir(PROC):
        if name.isdigit():
            yield int(name)


def read_environment(pid: int) -> dict[str, str]:
    """What a process was started with; empty if we may not look or it is gone."""
    try:
        raw = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if b"=" in item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def copy_listener(pid: int, port: int) -> socket.socket | None:
    """Our own copy of the shared listening socket that another process holds, or None.

    It is found by what it is (a TCP socket bound to the port, not connected), since a process may
    have moved it to another descriptor, and a shut one no longer counts as listening.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        for number in _socket_descriptors(pid):
            copied = _libc.syscall(PIDFD_GETFD, handle, number, 0)
            if copied < 0:
                continue
            found = socket.socket(fileno=copied)
            if _is_shared_listener(found, port):
                return found
            found.close()
    finally:
        os.close(handle)
    return None


def _socket_descriptors(pid: int) -> list[int]:
    folder = PROC / str(pid) / "fd"
    try:
        links = {int(name): os.readlink(folder / name) for name in os.listdir(folder)}
    except OSError:
        return []  # The process ended, or closed something, while we looked.
    return sorted(number for number, target in links.items() if target.startswith("socket:"))


def _is_shared_listener(candidate: socket.socket, port: int) -> bool:
    if candidate.family != socket.AF_INET or candidate.type != socket.SOCK_STREAM:
        return False
    if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0:
        return False
    try:
        candidate.getpeername()
    except OSError:
        return bool(candidate.getsockname()[1] == port)
    return False


def holder_of_port(port: int) -> str:
    """Who listens on a TCP port, in words a person can act on; "" if we can't tell."""
    inode = _listening_inode(port)
    if not inode:
        return ""
    for pid in all_pids():
        folder = PROC / str(pid) / "fd"
        try:
            links = [os.readlink(folder / name) for name in os.listdir(folder)]
            if f"socket:[{inode}]" in links:
                name = (PROC / str(pid) / "comm").read_text(encoding="utf-8").strip()
                return f"process {pid} ({name})"
        except OSError:
            continue
    return ""


def _listening_inode(port: int) -> str:
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return ""
