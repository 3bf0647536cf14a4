"""Print what each node says of itself. Needs the nodes' admin ports and nothing else.

No telemetry, no queue, no database: this is the command for the night on which all of these are
gone. The exit code is 0 only if every node answers and all name one leader.
"""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from console.figures import NONE_TEXT, quantity, span
from storage_core.client import FleetClient, NodeStatus

ANSWER_S_MAX = 1.0
COLUMNS = "{:<8} {:<11} {:>6} {:>8} {:>12} {:>12} {:>11} {:>11} {:>12}"


class Command(BaseCommand):
    help = "Show every node's role, term, leader and log, asking the nodes themselves."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        fleet = settings.HOLDFAST
        found = FleetClient(fleet).statuses(ANSWER_S_MAX)
        header = (
            "node",
            "role",
            "term",
            "leader",
            "committed",
            "applied",
            "flush p99",
            "disk",
            "up",
        )
        self.stdout.write(COLUMNS.format(*header))
        for number, status in sorted(found.items()):
            if isinstance(status, NodeStatus):
                self.stdout.write(self._line(status))
            else:
                port = fleet.admin_port(number)
                self.stdout.write(f"node-{number:<3} no answer on port {port}: {status}")
        statuses = [status for status in found.values() if isinstance(status, NodeStatus)]
        leaders = {status.leader for status in statuses}
        if len(statuses) == len(found) and len(leaders) == 1 and None not in leaders:
            self.stdout.write(f"node-{leaders.pop()} leads; all {len(found)} nodes agree")
            return
        self.stdout.write(f"{len(statuses)} of {len(found)} nodes answer; they don't all agree")
        sys.exit(1)

    def _line(self, status: NodeStatus) -> str:
        leader = NONE_TEXT if status.leader is None else f"node-{status.leader}"
        return COLUMNS.format(
            status.name,
            status.role,
            status.term,
            leader,
            f"{status.commit_index:,}",
            f"{status.applied_index:,}",
            quantity(status.flush_p99_ms, "ms"),
            quantity(status.disk_free_bytes, "bytes"),
            span(status.uptime_s),
        )
