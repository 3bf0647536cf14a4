"""`manage.py runbook`: runbooks and their runs from a terminal and in pipelines.

The worker of the running fleet does the work; this starts, decides, waits and prints. Waiting ends
when the run is over or comes to wait for a person. Exit codes: 0 done, 1 it failed or could not be
taken back, 2 wrong use, 3 it waits for approval, 4 its outcome is unknown, 5 it was cancelled, 6 it
is not over in time, 7 refused (somebody was quicker, not allowed, the plan changed), 8 no database.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError

from console.audit.actions import record
from console.runs import export, words
from console.runs.asking import check_subject, typed
from runbooks import actions, library, people, proof, queries
from runbooks.errors import BadParameter, NoSuchRun, PlanChanged, RunError
from runbooks.models import Run
from runbooks.queries import RunDetail

ACTOR = people.TERMINAL
POLL_S = 0.5
WAIT_S_DEFAULT = 900.0
PLAN_CHARS_MIN = 8

WRONG, LATE, REFUSED, NO_DATABASE = 2, 6, 7, 8
EXIT_CODES = {"done": 0, "failed": 1, "waiting": 3, "unknown": 4, "cancelled": 5}


class Command(BaseCommand):
    help = "List runbooks, show one, start it, and decide about its runs."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        deeds = parser.add_subparsers(dest="deed", required=True)
        listing = deeds.add_parser("list", help="runbooks in force, and what runs prove of them")
        show = deeds.add_parser("show", help="a runbook by its name, or a run by its number")
        show.add_argument("what", metavar="NAME|RUN")
        run = deeds.add_parser("run", help="start a runbook")
        run.add_argument("name", metavar="NAME")
        run.add_argument("--param", action="append", default=[], metavar="K=V")
        run.add_argument("--dry", action="store_true", help="read and check, change nothing")
        run.add_argument("--subject", default="", help="incident:N")
        run.add_argument("--key", help="the same key starts nothing twice")
        approve = deeds.add_parser("approve", help="approve the plan of a run")
        approve.add_argument("--plan", default="", help="of another plan than the one asked for")
        approve.add_argument(
            "--alone", action="store_true", help="as no second person; needs --reason"
        )
        decline = deeds.add_parser("decline", help="decline a run; what it did is taken back")
        cancel = deeds.add_parser("cancel", help="cancel a run; what it did is taken back")
        settle = deeds.add_parser("settle", help="say what happened in an unknown run")
        undo = deeds.add_parser("undo", help="take back what a finished run did")
        for each in (approve, decline, cancel, settle, undo):
            each.add_argument("number", type=int, metavar="RUN")
        for each in (approve, decline, cancel):
            each.add_argument("--reason", default="")
        happened = settle.add_mutually_exclusive_group(required=True)
        happened.add_argument("--happened", action="store_true", help="go on behind the step")
        happened.add_argument("--did-not", action="store_true", help="do the step again")
        for each in (run, approve, settle, undo):
            each.add_argument("--wait", action="store_true", help="until it is over, or asks")
            each.add_argument("--timeout", type=float, default=WAIT_S_DEFAULT, metavar="S")
        for each in (listing, show, run, approve, decline, cancel, settle, undo):
            each.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        deed = options["deed"]
        try:
            if deed == "list":
                code = self._list(options)
            elif deed == "show":
                code = self._show(options)
            else:
                run = self._start(options) if deed == "run" else self._decide(deed, options)
                code = self._told(run.pk, options)
        except (BadParameter, NoSuchRun) as error:
            code = self._refuse(str(error), WRONG)
        except PlanChanged as error:
            sentence = f"{error}: look at `runbook show {error.run_id}`, then approve with --plan"
            code = self._refuse(f"{sentence} {error.plan_hash[:PLAN_CHARS_MIN]}", REFUSED)
        except RunError as error:
            code = self._refuse(str(error), REFUSED)
        except DatabaseError as error:
            where = settings.DATABASES["default"]["NAME"]
            code = self._refuse(f"the database {where} does not answer: {error}", NO_DATABASE)
        if code:
            sys.exit(code)

    def _list(self, options: dict[str, Any]) -> int:
        if options["json"]:
            return self._print_json(export.runbooks_json())
        books = library.all()
        hashes = {book.name: book.content_hash for book in books}
        proofs = proof.many(tuple(hashes), hashes)
        self._print(words.listed(book, proofs[book.name]) for book in books)
        for problem in library.problems():
            self.stderr.write(f"not in force: {problem}")
        return WRONG if library.problems() else 0

    def _show(self, options: dict[str, Any]) -> int:
        what = str(options["what"])
        if what.isascii() and what.isdigit():
            self._print_run(queries.run_detail(int(what)), as_json=options["json"])
            return 0
        book = library.get(what)
        if options["json"]:
            return self._print_json(export.document_json(book))
        self._print(words.document(book, proof.of(book.name, content_hash=book.content_hash)))
        return 0

    def _start(self, options: dict[str, Any]) -> Run:
        book = library.get(options["name"])
        params = typed(book, "", _pairs(options["param"]))
        subject = check_subject(options["subject"])
        action = "dry-run runbook" if options["dry"] else "start runbook"
        record(actor=ACTOR, action=action, target=book.name)
        return actions.start_runbook(
            book.name,
            params,
            actor=ACTOR,
            subject=subject,
            mode="dry" if options["dry"] else "real",
            key=options["key"],
        )

    def _decide(self, deed: str, options: dict[str, Any]) -> Run:
        number = options["number"]
        detail = queries.run_detail(number)
        reason = options.get("reason", "")
        words_of = {"reason": reason[:200]} if reason else {}
        record(actor=ACTOR, action=f"{deed} run", target=f"run {number}", detail=words_of)
        if deed == "approve":
            return actions.approve(
                number,
                actor=ACTOR,
                plan_hash=_plan_hash(detail, options["plan"]),
                reason=reason,
                alone=options["alone"],
            )
        if deed == "decline":
            return actions.decline(number, actor=ACTOR, reason=reason)
        if deed == "cancel":
            return actions.cancel(number, ACTOR, reason)
        if deed == "settle":
            return actions.settle_unknown(number, actor=ACTOR, happened=options["happened"])
        return actions.undo(number, actor=ACTOR)

    def _told(self, run_id: int, options: dict[str, Any]) -> int:
        """Print the run, waited for if that was asked; the exit code says how it stands."""
        if not options.get("wait"):
            self._print_run(queries.run_detail(run_id), as_json=options["json"])
            return 0
        give_up_s = time.monotonic() + options["timeout"]
        detail = queries.run_detail(run_id)
        while detail.run.state in ("queued", "running") and time.monotonic() < give_up_s:
            time.sleep(POLL_S)
            detail = queries.run_detail(run_id)
        self._print_run(detail, as_json=options["json"])
        if detail.run.undo_state == "failed":
            return EXIT_CODES["failed"]
        return EXIT_CODES.get(detail.run.state, LATE)

    def _print_run(self, detail: RunDetail, *, as_json: bool) -> None:
        if as_json:
            self._print_json(export.whole_json(detail))
            return
        url = f"{settings.PUBLIC_URL}/runs/{detail.run.id}"
        self._print(words.run(detail, export.proposal_of(detail), url=url))

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _print_json(self, said: object) -> int:
        self.stdout.write(json.dumps(said, indent=1, ensure_ascii=False))
        return 0

    def _refuse(self, sentence: str, code: int) -> int:
        self.stderr.write(sentence)
        return code


def _pairs(given: Iterable[str]) -> dict[str, str]:
    """Raises BadParameter for what is no k=v, and for a name given twice."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or name in found:
            raise BadParameter("param", pair, "NAME=VALUE, each name once")
        found[name.strip()] = value
    return found


def _plan_hash(detail: RunDetail, given: str) -> str:
    """The plan that the run asked about, or another one by the start of its hash."""
    if not given:
        return detail.run.plan_hash
    if len(given) < PLAN_CHARS_MIN:
        raise BadParameter("plan", given, f"at least {PLAN_CHARS_MIN} characters of its hash")
    proposal = export.proposal_of(detail)
    now = proposal.plan_hash if proposal is not None else ""
    return now if now.startswith(given) else given
