"""Clients: one operation at a time, retried under the same operation id until an answer comes.

An operation is a list of steps (chunks, blocks, then the one that counts); each step is tried at a
node, sent on to the leader that the node names, and tried anew elsewhere when nothing comes back.
Every content is unique, so that a read tells which write it saw. What a client is told is judged by
the checker at once.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from storage_core.catalog import codec
from storage_core.catalog.commands import (
    LATEST,
    BlockChoice,
    Chunk,
    Command,
    Conditions,
    DeleteBlob,
    PutBlob,
    PutBlock,
    PutBlockList,
)
from storage_core.errors import NotLeader, Overloaded
from storage_core.raft.messages import CHUNK, COMMAND
from tests.simulation.checker import Checker
from tests.simulation.node import SimNode
from tests.simulation.world import Rng, World

ACCOUNT, CONTAINER = "account", "container"
# (operation, weight)
MIX = (
    ("put", 24),
    ("put new", 12),
    ("put matching", 12),
    ("delete", 6),
    ("delete matching", 4),
    ("get", 30),
    ("list", 4),
    ("blocks", 4),
    ("chunks", 4),
)
DECK = [name for name, weight in MIX for _ in range(weight)]
PATIENCE_US = (300_000, 700_000, 2_500_000)
DEADLINE_US = 8_000_000
HOP_US = 300
PROBE = -1


class Step(NamedTuple):
    kind: int
    command: Command
    body: bytes
    op_id: bytes


class Client:
    """`number` PROBE is the one that proves liveness in the end."""

    def __init__(
        self,
        number: int,
        *,
        world: World,
        seed: int,
        nodes: List[SimNode],
        checker: Checker,
        key_count: int,
        think_us: int,
    ) -> None:
        self.number = number
        self.world = world
        self.rng = Rng(seed, 300 + number)
        self.nodes = nodes
        self.checker = checker
        self.key_count = key_count
        self.think_us = think_us
        self.serial = 0
        self.attempt = 0
        self.stopped = False
        self.done_count = 0
        self.unknown_count = 0
        self.etags: List[str] = [""] * key_count
        self.steps: List[Step] = []
        self.read_key: Optional[int] = None
        self.is_read = False
        self.floor_index = 0
        self.begun_us = 0
        self.node = 0

    # -- what to do next ------------------------------------------------------------------------

    def think(self) -> None:
        if not self.stopped:
            self.world.after(self.rng.below(2 * self.think_us), self._begin)

    def _begin(self) -> None:
        if self.stopped:
            return
        # Some keys are hot and some are cold, which leaves old segments half alive.
        key = self.rng.below(1 + self.rng.below(self.key_count))
        self.begin(self.rng.pick(DECK), key)

    def begin(self, name: str, key: int) -> None:
        self.steps = []
        self.is_read = name in ("get", "list")
        self.read_key = key if name == "get" else None
        self.key = key
        self.floor_index = self.checker.floor_index
        self.begun_us = self.world.now_us
        self.node = self.rng.below(len(self.nodes))
        if not self.is_read:
            self._plan(name, "key-%02d" % key)
        self._try(self.node)

    def _plan(self, name: str, blob: str) -> None:
        conditions = Conditions()
        if name == "put new":
            conditions = Conditions(if_none_match=("*",))
        elif name.endswith("matching"):
            conditions = Conditions(if_match=(self.etags[self.key].strip('"') or "0x8D0",))
        if name.startswith("delete"):
            self._add(COMMAND, DeleteBlob(ACCOUNT, CONTAINER, blob, conditions), b"")
        elif name == "blocks":
            self._plan_blocks(blob)
        elif name == "chunks":
            self._plan_chunks(blob)
        else:
            body = self._content(self.rng.below(600))
            command = PutBlob(ACCOUNT, CONTAINER, blob, len(body), conditions=conditions)
            self._add(COMMAND, command, body)

    def _plan_blocks(self, blob: str) -> None:
        choices = []
        for _ in range(1 + self.rng.below(3)):
            block_id = self._unique()
            body = self._content(self.rng.below(300))
            self._add(COMMAND, PutBlock(ACCOUNT, CONTAINER, blob, block_id, len(body)), body)
            choices.append(BlockChoice(block_id, LATEST))
        self._add(COMMAND, PutBlockList(ACCOUNT, CONTAINER, blob, tuple(choices)), b"")

    def _plan_chunks(self, blob: str) -> None:
        upload_id = self._unique()
        count = 2 + self.rng.below(4)
        size_bytes = 0
        for place in range(count):
            body = self._content(400 + self.rng.below(800))
            size_bytes += len(body)
            self._add(CHUNK, Chunk(upload_id, place, ACCOUNT, CONTAINER, blob), body)
        command = PutBlob(
            ACCOUNT, CONTAINER, blob, size_bytes, upload_id=upload_id, chunk_count=count
        )
        self._add(COMMAND, command, b"")

    def _add(self, kind: int, command: Command, body: bytes) -> None:
        self.steps.append(Step(kind, command, body, self._unique()))

    def _unique(self) -> bytes:
        self.serial += 1
        return b"%4d%12d" % (self.number % 1_000, self.serial)

    def _content(self, size_bytes: int) -> bytes:
        return (self._unique() * (size_bytes // 16 + 1))[: size_bytes + 16]

    # -- one attempt ----------------------------------------------------------------------------

    def _try(self, node: int) -> None:
        """Ask `node`, and look again if it has not answered in time."""
        if self.stopped:
            return
        if self.world.now_us - self.begun_us > DEADLINE_US:
            self.unknown_count += 1
            self._finish("unknown")
            return
        self.attempt += 1
        self.node = node
        self.world.after(HOP_US + self.rng.below(HOP_US), self._arrive, node, self.attempt)
        self.world.after(self.rng.pick(PATIENCE_US), self._late, self.attempt)

    def _late(self, attempt: int) -> None:
        if attempt == self.attempt:
            self._try(self.rng.below(len(self.nodes)))

    def _elsewhere(self, attempt: int, node: int, delay_us: int) -> None:
        if attempt == self.attempt:
            self.attempt += 1
            self.world.after(delay_us, self._try_again, self.attempt, node)

    def _try_again(self, attempt: int, node: int) -> None:
        if attempt == self.attempt:
            self._try(node)

    def _arrive(self, node: int, attempt: int) -> None:
        target = self.nodes[node]
        if attempt != self.attempt:
            return
        if not target.up:
            self._elsewhere(attempt, self.rng.below(len(self.nodes)), 50_000)
            return
        target.happens(target.incarnation, self._serve, target, attempt)

    def _serve(self, node: SimNode, attempt: int) -> None:
        """At the node. An attempt that the client gave up is served all the same."""
        if self.is_read:
            node.read_barrier(lambda word, _: self._read_there(node, attempt, word))
            return
        if attempt != self.attempt:
            return
        step = self.steps[0]
        code = node.core.precheck(step.command, node.now_us())
        if code:
            applied = node.core.applied_index
            self.checker.refused(step.command, code, applied=applied, floor_index=self.floor_index)
            self._answered(attempt, code, "")
            return
        meta = codec.encode(step.command)
        try:
            node.propose(
                step.kind,
                meta,
                step.body,
                step.op_id,
                lambda word, answer: self._settled(attempt, step, word, answer),
            )
        except NotLeader as refusal:
            leader = refusal.leader
            others = self.rng.below(len(self.nodes))
            delay_us = HOP_US if leader is not None else 30_000
            self._elsewhere(attempt, others if leader is None else leader, delay_us)
        except Overloaded:
            self._elsewhere(attempt, node.number, 50_000)

    def _settled(self, attempt: int, step: Step, word: str, answer: Any) -> None:
        if attempt != self.attempt:
            return
        if word == "lost":
            self._elsewhere(attempt, self.rng.below(len(self.nodes)), 50_000)
            return
        self.checker.acknowledged(answer, step.op_id, floor_index=self.floor_index)
        self._answered(attempt, answer.code, answer.etag)

    def _answered(self, attempt: int, code: str, etag: str) -> None:
        """Leave the answer on its way; nothing can change it any more."""
        self.attempt += 1
        self.world.after(HOP_US, self._told, self.attempt, code, etag)

    def _told(self, attempt: int, code: str, etag: str) -> None:
        if attempt != self.attempt:
            return
        self.world.note("answer", self.number, self.serial, code, etag)
        step = self.steps.pop(0)
        if code == "" and self.steps:
            self._try(self.node)
            return
        if code == "" and not isinstance(step.command, DeleteBlob):
            self.etags[self.key] = etag
        self._finish(code)

    def _read_there(self, node: SimNode, attempt: int, word: str) -> None:
        if attempt != self.attempt:
            return
        if word == "failed":
            self._elsewhere(attempt, self.rng.below(len(self.nodes)), 50_000)
            return
        applied = node.core.applied_index
        if self.read_key is None:
            page = node.catalog.view.list_blobs(ACCOUNT, CONTAINER, "", "", "", 1_000)
            names = [item.name for item in page.items]
            self.checker.listed(names, applied=applied, floor_index=self.floor_index)
        else:
            blob = "key-%02d" % self.read_key
            found = self.look(node, blob)
            self.checker.read(blob, found, applied=applied, floor_index=self.floor_index)
            if found is not None:
                self.etags[self.read_key] = found[0]
        self.world.note("read", self.number, node.number, applied)
        self.attempt += 1
        self._finish("read")

    def look(self, node: SimNode, blob: str) -> Optional[Tuple[str, bytes]]:
        """The blob as this node's rows and disk have it."""
        row = node.catalog.view.blob(ACCOUNT, CONTAINER, blob)
        if row is None:
            return None
        return row.etag, node.read_body(row.extents)

    def _finish(self, how: str) -> None:
        self.attempt += 1
        self.done_count += how != "unknown"
        if self.number != PROBE:
            self.think()
