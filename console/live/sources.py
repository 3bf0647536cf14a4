"""The real sources: telemetry's query port, the nodes' admin ports, the supervisor, the broker.

Everything is on loopback and answers in milliseconds when it is well, so half a second is the
deadline of each. What can go wrong with a remote part is turned into SourceSilent, with the reason
in words for people; the other parts' answers are shown all the same.
"""

import time
from collections.abc import Mapping

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from console.figures import span
from console.live.facts import ProcessFacts, Traffic, decode_processes, decode_traffic
from console.live.observatory import Observatory, SourceSilent
from runbooks import heartbeat
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.config import Settings

ANSWER_S_MAX = 0.5
RANGE_S = 1800
STEP_S = 5
QUEUES = ("runs", "triage", "host.local")


class FleetSources:
    def __init__(self, fleet: Settings) -> None:
        self.node_count = fleet.nodes
        self._fleet = fleet
        self._nodes = FleetClient(fleet)
        self._query = QueryClient(fleet, timeout_s=ANSWER_S_MAX)

    def node(self, node: int) -> NodeStatus:
        try:
            return self._nodes.status(node, ANSWER_S_MAX)
        except NodeUnreachable as error:
            raise SourceSilent(f"port {self._fleet.admin_port(node)}: {why(error)}") from error

    def traffic(self) -> Traffic:
        try:
            now = self._query.now(seconds=RANGE_S, step=STEP_S)
            flush = self._query.node_series(seconds=RANGE_S, step=STEP_S)
        except TelemetryUnavailable as error:
            raise SourceSilent(f"port {self._fleet.query_port}: {why(error)}") from error
        return decode_traffic(now, flush)

    def heartbeat(self, process: str) -> str:
        beat = heartbeat.read(self._fleet.run, process, now_ms=time.time_ns() // 1_000_000)
        if beat.is_alive:
            return beat.note
        raise SourceSilent(
            "no beat yet" if beat.age_s is None else f"last beat {span(beat.age_s)} ago"
        )

    def processes(self) -> tuple[ProcessFacts, ...]:
        try:
            return decode_processes(ask(self._fleet.run, "registry", timeout_s=ANSWER_S_MAX))
        except SupervisorAway as error:
            raise SourceSilent("nothing answers on its socket") from error
        except Refused as error:
            raise SourceSilent(str(error)) from error

    def queue_lengths(self) -> Mapping[str, int]:
        client = redis.Redis(
            unix_socket_path=str(settings.BROKER_SOCKET),
            socket_timeout=ANSWER_S_MAX,
            socket_connect_timeout=ANSWER_S_MAX,
            # By itself the client tries again for seconds, and the whole picture would wait.
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return {queue: int(client.llen(queue)) for queue in QUEUES}
        except redis.RedisError as error:
            raise SourceSilent("Valkey doesn't answer on its socket") from error
        finally:
            client.close()


def why(error: BaseException) -> str:
    """The reason in a few words: the cause where the network gave one, else the error's own."""
    cause = error.__cause__
    if isinstance(cause, ConnectionRefusedError):
        return "nothing listens"
    if isinstance(cause, TimeoutError):
        return f"no answer within {ANSWER_S_MAX:g} s"
    return str(cause or error)[:120]


observatory = Observatory(FleetSources(settings.HOLDFAST))
