"""One node as a process: `manage.py node N`.

Starts in the order that makes each promise true: recover and flush, join the peers, answer the
keepers, and only then listen to clients. Stops in the other order: hand leadership over, leave the
front door, drain, and go. A failed assertion anywhere on the loop stops the process: a node that
is wrong about itself must not answer.

Read next: `startup` for recovery, `engine` for the loop, `frontend` for what clients meet.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from time import monotonic_ns
from typing import Any

import uvloop

from storage_core.admin import AdminServer
from storage_core.cache.bodies import BodyCache
from storage_core.catalog.commands import CreateAccount
from storage_core.config import (
    BEAT_INTERVAL_MS,
    CANARY_ACCOUNT,
    EMULATOR_ACCOUNT,
    EMULATOR_KEY,
    EXIT_DISK_FAILED,
    EXIT_FOUND_WRONG,
    EXIT_REFUSED,
    read_canary_key,
)
from storage_core.configuration import Configuration, Parts
from storage_core.engine import Engine
from storage_core.errors import CorruptLog, FatalDisk, StoreError
from storage_core.faults import Faults
from storage_core.fleet.beats import BeatSender
from storage_core.front_listener import FrontListener
from storage_core.frontend.front import FrontEnd
from storage_core.io.checksum import crc64
from storage_core.io.tasks import spawn
from storage_core.keeper import Keeper
from storage_core.log.home import HomeRefused
from storage_core.log.reader import BodyReader
from storage_core.memory import Memory
from storage_core.peers import Peers, this_process
from storage_core.raft.ready import LEADER
from storage_core.startup import Cluster, Opened, note_stopped, open_node, read_cluster
from storage_core.status import NodeFacts, RecentTimes
from storage_core.store import NodeStore
from storage_core.upkeep import Upkeep
from storage_core.vitals import Vitals
from telemetry import bootstrap, names
from telemetry.config import SettingError, Settings, read_secret
from telemetry.tracing import StageClock

HOST = "127.0.0.1"
HAND_OVER_S_MAX = 1.0
DRAIN_S_MAX = 3.0
ACCOUNT_US_MAX = 5_000_000
log = logging.getLogger(__name__)


class Node:
    """All parts of one running node."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        node: int,
        cluster: Cluster,
        opened: Opened,
        telemetry: bootstrap.Telemetry,
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._node = node
        self._opened = opened
        self._stopping, self._follows = asyncio.Event(), asyncio.Event()
        self._has_account = False
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        metrics = telemetry.metrics
        flush_times = RecentTimes(metrics.histogram(names.FLUSH_DURATION))
        cache = BodyCache()
        metrics.gauge(names.CACHE_BYTES, lambda: cache.size_bytes)
        reader = BodyReader(opened.disk, crc64=crc64, executor=None)
        self.engine = engine = Engine(
            loop,
            node=node,
            core=opened.core,
            writer=opened.writer,
            cache=cache,
            flush_times=flush_times,
        )
        view = opened.catalog.view()
        self.store = NodeStore(engine, reader=reader, cache=cache, view=view)
        process = this_process(node)
        engine.peers = self.peers = Peers(
            loop,
            cluster_id=cluster.identity.cluster_id,
            addresses={n: (HOST, settings.peer_port(n)) for n in range(cluster.node_count)},
            key=_secret(settings, "peer.key").encode(),
            process=process,
            events=self.engine.peer_events(),
        )
        limits, recorder = opened.catalog.limits, telemetry.recorder
        self.front_end = FrontEnd(self.store, recorder, account_limits=limits)
        self._upkeep = Upkeep(engine, self.store, opened, reader)
        self._front: FrontListener | None = None
        self.facts = NodeFacts(
            engine=self.engine,
            opened=opened,
            process=process,
            flush_times=flush_times,
            metrics=metrics,
            is_in_front_door=self._is_in_front_door,
        )
        self.facts.export_gauges()
        self._faults = Faults(loop, writer=opened.writer, peers=self.peers, allowed=settings.drills)
        self._memory = Memory(settings.data(node))
        self._vitals = Vitals(loop, replica=opened.core.replica, peers=self.peers, metrics=metrics)
        self._admin = self._make_admin(cache)
        self._beats = BeatSender(settings.home / "run", f"node-{node}")
        self.engine.on_role = self._on_role

    def _make_admin(self, cache: BodyCache) -> AdminServer:
        keeper = Keeper(
            engine=self.engine,
            peers=self.peers,
            store=self.store,
            faults=self._faults,
            memory=self._memory,
            configuration=Configuration(Parts(self._opened.core, cache, self.front_end)),
        )
        return AdminServer(
            token=_secret(self._settings, "admin.token"),
            routes={
                ("GET", "/status"): self.facts.status,
                ("GET", "/segments"): self.facts.segments,
                **keeper.routes(),
            },
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then leave in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)
        listener = socket.create_server((HOST, self._settings.peer_port(self._node)))
        self.peers.start(listener)
        self.engine.start()
        self._vitals.start()
        await self._admin.start(HOST, self._settings.admin_port(self._node))
        self._beat_regularly()
        factory = self.front_end.protocol_factory(leaving=lambda: False, loopback_only=True)
        own = await self._loop.create_server(
            factory, HOST, self._settings.own_port(self._node), backlog=1024
        )
        self._open_front_door()
        upkeep = spawn(self._loop, self._tasks, self._watched(self._upkeep.run()))
        account = spawn(self._loop, self._tasks, self._watched(self._make_first_accounts()))
        log.info("node serves", extra={"node": self._node})
        await self._stopping.wait()
        upkeep.cancel()
        account.cancel()
        await self._hand_over()
        if self._front is not None:
            self._front.close()
        own.close()
        await self.front_end.drain(DRAIN_S_MAX)
        self._admin.close()
        self._faults.close()
        self._vitals.stop()
        self._memory.close()
        self._stopped = True
        self._beats.close()
        # Its thread may be at work on the index, which nobody may close before.
        await self._loop.run_in_executor(None, self._upkeep.close)
        self.engine.stop()
        self.peers.close()

    async def _watched(self, work: Coroutine[None, None, None]) -> None:
        """What must not fail: without it the node would go on, but not for long, or not whole."""
        try:
            await work
        except (AssertionError, CorruptLog, FatalDisk):
            raise
        except Exception as error:
            raise AssertionError("a part of the node ended by an error") from error

    async def _make_first_accounts(self) -> None:
        """The emulator's public account, so that `UseDevelopmentStorage=true` works as it stands,
        and that of the canary.

        Every node asks; who comes second is told that it exists, which is as good.
        """
        wanted = {EMULATOR_ACCOUNT: EMULATOR_KEY}
        canary_key = read_canary_key(self._settings)
        if canary_key is not None:
            wanted[CANARY_ACCOUNT] = canary_key
        clock = StageClock()
        while not self._has_account:
            deadline_us = monotonic_ns() // 1000 + ACCOUNT_US_MAX
            try:
                await self.store.read_barrier(clock=clock, deadline_us=deadline_us)
                for account, key in wanted.items():
                    if self.store.view().account(account) is None:
                        command = CreateAccount(account, (key,))
                        await self.store.submit(
                            command, b"", 0, clock=clock, deadline_us=deadline_us
                        )
                self._has_account = True
            except StoreError as error:
                log.info("waiting for a quorum", extra={"reason": str(error)})

    def _is_in_front_door(self) -> bool:
        return self._front is not None and self._front.is_open

    def _on_role(self, leads: bool) -> None:
        if leads:
            self._follows.clear()
        else:
            self._follows.set()
        if self._front is not None:
            self._front.look()
        self._beat()

    def _beat_regularly(self) -> None:
        """From the loop itself: a loop that hangs stops beating, whatever /proc says."""
        if self._stopped:
            return
        self._loop.call_later(BEAT_INTERVAL_MS / 1000, self._beat_regularly)
        self._beat()

    def _beat(self) -> None:
        ready = self._has_account and self.engine.leader() is not None
        self._beats.send(role=self.facts.role(), ready=ready)

    def _open_front_door(self) -> None:
        fd = os.environ.get("HOLDFAST_FRONT_FD")
        if fd is None:
            return
        self._front = FrontListener(
            self._loop,
            socket.socket(fileno=int(fd)),
            factory=self.front_end.protocol_factory(leaving=self._leaves, loopback_only=True),
            should_listen=lambda: not self._leaves(),
        )

    def _leaves(self) -> bool:
        """A leader keeps no client of the front door while somebody else can have it."""
        if self._stopping.is_set():
            return True
        core = self.engine.core
        if core.replica.role != LEADER:
            return False
        return any(self.peers.is_connected(peer) for peer in core.replica.progress)

    async def _hand_over(self) -> None:
        """Give leadership to whoever is furthest, so that nobody waits for a timeout."""
        replica = self.engine.core.replica
        connected = [peer for peer in replica.progress if self.peers.is_connected(peer)]
        if replica.role != LEADER or not connected:
            return
        best = max(connected, key=lambda peer: replica.progress[peer].match_index)
        replica.transfer(best, monotonic_ns() // 1000)
        self.engine.wake()
        await asyncio.wait([self._loop.create_task(self._follows.wait())], timeout=HAND_OVER_S_MAX)


def _secret(settings: Settings, name: str) -> str:
    value = read_secret(settings.secrets / name)
    if not value:
        raise SettingError("HOLDFAST_HOME", str(settings.home), f"a home with secrets/{name}")
    return value


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback's error is its own affair, unless it says that this node is wrong."""
    error = context.get("exception")
    if isinstance(error, (AssertionError, CorruptLog)):
        log.critical("invariant broken, stopping", exc_info=error)
        os._exit(EXIT_FOUND_WRONG)
    if isinstance(error, FatalDisk):
        log.critical("disk failed, stopping", exc_info=error)
        os._exit(EXIT_DISK_FAILED)
    log.error("loop: %s", context.get("message", ""), exc_info=error)


async def _serve(settings: Settings, node: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    cluster = read_cluster(settings.home)
    telemetry = bootstrap.start(names.SERVICE_STORE, f"node-{node}", settings)
    opened = open_node(settings, node, cluster)
    try:
        await Node(loop, settings, node, cluster, opened, telemetry).run()
        note_stopped(settings, node)
    except AssertionError as error:
        _on_loop_error(loop, {"exception": error})
    finally:
        opened.index.flush()
        opened.index.close()
        telemetry.stop()
        opened.lock.release()


def main(argv: Sequence[str]) -> int:
    """`node N`. Exit codes: 70 the disk failed, 71 an invariant broke, 78 refused to start."""
    if sys.flags.optimize:
        sys.stderr.write("node: assertions must be on, start without -O\n")
        return EXIT_REFUSED
    if len(argv) != 1 or not argv[0].isdigit():
        sys.stderr.write("usage: manage.py node N\n")
        return 2
    try:
        settings = Settings.from_environment()
        uvloop.run(_serve(settings, int(argv[0])))
    except (SettingError, HomeRefused, CorruptLog, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"node {argv[0]}: {error}\n")
        return EXIT_REFUSED
    except FatalDisk as error:
        sys.stderr.write(f"node {argv[0]}: disk failed: {error}\n")
        return EXIT_DISK_FAILED
    except AssertionError:
        log.critical("invariant broken at the start", exc_info=True)
        return EXIT_FOUND_WRONG
    return 0
