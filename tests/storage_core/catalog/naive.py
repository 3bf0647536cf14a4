"""The catalog as a person would write it down: dicts of blobs, decided one command at a time.

Independent of the real one: no rows, no batches, no generations, no reaper. A `Part` is one body in
the log; moving it changes the part, wherever it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from storage_core.catalog.commands import (
    COMMITTED,
    UNCOMMITTED,
    AbortUpload,
    BlobProperties,
    Chunk,
    Command,
    Conditions,
    CreateAccount,
    CreateContainer,
    DeleteBlob,
    DeleteContainer,
    ExpireUploads,
    Metadata,
    Move,
    PutBlob,
    PutBlock,
    PutBlockList,
    Reap,
    SetAccountLimit,
    SetBlobMetadata,
    SetBlobProperties,
    SetContainerMetadata,
)
from storage_core.log.format import Extent


@dataclass(eq=False)
class Part:
    body: bytes
    extent: Extent


@dataclass
class Blob:
    etag_index: int
    created_ms: int
    last_modified_ms: int
    properties: BlobProperties
    metadata: Metadata
    blocks: list[tuple[bytes, list[Part]]]  # id b"" where the blob was put whole

    @property
    def content(self) -> bytes:
        return b"".join([part.body for _, parts in self.blocks for part in parts])


@dataclass
class Container:
    etag_index: int
    last_modified_ms: int
    metadata: Metadata
    generation: int
    blobs: dict[str, Blob] = field(default_factory=dict)
    waiting: dict[str, dict[bytes, list[Part]]] = field(default_factory=dict)
    touched_ms: dict[str, int] = field(default_factory=dict)


@dataclass
class Upload:
    owner: tuple[int, str, bytes]
    touched_ms: int
    parts: list[Part] = field(default_factory=list)


def fails(conditions: Conditions, etag_index: int, last_modified_ms: int) -> bool:
    """For something that exists."""
    etag = "0x8D%014X" % etag_index
    seconds = last_modified_ms // 1000
    match, none, modified, unmodified = conditions
    if match is not None:
        if not any(tag in ("*", etag, f'"{etag}"') for tag in match):
            return True
    elif unmodified is not None and seconds > unmodified // 1000:
        return True
    if none is not None:
        return any(tag in ("*", etag, f'"{etag}"') for tag in none)
    return modified is not None and seconds <= modified // 1000


class Naive:
    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.uploads: dict[bytes, Upload] = {}

    def apply(self, command: Command, index: int, time_ms: int, body: bytes, extent: Extent) -> str:
        """The code; "" is done."""
        if isinstance(command, AbortUpload):
            self.uploads.pop(command.upload_id, None)
            return ""
        if isinstance(command, ExpireUploads):
            self._expire(command)
            return ""
        if isinstance(command, Move):
            self._move(command, extent)
            return ""
        assert not isinstance(command, (CreateAccount, SetAccountLimit, Reap)), (
            "the tests do without these here"
        )
        box = self.containers.get(command.container)
        if isinstance(command, CreateContainer):
            if box is not None:
                return "ContainerAlreadyExists"
            self.containers[command.container] = Container(index, time_ms, command.metadata, index)
            return ""
        parts = [Part(body, extent)] if body else []
        code = self._in_container(command, box, index, time_ms, parts)
        if isinstance(command, (PutBlob, PutBlock)):
            self.uploads.pop(command.upload_id, None)
        return code

    def _in_container(
        self, command: Command, box: Container | None, index: int, time_ms: int, parts: list[Part]
    ) -> str:
        if box is None:
            return "ContainerNotFound"
        if isinstance(command, (DeleteContainer, SetContainerMetadata)):
            if fails(command.conditions, box.etag_index, box.last_modified_ms):
                return "ConditionNotMet"
            if isinstance(command, DeleteContainer):
                del self.containers[command.container]
            else:
                box.etag_index, box.last_modified_ms = index, time_ms
                box.metadata = command.metadata
            return ""
        if isinstance(command, Chunk):
            return self._chunk(command, box, time_ms, parts)
        if isinstance(command, PutBlock):
            return self._put_block(command, box, time_ms, parts)
        if isinstance(command, (PutBlob, PutBlockList)):
            return self._put(command, box, index, time_ms, parts)
        assert isinstance(command, (DeleteBlob, SetBlobMetadata, SetBlobProperties))
        blob = box.blobs.get(command.blob)
        if blob is None:
            return "BlobNotFound"
        if fails(command.conditions, blob.etag_index, blob.last_modified_ms):
            return "ConditionNotMet"
        if isinstance(command, DeleteBlob):
            del box.blobs[command.blob]
            box.waiting.pop(command.blob, None)
            return ""
        blob.etag_index, blob.last_modified_ms = index, time_ms
        if isinstance(command, SetBlobMetadata):
            blob.metadata = command.metadata
        else:
            blob.properties = command.properties
        return ""

    def _chunk(self, command: Chunk, box: Container, time_ms: int, parts: list[Part]) -> str:
        owner = (box.generation, command.blob, command.block_id)
        upload = self.uploads.get(command.upload_id) or Upload(owner, time_ms)
        if upload.owner != owner:
            return "InvalidBlobOrBlock"
        if command.sequence < len(upload.parts):
            return ""
        if command.sequence > len(upload.parts) or not parts:
            return "InvalidBlobOrBlock"
        upload.parts += parts
        upload.touched_ms = time_ms
        self.uploads[command.upload_id] = upload
        return ""

    def _arrived(
        self, command: PutBlob | PutBlock, box: Container, block_id: bytes, parts: list[Part]
    ) -> list[Part] | None:
        if command.upload_id:
            upload = self.uploads.get(command.upload_id)
            owner = (box.generation, command.blob, block_id)
            if upload is None or upload.owner != owner:
                return None
            if len(upload.parts) != command.chunk_count:
                return None
            parts = upload.parts
        return parts if sum(len(part.body) for part in parts) == command.size_bytes else None

    def _put_block(self, command: PutBlock, box: Container, time_ms: int, parts: list[Part]) -> str:
        waiting = box.waiting.get(command.blob, {})
        if not command.block_id or any(len(key) != len(command.block_id) for key in waiting):
            return "InvalidBlobOrBlock"
        arrived = self._arrived(command, box, command.block_id, parts)
        if arrived is None:
            return "InvalidBlobOrBlock"
        box.waiting[command.blob] = {**waiting, command.block_id: arrived}
        box.touched_ms[command.blob] = time_ms
        return ""

    def _put(
        self,
        command: PutBlob | PutBlockList,
        box: Container,
        index: int,
        time_ms: int,
        parts: list[Part],
    ) -> str:
        old = box.blobs.get(command.blob)
        conditions = command.conditions
        if old is None:
            if conditions.if_match is not None:
                return "ConditionNotMet"
        elif fails(conditions, old.etag_index, old.last_modified_ms):
            named = conditions.if_none_match or ()
            return "BlobAlreadyExists" if "*" in named else "ConditionNotMet"
        if isinstance(command, PutBlob):
            arrived = self._arrived(command, box, b"", parts)
            if arrived is None:
                return "InvalidBlobOrBlock"
            blocks = [(b"", arrived)]
        else:
            if len({len(choice.block_id) for choice in command.blocks}) > 1:
                return "InvalidBlobOrBlock"
            waiting = box.waiting.get(command.blob, {})
            committed = {key: value for key, value in old.blocks if key} if old is not None else {}
            blocks = []
            for block_id, source in command.blocks:
                found = waiting.get(block_id) if source != COMMITTED else None
                if found is None and source != UNCOMMITTED:
                    found = committed.get(block_id)
                if found is None:
                    return "InvalidBlockList"
                blocks.append((block_id, found))
        created_ms = time_ms if old is None else old.created_ms
        box.blobs[command.blob] = Blob(
            index, created_ms, time_ms, command.properties, command.metadata, blocks
        )
        box.waiting.pop(command.blob, None)
        return ""

    def _expire(self, command: ExpireUploads) -> None:
        self.uploads = {
            key: upload
            for key, upload in self.uploads.items()
            if upload.touched_ms >= command.uploads_before_ms
        }

    def _move(self, command: Move, extent: Extent) -> None:
        for part in self.parts():
            if part.extent == command.old:
                part.extent = extent

    def parts(self) -> list[Part]:
        """Every use of a body."""
        found = [part for upload in self.uploads.values() for part in upload.parts]
        for box in self.containers.values():
            for blob in box.blobs.values():
                found += [part for _, parts in blob.blocks for part in parts]
            for waiting in box.waiting.values():
                found += [part for parts in waiting.values() for part in parts]
        return found

    def live(self) -> dict[int, int]:
        live: dict[int, int] = {}
        for part in self.parts():
            seq = part.extent.segment_seq
            live[seq] = live.get(seq, 0) + len(part.body)
        return live

    def listing(self, container: str, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """Names and common prefixes, each in UTF-8 order."""
        names: list[str] = []
        prefixes: set[str] = set()
        for name in self.containers[container].blobs:
            if not name.startswith(prefix):
                continue
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                prefixes.add(prefix + head + delimiter)
            else:
                names.append(name)
        return sorted(names, key=str.encode), sorted(prefixes, key=str.encode)
