"""Requests signed ahead of time, so that the client's work doesn't hide the server's.

SharedKey as the Blob service's documentation defines it ("Authorize with Shared Key"). Written
apart from the server's own verification on purpose: one checks the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote

ACCOUNT = "devstoreaccount1"
# The emulator's published key; a fact of the protocol, not a secret.
KEY = base64.b64decode(
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
VERSION = "2023-11-03"


def sign(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    at_s: float | None = None,
    key: bytes = KEY,
) -> dict[str, str]:
    """All headers of a signed request. `path` is /account/container/blob, already quoted."""
    found = {
        "x-ms-date": formatdate(time.time() if at_s is None else at_s, usegmt=True),
        "x-ms-version": VERSION,
        **(headers or {}),
    }
    if body or method in ("PUT", "POST"):
        found["Content-Length"] = str(len(body))
    lower = {name.lower(): value for name, value in found.items()}
    ms_headers = sorted((name, value) for name, value in lower.items() if name.startswith("x-ms-"))
    length = lower.get("content-length", "")
    lines = [
        method,
        lower.get("content-encoding", ""),
        lower.get("content-language", ""),
        "" if length == "0" else length,
        lower.get("content-md5", ""),
        lower.get("content-type", ""),
        "",
        lower.get("if-modified-since", ""),
        lower.get("if-match", ""),
        lower.get("if-none-match", ""),
        lower.get("if-unmodified-since", ""),
        lower.get("range", ""),
        *(f"{name}:{value}" for name, value in ms_headers),
        f"/{ACCOUNT}{path}",
        *(f"{name}:{value}" for name, value in sorted((query or {}).items())),
    ]
    signature = base64.b64encode(hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256))
    found["Authorization"] = f"SharedKey {ACCOUNT}:{signature.decode()}"
    return found


def raw(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a signed request on a keep-alive connection."""
    signed = sign(method, path, body=body, headers=headers, query=query)
    target = path
    if query:
        target += "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in signed.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def put_blob(container: str, blob: str, body: bytes) -> bytes:
    """Put Blob, whole."""
    path = f"/{ACCOUNT}/{container}/{quote(blob)}"
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    return raw("PUT", path, body=body, headers=headers)


def get_blob(container: str, blob: str) -> bytes:
    """Get Blob, whole."""
    return raw("GET", f"/{ACCOUNT}/{container}/{quote(blob)}")


def create_container(container: str) -> bytes:
    """Create Container."""
    return raw("PUT", f"/{ACCOUNT}/{container}", query={"restype": "container"})
