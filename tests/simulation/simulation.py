"""One seed from beginning to end: a cluster, clients, faults; then peace, progress and a last look.

Read next: `checker` for what must hold, `faults` for what goes wrong.
"""

from __future__ import annotations

import traceback
from typing import Dict, List, NamedTuple

from storage_core.catalog import codec
from storage_core.catalog.commands import Command, CreateAccount, CreateContainer
from storage_core.errors import NotLeader
from storage_core.raft.messages import COMMAND, Message
from storage_core.raft.ready import LEADER
from tests.simulation.checker import Checker, Violation
from tests.simulation.client import ACCOUNT, CONTAINER, PROBE, Client
from tests.simulation.faults import Nemesis
from tests.simulation.network import Network
from tests.simulation.node import SimNode
from tests.simulation.world import Rng, World

NODE_COUNT = 3
FAULTY_US = 24_000_000
LIVENESS_US = 3_000_000
SETTLING_US = 2_000_000


class Report(NamedTuple):
    """What one seed came to. `violation` is "" where all held."""

    seed: int
    violation: str
    detail: str
    trace_hash: str
    event_count: int
    simulated_us: int
    operation_count: int
    unknown_count: int
    faults: Dict[str, int]


class Simulation:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Rng(seed, 0)
        self.world = World()
        self.checker = Checker(NODE_COUNT)
        self.network = Network(self.world, Rng(seed, 2), self._deliver)
        self.nodes = [
            SimNode(
                number,
                voters=NODE_COUNT,
                world=self.world,
                seed=seed,
                network=self.network,
                checker=self.checker,
            )
            for number in range(NODE_COUNT)
        ]
        for node in self.nodes:
            node.peers = self.nodes
        key_count = self.rng.pick((2, 6, 24))
        think_us = self.rng.pick((20_000, 50_000, 150_000))
        client_count = self.rng.pick((2, 4, 8))
        self.clients = [self._client(n, key_count, think_us) for n in range(client_count)]
        self.probe = self._client(PROBE, key_count, think_us)
        self.nemesis = Nemesis(world=self.world, seed=seed, nodes=self.nodes, network=self.network)

    def _client(self, number: int, key_count: int, think_us: int) -> Client:
        return Client(
            number,
            world=self.world,
            seed=self.seed,
            nodes=self.nodes,
            checker=self.checker,
            key_count=key_count,
            think_us=think_us,
        )

    def _deliver(self, sender: int, to: int, message: Message) -> None:
        self.nodes[to].receive(message)

    # -- the course -----------------------------------------------------------------------------

    def run(self) -> None:
        for node in self.nodes:
            node.start()
        self._found()
        for client in self.clients:
            client.think()
        self.nemesis.begin()
        self.world.run_until(self.world.now_us + FAULTY_US)
        self._heal()
        self._settle()

    def _found(self) -> None:
        """Before the first fault: an account and a container to work in."""
        commands: List[Command] = [
            CreateAccount(ACCOUNT, (b"key",)),
            CreateContainer(ACCOUNT, CONTAINER),
        ]
        for number, command in enumerate(commands):
            answers: List[str] = []
            deadline_us = self.world.now_us + 10_000_000
            while not answers and self.world.now_us < deadline_us:
                self.world.run_until(self.world.now_us + 100_000)
                self._propose(codec.encode(command), b"founding-------%d" % number, answers)
                self.world.run_until(self.world.now_us + 400_000)
            if not answers:
                raise Violation("no leader was found in the beginning")

    def _propose(self, meta: bytes, op_id: bytes, answers: List[str]) -> None:
        def answered(word: str, answer: object) -> None:
            if word == "done":
                answers.append(word)

        for node in self.nodes:
            try:
                node.propose(COMMAND, meta, b"", op_id, answered)
                return
            except NotLeader:
                continue

    def _heal(self) -> None:
        """All faults end. Within 3 s somebody must be served again."""
        self.nemesis.heal()
        healed_us = self.world.now_us
        done_before = sum([client.done_count for client in self.clients])
        self.probe.begin("put", 0)
        while not self.probe.done_count:
            if self.world.now_us - healed_us >= LIVENESS_US:
                raise Violation("no progress in %d ms after all faults" % (LIVENESS_US // 1_000))
            self.world.run_until(self.world.now_us + 20_000)
        self.world.note("healed", self.world.now_us - healed_us, done_before)

    def _settle(self) -> None:
        """Clients stop; then all nodes must hold the same, and what the model says."""
        for client in [*self.clients, self.probe]:
            client.stopped = True
        for node in self.nodes:
            # A leader that cleans is ahead of its followers by a heartbeat, rightly.
            node.cleans = False
        self.world.run_until(self.world.now_us + SETTLING_US)
        running = [node for node in self.nodes if node.up]
        leaders = [node for node in running if node.core.replica.role == LEADER]
        if len(leaders) != 1:
            raise Violation("%d leaders in the end" % len(leaders))
        last = leaders[0].log.last_index
        for node in running:
            if node.core.applied_index != last:
                raise Violation(
                    "node %d applied %d of %d" % (node.number, node.core.applied_index, last)
                )
            self._look_at_all(node)

    def _look_at_all(self, node: SimNode) -> None:
        applied = node.core.applied_index
        for key in range(self.probe.key_count):
            blob = "key-%02d" % key
            found = self.probe.look(node, blob)
            self.checker.read(blob, found, applied=applied, floor_index=self.checker.floor_index)


def run_seed(seed: int) -> Report:
    """Everything that one seed decides. A failed assert anywhere is a violation."""
    simulation = Simulation(seed)
    violation = detail = ""
    try:
        simulation.run()
    except Exception as problem:
        violation = "%s: %s" % (type(problem).__name__, problem)
        detail = traceback.format_exc()
    world = simulation.world
    clients = [*simulation.clients, simulation.probe]
    return Report(
        seed,
        violation,
        detail,
        world.trace_hash(),
        world.event_count,
        world.now_us,
        sum([client.done_count for client in clients]),
        sum([client.unknown_count for client in clients]),
        simulation.nemesis.counts,
    )
