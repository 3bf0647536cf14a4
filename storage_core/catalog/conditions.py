"""If-Match, If-None-Match and the two dates: what a condition says about a resource.

As the Blob service documents it: If-None-Match decides before If-Modified-Since, If-Match before
If-Unmodified-Since. Dates have the resolution of HTTP, one second. Writes and reads fail in
different words, so there is one function for each.

Invariant: the answer depends on the condition and the resource alone, never on a clock.
"""

from __future__ import annotations

from typing import Optional, Tuple

from storage_core.catalog.commands import UNCONDITIONAL, Conditions

ANY = "*"


def _names(tags: Tuple[str, ...], etag: str) -> bool:
    plain = etag.strip('"')
    return any([tag == ANY or tag.strip('"') == plain for tag in tags])


def _unmodified(since_ms: int, last_modified_ms: int) -> bool:
    return last_modified_ms // 1000 <= since_ms // 1000


def _must_match_fails(conditions: Conditions, etag: str, last_modified_ms: int) -> bool:
    if conditions.if_match is not None:
        return not _names(conditions.if_match, etag)
    since_ms = conditions.if_unmodified_since_ms
    return since_ms is not None and not _unmodified(since_ms, last_modified_ms)


def _must_differ_fails(conditions: Conditions, etag: str, last_modified_ms: int) -> bool:
    if conditions.if_none_match is not None:
        return _names(conditions.if_none_match, etag)
    since_ms = conditions.if_modified_since_ms
    return since_ms is not None and _unmodified(since_ms, last_modified_ms)


def read_refusal(conditions: Conditions, etag: str, last_modified_ms: int) -> str:
    """For a resource that exists: "", "ConditionNotMet" (412) or "NotModified" (304)."""
    if conditions == UNCONDITIONAL:
        return ""
    if _must_match_fails(conditions, etag, last_modified_ms):
        return "ConditionNotMet"
    if _must_differ_fails(conditions, etag, last_modified_ms):
        return "NotModified"
    return ""


def write_refusal(conditions: Conditions, etag: str, last_modified_ms: int) -> str:
    """For a change of a resource that exists: "" or "ConditionNotMet"."""
    return "ConditionNotMet" if read_refusal(conditions, etag, last_modified_ms) else ""


def create_refusal(conditions: Conditions, etag: Optional[str], last_modified_ms: int) -> str:
    """For a write that creates or replaces; `etag` None means that nothing is there."""
    if conditions == UNCONDITIONAL:
        return ""
    if etag is None:
        return "" if conditions.if_match is None else "ConditionNotMet"
    if conditions.if_none_match is not None and ANY in conditions.if_none_match:
        return "BlobAlreadyExists"
    return write_refusal(conditions, etag, last_modified_ms)
