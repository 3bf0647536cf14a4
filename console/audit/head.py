"""The head of the chain, kept outside the database: a signed file, and a line in the log.

The file says which row was the newest. It is written after each commit, under a lock and never
backwards, so that rows cut off the end stay missed even after new ones were written. Its signature
keeps out whoever can write files but not read secrets; the line in the log, shipped with all logs,
keeps out whoever can do both, and is compared by `manage.py audit verify --anchor`.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import os
from pathlib import Path

from django.conf import settings

from console.audit.chain import Head
from console.secret_files import read_or_make

logger = logging.getLogger(__name__)


class HeadUnreadable(Exception):
    """The head file is not one that this console signed."""


def head_file() -> Path:
    return Path(settings.HOME) / "audit.head"


def _signature(head: Head) -> str:
    key = read_or_make(Path(settings.HOME) / "secrets" / "audit.key")
    said = f"audit head {head.id} {head.hash}"
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()


def read_head() -> Head | None:
    """None if no head was ever written. Raises HeadUnreadable."""
    try:
        said = json.loads(head_file().read_text())
        head = Head(id=int(said["id"]), hash=str(said["hash"]))
        signature = str(said["signature"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadUnreadable(f"{head_file()} can't be read: {error}") from error
    if not hmac.compare_digest(signature.encode(), _signature(head).encode()):
        raise HeadUnreadable(f"{head_file()} has a wrong signature")
    return head


def anchor(head: Head) -> None:
    """Tell the outside that `head` is the newest row, unless it was told of a newer one."""
    logger.info("audit head %d:%s", head.id, head.hash)
    path = head_file()
    with open(path.with_name(f"{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read_head()
        if known is not None and known.id >= head.id:
            return
        draft = path.with_name(f"{path.name}.draft")
        said = {"id": head.id, "hash": head.hash, "signature": _signature(head)}
        with open(draft, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            stream.write(json.dumps(said) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(path)
