"""What the catalog should have done, written a second time and as plainly as possible.

Blobs are kept with all their versions, so that a read can be judged by the index up to which its
node had applied. What always holds: the model is told each entry once, in log order.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Dict, List, NamedTuple, Optional, Tuple

from storage_core.catalog.commands import (
    Chunk,
    Command,
    Conditions,
    DeleteBlob,
    PutBlob,
    PutBlock,
    PutBlockList,
    etag_of,
)

REMEMBERED = 65_536


class Version(NamedTuple):
    """A blob from `index` on; `content` None means that there is none."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls
    content: Optional[bytes]

    @property
    def etag(self) -> str:
        return etag_of(self.index)


NONE = Version(0, None)


class _Blob:
    __slots__ = ("indexes", "uncommitted", "versions")

    def __init__(self) -> None:
        self.indexes: List[int] = []
        self.versions: List[Version] = []
        self.uncommitted: Dict[bytes, bytes] = {}

    def now(self) -> Version:
        return self.versions[-1] if self.versions else NONE

    def add(self, index: int, content: Optional[bytes]) -> None:
        self.indexes.append(index)
        self.versions.append(Version(index, content))
        self.uncommitted = {}


class Model:
    """Blobs by name, and the answer that each operation got first."""

    def __init__(self) -> None:
        self.blobs: Dict[str, _Blob] = {}
        self.answers: Dict[bytes, Tuple[str, int]] = {}
        self._chunks: Dict[bytes, List[bytes]] = {}

    def at(self, name: str, index: int) -> Version:
        """The blob as of `index`."""
        blob = self.blobs.get(name)
        if blob is None:
            return NONE
        place = bisect_right(blob.indexes, index)
        return blob.versions[place - 1] if place else NONE

    def names_at(self, index: int) -> List[str]:
        """The names of all blobs as of `index`, in order."""
        return [name for name in sorted(self.blobs) if self.at(name, index).content is not None]

    def apply(self, index: int, op_id: bytes, command: Command, body: bytes) -> Tuple[str, int]:
        """The code of the outcome and the index that it names."""
        known = self.answers.get(op_id)
        if known is not None:
            return known
        answer = (self._do(index, command, body), index)
        self.answers[op_id] = answer
        return answer

    def refusal(self, command: Command, index: int, *, is_newest: bool) -> str:
        """What `command` would be refused with as of `index`.

        Uncommitted blocks have no versions here: without `is_newest` they are taken as missing.
        """
        if isinstance(command, (PutBlob, PutBlockList)):
            code = _put_refusal(command.conditions, self.at(command.blob, index))
            if not code and isinstance(command, PutBlockList):
                blob = self.blobs.get(command.blob)
                known = blob.uncommitted if blob is not None and is_newest else {}
                if any([choice.block_id not in known for choice in command.blocks]):
                    return "InvalidBlockList"
            return code
        if isinstance(command, DeleteBlob):
            return _delete_refusal(command.conditions, self.at(command.blob, index))
        return ""

    def _do(self, index: int, command: Command, body: bytes) -> str:
        if isinstance(command, Chunk):
            parts = self._chunks.setdefault(command.upload_id, [])
            if command.sequence == len(parts):
                parts.append(body)
            return ""
        if isinstance(command, PutBlob):
            return self._put(index, command, body)
        if isinstance(command, PutBlock):
            blob = self.blobs.setdefault(command.blob, _Blob())
            blob.uncommitted[command.block_id] = body
            return ""
        if isinstance(command, PutBlockList):
            return self._put_block_list(index, command)
        if isinstance(command, DeleteBlob):
            blob = self.blobs.setdefault(command.blob, _Blob())
            code = _delete_refusal(command.conditions, blob.now())
            if not code:
                blob.add(index, None)
            return code
        return ""

    def _put(self, index: int, command: PutBlob, body: bytes) -> str:
        blob = self.blobs.setdefault(command.blob, _Blob())
        code = _put_refusal(command.conditions, blob.now())
        if code:
            return code
        if command.upload_id:
            body = b"".join(self._chunks.pop(command.upload_id))
            assert len(body) == command.size_bytes, "clients send all chunks first"
        blob.add(index, body)
        return ""

    def _put_block_list(self, index: int, command: PutBlockList) -> str:
        blob = self.blobs.setdefault(command.blob, _Blob())
        code = _put_refusal(command.conditions, blob.now())
        if code:
            return code
        parts = [blob.uncommitted.get(choice.block_id) for choice in command.blocks]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return "InvalidBlockList"
        blob.add(index, b"".join(known))
        return ""


def _put_refusal(conditions: Conditions, now: Version) -> str:
    if conditions.if_none_match == ("*",) and now.content is not None:
        return "BlobAlreadyExists"
    if conditions.if_match is not None and not _matches(conditions.if_match, now):
        return "ConditionNotMet"
    return ""


def _delete_refusal(conditions: Conditions, now: Version) -> str:
    if now.content is None:
        return "BlobNotFound"
    if conditions.if_match is not None and not _matches(conditions.if_match, now):
        return "ConditionNotMet"
    return ""


def _matches(wanted: Tuple[str, ...], now: Version) -> bool:
    return now.content is not None and now.etag.strip('"') in wanted
