"""The catalog answers and holds what a naive model does, however it is batched or crashed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage_core.catalog.commands import (
    AbortUpload,
    BlobProperties,
    BlockChoice,
    Chunk,
    Command,
    Conditions,
    CreateAccount,
    CreateContainer,
    DeleteBlob,
    DeleteContainer,
    ExpireUploads,
    Move,
    Outcome,
    PutBlob,
    PutBlock,
    PutBlockList,
    SetBlobMetadata,
    SetBlobProperties,
    SetContainerMetadata,
    etag_of,
)
from storage_core.index.memory import MemoryIndex
from tests.storage_core.catalog.driving import ACCOUNT, START_MS, Driver, all_rows, recount
from tests.storage_core.catalog.naive import Blob, Naive

BOXES = ("box", "crate")
NAMES = ("a", "a/b", "a/b/c", "a/\U0001f600", "a\uffff", "b\x00c", "é")
UPLOADS = (b"u" * 16, b"v" * 16)
BODIES = (b"", b"one", b"twotwo", b"three-three")

# Mostly the same few, so that commands meet.
boxes = st.sampled_from(BOXES[:1] * 4 + BOXES)
names = st.sampled_from(NAMES[:2] * 4 + NAMES)
bodies = st.sampled_from(BODIES)
block_ids = st.sampled_from((b"00", b"01", b"02", b"long"))
metadata = st.sampled_from(((), (("k", "v"),), (("k", "é"), ("l", ""))))
properties = st.sampled_from(
    (BlobProperties(), BlobProperties("text/plain", "gzip", "de", b"m" * 16, "no-cache", "inline"))
)
tags = st.one_of(
    st.just(("*",)),
    st.lists(st.integers(1, 12).map(etag_of), min_size=1, max_size=2).map(tuple),
)
dates = st.integers(0, 6).map(lambda step: START_MS + step * 400)
conditions = st.one_of(
    st.just(Conditions()),
    st.builds(
        Conditions,
        st.none() | tags,
        st.none() | tags,
        st.none() | dates,
        st.none() | dates,
    ),
)
choices = st.builds(BlockChoice, block_ids, st.integers(0, 2))
commands = st.one_of(
    st.builds(CreateContainer, st.just(ACCOUNT), boxes, metadata),
    st.builds(DeleteContainer, st.just(ACCOUNT), boxes, conditions),
    st.builds(SetContainerMetadata, st.just(ACCOUNT), boxes, metadata, conditions),
    st.builds(DeleteBlob, st.just(ACCOUNT), boxes, names, conditions),
    st.builds(SetBlobMetadata, st.just(ACCOUNT), boxes, names, metadata, conditions),
    st.builds(SetBlobProperties, st.just(ACCOUNT), boxes, names, properties, conditions),
    st.builds(AbortUpload, st.sampled_from(UPLOADS)),
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = MemoryIndex()
        self.driver = Driver(self.index)
        self.one_by_one = Driver(MemoryIndex())
        self.naive = Naive()
        self.expected: list[Outcome] = []

    @initialize()
    def open(self) -> None:
        self._append(CreateAccount(ACCOUNT, (b"key",)), b"")
        self._log(CreateContainer(ACCOUNT, "box"), b"")

    def _append(self, command: Command, body: bytes, op_id: bytes | None = None) -> int:
        entry = self.driver.append(command, body, op_id)
        self.one_by_one.time_ms = self.driver.time_ms
        self.one_by_one.append(command, body, op_id)
        self.one_by_one.settle()
        self.expected.append(Outcome("", entry.index, entry.term, etag_of(1), START_MS, b""))
        return entry.index

    def _log(self, command: Command, body: bytes) -> None:
        index = self._append(command, body)
        time_ms = self.driver.time_ms
        extent = self.driver.extent_of(index)
        code = self.naive.apply(command, index, time_ms, body, extent)
        silent = (DeleteBlob, DeleteContainer, PutBlock, Chunk, AbortUpload, Move, ExpireUploads)
        term = self.expected[-1].term
        if code or isinstance(command, silent):
            self.expected[-1] = Outcome(code, index, term, "", 0, b"")
        else:
            self.expected[-1] = Outcome("", index, term, etag_of(index), time_ms, b"")

    @rule(command=commands)
    def change(self, command: Command) -> None:
        self._log(command, b"")

    @rule(box=boxes, name=names, body=bodies, what=properties, data=metadata, when=conditions)
    def put(
        self,
        box: str,
        name: str,
        body: bytes,
        what: BlobProperties,
        data: tuple[tuple[str, str], ...],
        when: Conditions,
    ) -> None:
        self._log(PutBlob(ACCOUNT, box, name, len(body), what, data, when), body)

    @rule(box=boxes, name=names, block_id=block_ids, body=bodies)
    def put_block(self, box: str, name: str, block_id: bytes, body: bytes) -> None:
        self._log(PutBlock(ACCOUNT, box, name, block_id, len(body)), body)

    @rule(box=boxes, name=names, blocks=st.lists(choices, max_size=3), when=conditions)
    def put_list(self, box: str, name: str, blocks: list[BlockChoice], when: Conditions) -> None:
        self._log(PutBlockList(ACCOUNT, box, name, tuple(blocks), conditions=when), b"")

    @rule(name=names, ids=st.lists(block_ids, min_size=1, max_size=3), body=bodies)
    def put_in_parts(self, name: str, ids: list[bytes], body: bytes) -> None:
        for block_id in ids:
            self._log(PutBlock(ACCOUNT, "box", name, block_id, len(body)), body)
        blocks = tuple([BlockChoice(block_id, 2) for block_id in ids])
        self._log(PutBlockList(ACCOUNT, "box", name, blocks), b"")

    @rule(
        upload_id=st.sampled_from(UPLOADS),
        sequence=st.integers(0, 2),
        box=boxes,
        name=names,
        block_id=st.just(b"") | block_ids,
        body=bodies,
    )
    def chunk(
        self, upload_id: bytes, sequence: int, box: str, name: str, block_id: bytes, body: bytes
    ) -> None:
        self._log(Chunk(upload_id, sequence, ACCOUNT, box, name, block_id), body)

    @rule(
        upload_id=st.sampled_from(UPLOADS),
        name=names,
        block_id=st.just(b"") | block_ids,
        count=st.integers(1, 3),
        error=st.sampled_from((0, 0, 0, 1)),
    )
    def upload(self, upload_id: bytes, name: str, block_id: bytes, count: int, error: int) -> None:
        for sequence in range(count):
            self._log(Chunk(upload_id, sequence, ACCOUNT, "box", name, block_id), b"chunk")
        size = 5 * count + error
        if block_id:
            final: Command = PutBlock(ACCOUNT, "box", name, block_id, size, upload_id, count)
        else:
            final = PutBlob(ACCOUNT, "box", name, size, upload_id=upload_id, chunk_count=count)
        self._log(final, b"")

    @rule(pick=st.integers(0, 1_000))
    def move(self, pick: int) -> None:
        """The cleaner finds the record of some entry live and copies its body."""
        self.settle(3)
        entry = self.driver.log[pick % len(self.driver.log)][0]
        extent = self.driver.extent_of(entry.index)
        found = self.driver.catalog.is_live(entry.meta, extent)
        live = {part.extent for part in self.naive.parts()}
        assert (found is not None) == (extent in live)
        if found is not None:
            self._log(found, entry.body)

    @rule(step_ms=st.sampled_from((1, 300, 1000)))
    def wait(self, step_ms: int) -> None:
        self.driver.time_ms += step_ms

    @rule(age_ms=st.integers(0, 1500))
    def expire(self, age_ms: int) -> None:
        self._log(ExpireUploads(self.driver.time_ms - age_ms, 0), b"")

    @rule()
    def repeat(self) -> None:
        """A client that got no answer sends its operation again."""
        entry = self.driver.log[-1][0]
        first = self.expected[-1]
        self.driver.append(None)
        self.one_by_one.append(None)
        self.one_by_one.settle()
        self.expected.append(Outcome("", len(self.driver.log), entry.term, "", 0, b""))
        if entry.kind and entry.index > 2:
            again, _, _ = self.driver.log[entry.index - 1]
            self.driver.append(None)
            self.driver.log[-1] = (
                again._replace(index=len(self.driver.log)),
                *self.driver.log[-1][1:],
            )
            self.one_by_one.append(None)
            self.one_by_one.log[-1] = self.driver.log[-1]
            self.one_by_one.settle()
            self.expected.append(first)

    @rule(size=st.integers(1, 5))
    def settle(self, size: int) -> None:
        """Apply all that is due, in batches of this size."""
        while True:
            applied = self.driver.catalog.applied()
            first = 0 if applied is None else applied.index
            outcomes = self.driver.settle(size)
            if not outcomes:
                break
            expected = self.expected[first : first + len(outcomes)]
            assert outcomes[1 if first == 0 else 0 :] == expected[1 if first == 0 else 0 :]
        assert all_rows(self.driver.index) == all_rows(self.one_by_one.index)

    @rule()
    def flush(self) -> None:
        self.index.flush()

    @rule(size=st.integers(1, 5))
    def crash(self, size: int) -> None:
        """Lose what was not flushed, and apply the log again from there."""
        self.index.crash()
        self.driver.reopen()
        self.settle(size)
        assert self.driver.catalog.segments() == self.one_by_one.catalog.segments()

    @rule(limit=st.integers(1, 4), prefix=st.sampled_from(("", "a", "a/", "x")), box=boxes)
    def walk(self, limit: int, prefix: str, box: str) -> None:
        self.settle(4)
        for delimiter in ("", "/"):
            found: tuple[list[str], list[str]] = ([], [])
            marker = ""
            while True:
                page = self.driver.view.list_blobs(ACCOUNT, box, prefix, delimiter, marker, limit)
                found[0].extend([item.name for item in page.items])
                found[1].extend(page.prefixes)
                marker = page.next_marker
                assert 0 < len(page.items) + len(page.prefixes) <= limit or not marker
                if not marker:
                    break
            if box in self.naive.containers:
                assert found == self.naive.listing(box, prefix, delimiter)
            else:
                assert found == ([], [])

    @rule()
    def tidy(self) -> None:
        """With the garbage gone, what is live is what the model still uses."""
        self.settle(5)
        while (command := self.driver.catalog.housekeeping(0)) is not None:
            self._append(command, b"")
            self.expected[-1] = Outcome("", len(self.driver.log), 3, "", 0, b"")
            self.settle(5)
        assert self.driver.catalog.segments() == self.naive.live()

    @invariant()
    def live_bytes_are_what_the_rows_name(self) -> None:
        assert self.driver.catalog.segments() == recount(self.driver.index)

    @invariant()
    def readers_see_the_model(self) -> None:
        view = self.one_by_one.view
        for box in BOXES:
            known = self.naive.containers.get(box)
            row = view.container(ACCOUNT, box)
            assert (row is None) == (known is None)
            if row is None or known is None:
                continue
            assert row.etag == etag_of(known.etag_index)
            assert (row.last_modified_ms, row.metadata) == (known.last_modified_ms, known.metadata)
            for name in NAMES:
                self._same_blob(box, name, known.blobs.get(name))
                waiting = known.waiting.get(name)
                found = view.uncommitted_blocks(ACCOUNT, box, name)
                assert (found is None) == (waiting is None)
                if found is not None and waiting is not None:
                    sizes = {key: sum(len(p.body) for p in parts) for key, parts in waiting.items()}
                    assert [tuple(block) for block in found] == sorted(sizes.items())

    def _same_blob(self, box: str, name: str, known: Blob | None) -> None:
        row = self.one_by_one.view.blob(ACCOUNT, box, name)
        assert (row is None) == (known is None)
        if row is None or known is None:
            return
        assert self.one_by_one.read(box, name) == known.content
        assert row.extents == tuple([p.extent for _, parts in known.blocks for p in parts])
        assert (row.etag, row.created_ms) == (etag_of(known.etag_index), known.created_ms)
        assert row.last_modified_ms == known.last_modified_ms
        assert (row.properties, row.metadata) == (known.properties, known.metadata)
        ids = [block_id for block_id, _ in known.blocks if block_id]
        assert [block.id for block in row.blocks] == ids
        for start in range(row.size):
            pieces = row.pieces(start, 4)
            read = b"".join(
                [
                    self.driver.bodies[p.extent.segment_seq, p.extent.offset][
                        p.skip : p.skip + p.length
                    ]
                    for p in pieces
                ]
            )
            assert read == known.content[start : start + 4]


Machine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTheCatalogIsTheModel = Machine.TestCase
