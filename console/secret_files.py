"""Secrets are made on the first start and never shipped.

A secret is one line in a file of mode 0600 under `secrets/`. Two processes may start at once, so
the file is created under another name and linked into place: whoever loses reads the winner's.
"""

import os
import secrets
from pathlib import Path

SECRET_BYTES = 48


def read_or_make(path: Path) -> str:
    """The secret in `path`, made now if there is none. Never empty."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(SECRET_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # Another process was first; its secret is the secret.
        finally:
            draft.unlink()
    value = path.read_text().strip()
    if not value:
        raise ValueError(f"{path} is empty: remove it, and a new secret is made at the next start")
    return value
