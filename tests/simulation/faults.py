"""The nemesis: which faults there are, and a mix of them drawn for each seed (swarm testing).

A mix in which everything happens hides what only a rare combination shows, so that each seed turns
each kind on or off by itself. Faults are bounded so that recovery stays possible: whatever is
stopped is started again, every partition ends, and rot strikes one node at most, which then stays
away until somebody repairs it.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Tuple

from storage_core.errors import NotLeader
from storage_core.log.format import segment_name
from storage_core.raft.ready import LEADER, Timing
from tests.simulation.disk import ALL, FIRST, NOTHING, SOME
from tests.simulation.network import Network
from tests.simulation.node import SimNode
from tests.simulation.world import Rng, World

MODES = (NOTHING, SOME, FIRST, ALL)
DRAIN_STREAM = 1_000


class Nemesis:
    """Acts at random moments until `stop`."""

    def __init__(self, *, world: World, seed: int, nodes: List[SimNode], network: Network) -> None:
        self.world = world
        self.rng = Rng(seed, 1)
        self.nodes = nodes
        self.network = network
        self.counts: Dict[str, int] = {}
        self.stopped = False
        self.kinds = self._draw_kinds()
        # Drawn apart, so that seeds without it are what they were before there was this kind.
        if Rng(seed, DRAIN_STREAM).chance(0.3):
            self.kinds.append(self._drain)
        self.pace_us = self.rng.pick((300_000, 600_000, 1_200_000, 2_500_000))
        self._draw_network()
        self._draw_clocks()
        if self.rng.chance(0.4):
            for node in self.nodes:
                node.timing = Timing(append_bytes_max=600, in_flight_count_max=4)

    def _draw_kinds(self) -> List[Callable[[], None]]:
        rng = self.rng
        offered: Tuple[Tuple[Callable[[], None], float], ...] = (
            (self._kill, 0.6),
            (self._power_cut, 0.6),
            (self._power_cut_all, 0.35),
            (self._pause, 0.5),
            (self._isolate, 0.6),
            (self._cut_one_way, 0.4),
            (self._slow_disk, 0.4),
            (self._reset, 0.3),
            (self._transfer, 0.4),
            (self._jump, 0.3),
            (self._hunt, 0.3),
            (self._kill_while_writing, 0.4),
            (self._rot, 0.12),
        )
        return [act for act, probability in offered if rng.chance(probability)] or [self._kill]

    def _draw_network(self) -> None:
        rng, network = self.rng, self.network
        network.in_order = rng.chance(0.5)
        network.delay_us_spread = rng.pick((300, 1_000, 5_000))
        if rng.chance(0.4):
            network.drop_probability = rng.pick((0.01, 0.05, 0.15))
        if rng.chance(0.3):
            network.repeat_probability = rng.pick((0.01, 0.1))
        if rng.chance(0.4):
            network.late_probability = rng.pick((0.005, 0.03))
            network.late_us_max = rng.pick((20_000, 300_000, 1_500_000))

    def _draw_clocks(self) -> None:
        if self.rng.chance(0.4):
            for node in self.nodes:
                node.clock_rate = 1.0 + (self.rng.below(61) - 30) / 1_000

    # -- the loop -------------------------------------------------------------------------------

    def begin(self) -> None:
        self.world.after(self.rng.below(2 * self.pace_us), self._strike)

    def _strike(self) -> None:
        if self.stopped:
            return
        self.rng.pick(self.kinds)()
        self.begin()

    def _count(self, name: str, *facts: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.world.note("fault", name, *facts)

    def heal(self) -> None:
        """The end of all faults: everything that can start again does."""
        self.stopped = True
        self.network.heal()
        for node in self.nodes:
            node.flush_us_min, node.flush_us_spread = 150, 600
            if node.up and node.paused:
                node.resume()
            elif not node.up and not node.broken:
                node.start()
            if node.up:
                node.core.replica.drain(False, node.now_us())

    # -- nodes ----------------------------------------------------------------------------------

    def _leader_or_any(self, nodes: List[SimNode]) -> SimNode:
        """Faults of leaders matter most."""
        leaders = [node for node in nodes if node.up and node.core.replica.role == LEADER]
        return self.rng.pick(leaders if leaders and self.rng.chance(0.5) else nodes)

    def _hunt(self) -> None:
        """The next to lead falls as soon as it does."""
        node = self.rng.pick(self.nodes)
        self._count("hunt leaders", node.number)
        self._ambush(node, node.when_leading)

    def _kill_while_writing(self) -> None:
        node = self.rng.pick(self.nodes)
        self._count("kill while writing", node.number)
        self._ambush(node, node.when_writing)

    def _ambush(self, node: SimNode, fates: List[Callable[[], None]]) -> None:
        power_cut = self.rng.pick((None, None, None, None, *MODES))

        def strike() -> None:
            if node.up and not self.stopped:
                self._stop(node, power_cut)

        if not fates:
            fates.append(strike)

    def _victims(self) -> List[SimNode]:
        return [node for node in self.nodes if node.up]

    def _kill(self) -> None:
        victims = self._victims()
        if victims:
            node = self.rng.pick(victims)
            self._count("kill", node.number)
            if node.works or self.rng.chance(0.3):
                self._stop(node, None)
            else:
                self._ambush(node, node.when_writing)

    def _power_cut(self) -> None:
        victims = self._victims()
        if victims:
            node = self.rng.pick(victims)
            self._count("power cut", node.number)
            self._stop(node, self.rng.pick(MODES))

    def _power_cut_all(self) -> None:
        self._count("power cut of all")
        for node in self._victims():
            self._stop(node, self.rng.pick(MODES))

    def _stop(self, node: SimNode, power_cut: int | None) -> None:
        rng = self.rng
        node.stop(power_cut=power_cut)
        # A process that never came up again before the next cut: only the disk notices.
        if power_cut is None and rng.chance(0.2):
            node.disk.power_cut(rng.pick(MODES))
        proven = rng.chance(0.5)
        for peer in self.nodes:
            if peer is not node and peer.up:
                delay_us = rng.below(5_000)
                arguments = (peer, node, node.incarnation, peer.incarnation, proven)
                self.world.after(delay_us, self._hear_of_end, *arguments)
        delay_us = rng.pick((20_000, 300_000, 1_500_000, 4_000_000))
        self.world.after(rng.below(2 * delay_us), self._start, node, node.incarnation)

    def _hear_of_end(
        self, peer: SimNode, node: SimNode, incarnation: int, witness: int, proven: bool
    ) -> None:
        if node.incarnation == incarnation:
            peer.happens(witness, self._tell_of_end, peer, node, incarnation, proven)

    def _tell_of_end(self, peer: SimNode, node: SimNode, incarnation: int, proven: bool) -> None:
        """The kernel closes the connection, and may name the process that died."""
        if node.incarnation != incarnation:
            return
        peer.core.replica.peer_lost(node.number, peer.now_us())
        if proven:
            peer.core.replica.peer_proven_dead(node.number, peer.now_us())
        peer.pump()

    def _start(self, node: SimNode, incarnation: int) -> None:
        if node.incarnation != incarnation or node.up or node.broken:
            return
        again = 0.6 if node.disk.unflushed_sectors() else 0.1
        if self.rng.chance(0.1):
            # It dies again on its way up.
            node.disk.fuse = self.rng.below(8)
        started = node.start()
        node.disk.fuse = None
        if started:
            if self.rng.chance(again):
                # Power that comes back in pieces.
                delay_us = self.rng.below(self.rng.pick((4_000, 60_000)))
                self.world.after(delay_us, self._cut_again, node, node.incarnation)
        elif not node.broken:
            self.world.after(self.rng.below(300_000), self._start, node, node.incarnation)

    def _cut_again(self, node: SimNode, incarnation: int) -> None:
        if node.incarnation == incarnation and node.up and not self.stopped:
            self._count("power cut", node.number)
            self._stop(node, self.rng.pick(MODES))

    def _pause(self) -> None:
        victims = [node for node in self._victims() if not node.paused]
        if victims:
            node = self._leader_or_any(victims)
            duration_us = self.rng.below(self.rng.pick((100_000, 900_000, 4_000_000)))
            self._count("pause", node.number, duration_us)
            node.pause()
            self.world.after(duration_us, self._resume, node, node.incarnation)

    def _resume(self, node: SimNode, incarnation: int) -> None:
        if node.incarnation == incarnation and node.up and node.paused:
            node.resume()

    def _slow_disk(self) -> None:
        node = self.rng.pick(self.nodes)
        self._count("slow disk", node.number)
        node.flush_us_min, node.flush_us_spread = self.rng.pick(
            ((5_000, 20_000), (50_000, 400_000), (800_000, 1_000_000))
        )
        self.world.after(self.rng.below(2_000_000), self._quick_disk, node)

    def _quick_disk(self, node: SimNode) -> None:
        node.flush_us_min, node.flush_us_spread = 150, 600

    def _jump(self) -> None:
        node = self.rng.pick(self.nodes)
        self._count("wall clock", node.number)
        node.wall_offset_ms += (self.rng.below(2_001) - 1_000) * 3_600

    def _transfer(self) -> None:
        for node in self._victims():
            if node.core.replica.role == LEADER and not node.paused:
                target = self.rng.pick([n for n in self.nodes if n is not node]).number
                self._count("transfer", node.number, target)
                try:
                    node.core.replica.transfer(target, node.now_us())
                except NotLeader:
                    return
                node.pump()
                return

    def _drain(self) -> None:
        """Any of them, even all: then nobody leads until one is undrained."""
        node = self.rng.pick(self.nodes)
        if node.up and not node.paused:
            self._count("drain", node.number)
            node.core.replica.drain(True, node.now_us())
            node.pump()
            self.world.after(self.rng.below(3_000_000), self._undrain, node, node.incarnation)

    def _undrain(self, node: SimNode, incarnation: int) -> None:
        if node.incarnation == incarnation and node.up:
            node.core.replica.drain(False, node.now_us())

    def _rot(self) -> None:
        """One bit of a record that the durable watermark covers."""
        if any([node.rotten for node in self.nodes]):
            return
        node = self.rng.pick(self.nodes)
        if not node.up:
            return
        durable, start = node.durable_watermark.durable, node.durable_watermark.start
        if durable.index <= start.index or durable.index not in range(
            node.log.first_index, node.log.last_index + 1
        ):
            return
        index = self.rng.between(max(start.index + 1, node.log.first_index), durable.index)
        position = node.log.position_of(index)
        # Header and meta: bodies of applied entries are verified when they are read.
        offset = position.offset + self.rng.below(104)
        node.rotten = True
        self._count("rot", node.number, index)
        node.disk.rot(segment_name(position.segment_seq), offset, self.rng.below(8))
        self._stop(node, None)

    # -- the network ----------------------------------------------------------------------------

    def _isolate(self) -> None:
        node = self._leader_or_any(self.nodes).number
        others = [other.number for other in self.nodes if other.number != node]
        pairs = [(node, other) for other in others] + [(other, node) for other in others]
        self._part("partition", pairs)

    def _cut_one_way(self) -> None:
        first, second = self.rng.below(len(self.nodes)), self.rng.below(len(self.nodes) - 1)
        second += second >= first
        self._part("one-way partition", [(first, second)])

    def _part(self, name: str, pairs: List[Tuple[int, int]]) -> None:
        self._count(name, *pairs[0])
        self.network.part(pairs)
        duration_us = self.rng.below(self.rng.pick((200_000, 1_500_000, 4_000_000)))
        self.world.after(duration_us, self.network.cut.difference_update, pairs)

    def _reset(self) -> None:
        """A connection breaks and is made anew: what was under way is lost."""
        first, second = self.nodes[0], self.rng.pick(self.nodes[1:])
        self._count("reset connection", first.number, second.number)
        for node, peer in ((first, second), (second, first)):
            if node.up:
                node.happens(node.incarnation, self._lose, node, peer)

    def _lose(self, node: SimNode, peer: SimNode) -> None:
        node.core.replica.peer_lost(peer.number, node.now_us())
        if peer.up:
            node.core.replica.peer_restarted(peer.number)
        node.pump()
