"""`python -m bench.pages`: server time of the console's pages over tables that are full.

5,000 incidents, 20,000 alerts and 20,000 runs in a home that is thrown away, then each page asked
for again and again in this process: no network, no browser, sources of the fleet silent. Prints the
median and the 95th percentile. Time depends on the machine; queries, which do not, are counted in
the tests of each page.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import django

HOME = tempfile.TemporaryDirectory(prefix="hf-pages-")
os.environ["HOLDFAST_HOME"] = HOME.name
os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from console.accounts.models import Person  # noqa: E402
from console.alerts.models import Alert as ToldAlert  # noqa: E402
from console.incidents.models import Alert, Incident, TimelineRow  # noqa: E402
from runbooks.models import Run  # noqa: E402

INCIDENTS, ALERTS_EACH, LINES_EACH, RUNS = 5_000, 4, 6, 20_000
OPEN = 8
PAGES = (
    "/",
    "/incidents",
    "/incidents?page=80",
    "/incidents?text=writes",
    "/hand-over",
    f"/incidents/{INCIDENTS}",
    "/runs",
    "/drills",
    "/slos",
    "/accuracy",
    "/api/v1/incidents",
    "/api/v1/runs",
)


def fill() -> None:
    """The tables, newest last."""
    now = timezone.now()
    incidents = [
        _incident(number, now - timedelta(minutes=INCIDENTS - number))
        for number in range(INCIDENTS)
    ]
    Incident.objects.bulk_create(incidents, batch_size=500)
    Alert.objects.bulk_create(
        (_alert(row, number) for row in incidents for number in range(ALERTS_EACH)), batch_size=500
    )
    TimelineRow.objects.bulk_create(
        (
            TimelineRow(
                incident=row, at=row.opened_at, kind="machine", actor="watcher", text="Seen"
            )
            for row in incidents
            for _ in range(LINES_EACH)
        ),
        batch_size=500,
    )
    ToldAlert.objects.bulk_create(
        (
            ToldAlert(
                key=f"write-latency-{number}",
                rule="write-latency",
                tier="flash",
                severity="page",
                headline="Writes are slow",
                started_at=now,
                told_at=now,
                ended_at=now,
            )
            for number in range(INCIDENTS * ALERTS_EACH)
        ),
        batch_size=500,
    )
    Run.objects.bulk_create((_run(number, now) for number in range(RUNS)), batch_size=500)


def _incident(number: int, at: datetime) -> Incident:
    is_open = number >= INCIDENTS - OPEN
    return Incident(
        key=f"write-latency-{number}",
        headline=f"Writes are slow: {number % 60} % over 50 ms",
        severity="page" if number % 3 else "ticket",
        state="open" if is_open else "resolved",
        onset_at=at,
        opened_at=at,
        resolved_at=None if is_open else at,
        alert_count=ALERTS_EACH,
        firing_count=ALERTS_EACH if is_open else 0,
    )


def _alert(row: Incident, number: int) -> Alert:
    return Alert(
        incident=row,
        key=f"rule-{number}",
        rule=f"rule-{number}",
        severity="page",
        headline="Writes are slow",
        is_firing=row.state == "open",
        started_at=row.opened_at,
        fired_at=row.opened_at,
    )


def _run(number: int, now: datetime) -> Run:
    return Run(
        kind="hung-node",
        target=f"node-{number % 3}",
        subject=f"incident:{number % INCIDENTS + 1}",
        actor="ada",
        key=f"bench-{number}",
        state="done",
        created_at=now,
        started_at=now,
        finished_at=now,
        deadline=now,
        ring_at=now,
    )


def measure(client: Client, path: str, count: int) -> tuple[int, float, float]:
    """Status, median ms, 95th percentile ms."""
    status = client.get(path).status_code
    took = []
    for _ in range(count):
        began_s = time.perf_counter()
        client.get(path)
        took.append((time.perf_counter() - began_s) * 1000)
    took.sort()
    return status, statistics.median(took), took[int(count * 0.95)]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.pages", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=40, help="requests of each page")
    options = parser.parse_args(argv)
    call_command("migrate", verbosity=0)
    fill()
    ada = User.objects.create_user("ada")
    Person.objects.create(user=ada, role="admin")
    client = Client(HTTP_HOST="localhost")
    client.force_login(ada)
    print(f"{'page':<28}{'status':>7}{'p50':>10}{'p95':>10}")
    for path in PAGES:
        status, p50_ms, p95_ms = measure(client, path, options.count)
        print(f"{path:<28}{status:>7}{p50_ms:>7.1f} ms{p95_ms:>7.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
