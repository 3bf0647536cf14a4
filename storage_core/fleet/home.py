"""The home folder: what must exist before any process starts, and who may start them.

One supervisor owns a home at a time. The proof is a lock that the kernel drops when its holder
dies, so a crash leaves nothing to clean up. Secrets are made on the first start, readable by their
owner only, and never replaced. The cluster's identity is bound into every log record, so it is
written once, in full or not at all.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Final, NamedTuple

from storage_core.config import GROUP_ID, SOCKET_PATH_BYTES_MAX, SettingError, Settings

SECRET_NAMES: Final = ("admin.token", "django.key", "otlp.token", "peer.key")
SECRET_BYTES: Final = 48
ACCOUNT_KEY_BYTES: Final = 64
FOLDERS: Final = ("data", "logs", "run", "secrets", "telemetry", "valkey")


class Cluster(NamedTuple):
    """Who this fleet is; the same for as long as its data lives."""

    cluster_id: int
    group_id: int
    nodes: int
    created_at: str


def prepare_home(settings: Settings) -> Cluster:
    """Make what is missing. Raises SettingError where the home can't serve these settings."""
    longest = len(os.fsencode(settings.run / "supervisor.sock"))
    if longest > SOCKET_PATH_BYTES_MAX:
        expected = f"a path at least {longest - SOCKET_PATH_BYTES_MAX} bytes shorter"
        raise SettingError("HOLDFAST_HOME", str(settings.home), expected + " (Unix sockets)")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in FOLDERS:
        (settings.home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for node in range(settings.nodes):
        settings.data(node).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in SECRET_NAMES:
        _write_once(settings.secrets / name, secrets.token_urlsafe(SECRET_BYTES) + "\n")
    account_key = base64.b64encode(secrets.token_bytes(ACCOUNT_KEY_BYTES)).decode("ascii")
    _write_once(settings.secrets / "canary.key", account_key + "\n")
    cluster = _read_or_make_cluster(settings)
    if cluster.nodes != settings.nodes:
        raise SettingError(
            "HOLDFAST_NODES",
            str(settings.nodes),
            f"{cluster.nodes}, with which {settings.home} was made; or another HOLDFAST_HOME",
        )
    return cluster


def _read_or_make_cluster(settings: Settings) -> Cluster:
    path = settings.home / "cluster.json"
    fresh = Cluster(
        cluster_id=secrets.randbits(64),
        group_id=GROUP_ID,
        nodes=settings.nodes,
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    _write_once(path, json.dumps(fresh._asdict(), indent=2) + "\n")
    found = json.loads(path.read_text(encoding="utf-8"))
    return Cluster(
        cluster_id=int(found["cluster_id"]),
        group_id=int(found["group_id"]),
        nodes=int(found["nodes"]),
        created_at=str(found["created_at"]),
    )


def _write_once(path: Path, text: str) -> None:
    """Create the file whole and durable, or leave the one that is there."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # Somebody else was first; theirs stands.
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def replace_file(path: Path, text: str) -> None:
    """Put new content in place whole: a reader sees the old file or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_home(settings: Settings) -> int | None:
    """The lock's descriptor, held until this process ends; None if another one holds it."""
    descriptor = os.open(settings.run / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
