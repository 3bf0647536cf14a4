"""A network that delays, drops, repeats, reorders and parts: worse than TCP ever is.

What always holds: a message that arrives is one that was sent, and it was sent to the incarnation
that gets it or an earlier one of the same node.
"""

from __future__ import annotations

from typing import Any, Callable, List, Set, Tuple

from storage_core.raft import wire
from storage_core.raft.messages import Message
from tests.simulation.world import Rng, World

Deliver = Callable[[int, int, Message], None]
WIRE_PROBABILITY = 0.05


class Network:
    """Links between nodes 0..n-1. `deliver(sender, to, message)` is called when one arrives."""

    def __init__(self, world: World, rng: Rng, deliver: Deliver) -> None:
        self._world = world
        self._rng = rng
        self._deliver = deliver
        self.delay_us_min = 100
        self.delay_us_spread = 400
        self.drop_probability = 0.0
        self.repeat_probability = 0.0
        self.late_probability = 0.0
        self.late_us_max = 0
        self.in_order = True
        self.cut: Set[Tuple[int, int]] = set()
        self._newest: dict[Tuple[int, int], int] = {}

    def heal(self) -> None:
        self.cut.clear()
        self.drop_probability = self.repeat_probability = self.late_probability = 0.0

    def send(self, sender: int, to: int, message: Message) -> None:
        rng = self._rng
        if (sender, to) in self.cut or rng.chance(self.drop_probability):
            return
        if rng.chance(WIRE_PROBABILITY):
            frame = b"".join(wire.encode(message))
            message = wire.decode(memoryview(frame)[wire.LENGTH.size :])
        self._carry(sender, to, message)
        if rng.chance(self.repeat_probability):
            self._carry(sender, to, message)

    def part(self, pairs: List[Tuple[int, int]]) -> None:
        """Nothing passes from the first to the second of each pair, what is under way included."""
        self.cut.update(pairs)

    def _carry(self, sender: int, to: int, message: Message) -> None:
        rng = self._rng
        delay_us = self.delay_us_min + rng.below(self.delay_us_spread)
        if rng.chance(self.late_probability):
            delay_us += rng.below(self.late_us_max)
        if self.in_order:
            arrival_us = max(self._world.now_us + delay_us, self._newest.get((sender, to), 0))
            self._newest[sender, to] = arrival_us
            delay_us = arrival_us - self._world.now_us
        self._world.after(delay_us, self._arrive, sender, to, message)

    def _arrive(self, sender: int, to: int, message: Message) -> None:
        if (sender, to) in self.cut:
            return
        self._world.note("message", sender, to, *_facts(message))
        self._deliver(sender, to, message)


def _facts(message: Message) -> List[Any]:
    """What the trace keeps of a message: its kind and every number in it."""
    facts: List[Any] = [type(message).__name__]
    facts += [len(value) if isinstance(value, tuple) else int(value) for value in message]
    return facts
