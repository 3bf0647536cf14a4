"""Runs: those that were, one with its steps, starting one of a runbook, and deciding about it."""

from collections.abc import Callable
from typing import Any

from django.urls import reverse

from console.accounts.roles import Role
from console.api.problems import Refusal
from console.api.registry import Call, Reply, endpoint, listed, maybe, obj, one_of, text, whole
from console.audit.actions import record
from console.audit.chain import Detail
from console.runs.asking import SUBJECT, SUBJECT_EXPECTED
from console.runs.box import role_to_approve
from console.runs.export import run_json, whole_json
from runbooks import actions, limits, queries
from runbooks.engine.states import Mode, RunState

ROWS_DEFAULT = 50
TEXT = {"type": "string"}
COUNT = {"type": "integer"}
OPEN = {"type": "object"}
RUN = obj(
    {
        "id": COUNT,
        "kind": TEXT,
        "title": TEXT,
        "target": TEXT,
        "params": OPEN,
        "subject": TEXT,
        "actor": TEXT,
        "mode": one_of(*(mode.value for mode in Mode)),
        "state": one_of(*(state.value for state in RunState)),
        "reason": TEXT,
        "undo": TEXT,
        "outcome": OPEN,
        "created": TEXT,
        "started": maybe(TEXT),
        "finished": maybe(TEXT),
        "url": TEXT,
    }
)
STEP = obj(
    {
        "name": TEXT,
        "title": TEXT,
        "does": TEXT,
        "state": TEXT,
        "reason": TEXT,
        "attempts": COUNT,
        "took_s": maybe({"type": "number"}),
        "is_undo": {"type": "boolean"},
        "outcome": OPEN,
    }
)
CONDITION = obj({"step": TEXT, "text": TEXT, "holds": maybe({"type": "boolean"}), "told": TEXT})
WAITS = obj(
    {
        "plan": TEXT,
        "role": TEXT,
        "policy": TEXT,
        "calls": OPEN,
        "not_known": OPEN,
        "conditions": listed(CONDITION),
    }
)
WHOLE = obj({"run": RUN, "steps": listed(STEP), "waits": maybe(WAITS)})
START = obj(
    {"runbook": text(limits.NAME_CHARS_MAX, description="the name of a runbook in force")},
    {
        "params": {"type": "object", "description": "an object; the target is among them"},
        "subject": text(
            limits.SUBJECT_CHARS_MAX,
            pattern=f"^{SUBJECT.pattern}$",
            description=SUBJECT_EXPECTED,
        ),
        "mode": one_of(*(mode.value for mode in Mode)),
    },
)
REASON = text(limits.REASON_CHARS_MAX)
EXAMPLE = {
    "id": 88,
    "kind": "leader-fsync-stall",
    "title": "Move leadership off a stalled disk",
    "target": "node-1",
    "params": {},
    "subject": "incident:42",
    "actor": "ada",
    "mode": "real",
    "state": "waiting",
    "reason": "",
    "undo": "",
    "outcome": {},
    "created": "2026-05-01T03:02:40+00:00",
    "started": "2026-05-01T03:02:40+00:00",
    "finished": None,
    "url": "/runs/88",
}
WHOLE_EXAMPLE = {
    "run": EXAMPLE,
    "steps": [
        {
            "name": "before",
            "title": "Look at who leads",
            "does": "reads",
            "state": "done",
            "reason": "",
            "attempts": 1,
            "took_s": 0.04,
            "is_undo": False,
            "outcome": {"leader": "node-1", "term": 41},
        }
    ],
    "waits": {
        "plan": "5f2c" * 16,
        "role": "responder",
        "policy": "alone_with_reason",
        "calls": {"transfer": {"call": {"to": "node-2"}, "fence": {"leader": "node-1"}}},
        "not_known": {},
        "conditions": [
            {"step": "transfer", "text": "fleet.leader == target", "holds": True, "told": ""}
        ],
    },
}


@endpoint(
    "GET",
    "runs",
    name="api-runs",
    summary="Runs, newest first.",
    query={
        "kind": text(limits.NAME_CHARS_MAX),
        "target": text(limits.TARGET_CHARS_MAX),
        "subject": text(limits.SUBJECT_CHARS_MAX),
        "limit": whole(1, limits.LISTED_RUNS_MAX),
    },
    reply=obj({"runs": listed(RUN)}),
    reply_example={"runs": [EXAMPLE]},
)
def get_runs(call: Call) -> Reply:
    """`kind` is the name of a runbook or of a built-in kind, such as capture-profile."""
    rows = queries.recent_runs(
        call.query.get("limit", ROWS_DEFAULT),
        kind=call.query.get("kind", ""),
        target=call.query.get("target", ""),
        subject=call.query.get("subject", ""),
    )
    return Reply(body={"runs": [run_json(row) for row in rows]})


