"""Ask triage from a terminal: about an incident, or about the last minutes as they are."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.incidents import queries as incidents
from console.incidents.errors import NoSuchIncident
from console.triage import evidence_json, look
from console.triage.findings import Findings
from runbooks import clock


class Command(BaseCommand):
    help = "Name the likely cause of INCIDENT, or with --now of whatever goes on at this moment."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("incident", nargs="?", type=int, help="number of an incident")
        parser.add_argument("--now", action="store_true", help="look at the last minutes")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")
        parser.add_argument("--save", metavar="FILE", help="keep the evidence as JSON, too")

    def handle(self, *args: Any, **options: Any) -> None:
        burn_ms = self._began(options["incident"], options["now"])
        started_s = time.process_time()
        evidence, findings = look.at_fleet(now_ms=clock.now_ms(), burn_ms=burn_ms)
        cpu_s = time.process_time() - started_s
        if options["save"]:
            text = json.dumps(evidence_json.encode(evidence), separators=(",", ":"))
            Path(options["save"]).write_text(text, encoding="utf-8")
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(findings), "cpu_s": cpu_s}))
        else:
            self._print(findings, cpu_s)

    def _began(self, incident_id: int | None, now: bool) -> int | None:
        if (incident_id is None) != now:
            raise CommandError("name one incident (such as 42), or say --now")
        if incident_id is None:
            return None
        try:
            incident = incidents.get(incident_id)
        except NoSuchIncident as error:
            raise CommandError(str(error)) from error
        if not incident.is_open:
            self.stderr.write(f"{incident.name} is over: the fleet is looked at as it is now")
        return clock.to_ms(incident.onset_at)

    def _print(self, findings: Findings, cpu_s: float) -> None:
        if findings.is_abstained:
            self.stdout.write("Cause unknown. What moved most:")
            for line in findings.moved:
                self.stdout.write(f"  {line.sentence}")
        for rank, claim in enumerate(findings.claims, start=1):
            self.stdout.write(
                f"{rank}. {claim.headline} ({claim.entity}, {claim.kind}; score {claim.score:.2f})"
            )
            for line in claim.lines:
                self.stdout.write(f"   {line.sentence}")
            if claim.bars is not None:
                self.stdout.write(f"   {claim.bars.sentence}")
            for sentence in claim.why_not:
                self.stdout.write(f"   - {sentence}")
        for silence in findings.missing:
            self.stdout.write(f"blind: {silence.source}: {silence.reason}")
        self.stdout.write(f"{cpu_s:.2f} s of processor time")