@endpoint(
    "POST",
    "runs",
    name="api-runs",
    summary="Start a runbook, or a dry run of one.",
    body=START,
    body_example={
        "runbook": "leader-fsync-stall",
        "params": {"target": "node-1"},
        "subject": "incident:42",
    },
    status=201,
    reply=RUN,
    reply_example=EXAMPLE,
)
def start_run(call: Call) -> Reply:
    """Opens a run and answers with its address. 409 names the run that is in the way."""
    name, mode = call.body["runbook"], call.body.get("mode", Mode.REAL.value)
    params: dict[str, Any] = call.body.get("params", {})
    record(
        actor=call.actor,
        action="dry-run runbook" if mode == Mode.DRY.value else "start runbook",
        target=name,
        detail={"target": str(params.get("target", ""))[: limits.TARGET_CHARS_MAX]},
    )
    run = actions.start_runbook(
        name,
        params,
        actor=call.actor,
        subject=call.body.get("subject", ""),
        mode=mode,
        key=call.key,
    )
    url = reverse("run", args=[run.pk])
    body = run_json(queries.run_detail(run.pk).run)
    return Reply(body=body, status=201, headers={"Location": url})


@endpoint(
    "GET",
    "runs/<number:run_id>",
    name="api-run",
    summary="One run with its steps and, while it waits for approval, its plan.",
    reply=WHOLE,
    reply_example=WHOLE_EXAMPLE,
)
def get_run(call: Call) -> Reply:
    """`waits.plan` is the hash to approve, of what would be done at this moment."""
    return Reply(body=whole_json(queries.run_detail(call.args["run_id"])))


@endpoint(
    "POST",
    "runs/<number:run_id>/approve",
    name="api-run-approve",
    summary="Approve the plan that was read.",
    body=obj(
        {"plan": text(64, description="the hash of the plan, as `waits.plan` has it")},
        {"reason": REASON, "alone": {"type": "boolean"}},
    ),
    body_example={"plan": "5f2c" * 16, "reason": "the disk of node-1 stalls", "alone": True},
    reply=RUN,
    reply_example=EXAMPLE,
)
def approve_run(call: Call) -> Reply:
    """409 if somebody was quicker, or if another plan would be carried out now: nothing is approved
    then. Whoever asked for the run, and any program, needs `alone` and a reason, where its policy
    allows that: a second person is a person.
    """
    run_id, plan = call.args["run_id"], call.body["plan"]
    needed = role_to_approve(queries.run_detail(run_id))
    if (call.caller.role or Role.VIEWER) < needed:
        raise Refusal(403, f"{needed.word.capitalize()} role needed to approve")
    reason, alone = call.body.get("reason", ""), call.body.get("alone", False)
    return _decided(
        call,
        "approve run",
        lambda: actions.approve(
            run_id, actor=call.actor, plan_hash=plan, reason=reason, alone=alone
        ),
        {"plan": plan, "reason": reason[:200]},
    )


@endpoint(
    "POST",
    "runs/<number:run_id>/decline",
    name="api-run-decline",
    summary="Decline a run that waits for approval.",
    body=obj({}, {"reason": REASON}),
    body_example={"reason": "node-1 is well again"},
    reply=RUN,
    reply_example=EXAMPLE,
)
def decline_run(call: Call) -> Reply:
    """The run ends, and what it did is taken back. 409 if it doesn't wait."""
    reason = call.body.get("reason", "")
    return _decided(
        call,
        "decline run",
        lambda: actions.decline(call.args["run_id"], actor=call.actor, reason=reason),
        {"reason": reason[:200]},
    )


@endpoint(
    "POST",
    "runs/<number:run_id>/cancel",
    name="api-run-cancel",
    summary="Cancel a run; what it did is taken back.",
    body=obj({}, {"reason": REASON}),
    body_example={"reason": "node-1 is well again"},
    reply=RUN,
    reply_example=EXAMPLE,
)
def cancel_run(call: Call) -> Reply:
    """A change that is under way is finished first. 409 if the run is over."""
    reason = call.body.get("reason", "")
    return _decided(
        call,
        "cancel run",
        lambda: actions.cancel(call.args["run_id"], call.actor, reason),
        {"reason": reason[:200]},
    )


@endpoint(
    "POST",
    "runs/<number:run_id>/settle",
    name="api-run-settle",
    summary="Say whether the step of an unknown run happened.",
    body=obj({"happened": {"type": "boolean"}}),
    body_example={"happened": True},
    reply=RUN,
    reply_example=EXAMPLE,
)
def settle_run(call: Call) -> Reply:
    """It happened: the run goes on behind it. It did not: the step is done again. 409 if nothing is
    unknown of this run.
    """
    happened = call.body["happened"]
    return _decided(
        call,
        "settle run",
        lambda: actions.settle_unknown(call.args["run_id"], actor=call.actor, happened=happened),
        {"happened": "yes" if happened else "no"},
    )


def _decided(call: Call, name: str, do: Callable[[], object], detail: Detail) -> Reply:
    run_id = call.args["run_id"]
    record(actor=call.actor, action=name, target=f"run {run_id}", detail=detail)
    do()
    return Reply(body=run_json(queries.run_detail(run_id).run))
