"""Drills: those that were, starting one, stopping one."""

from django.urls import reverse

from console.api.registry import Call, Reply, endpoint, listed, obj, text, whole
from console.audit.actions import record
from console.drills import export
from runbooks.drills import actions, limits, queries
from runbooks.drills.actions import SEED_MAX
from runbooks.drills.scenarios import SCENARIOS

LIST_ROWS = 50
TEXT = {"type": "string"}
DRILL = {"type": "object"}
EXAMPLE = {"id": 88, "scenario": "failover-leader", "verdict": "passed"}
START = obj(
    {"scenario": text(40, description=f"one of {', '.join(SCENARIOS)}")},
    {
        "seed": whole(0, SEED_MAX),
        "hold_s": {
            "type": "number",
            "minimum": limits.HOLD_S_MIN,
            "maximum": limits.HOLD_S_MAX,
            "description": "seconds that the fault stands",
        },
    },
)


@endpoint(
    "GET",
    "drills",
    name="api-drills",
    summary="The newest drills.",
    reply=obj({"drills": listed(DRILL)}),
    reply_example={"drills": [EXAMPLE]},
)
def get_drills(call: Call) -> Reply:
    """Newest first, at most 50."""
    return Reply(body={"drills": [export.as_json(row) for row in queries.recent(LIST_ROWS)]})


@endpoint(
    "POST",
    "drills",
    name="api-drills",
    summary="Start a drill.",
    body=START,
    body_example={"scenario": "failover-leader"},
    status=201,
    reply=DRILL,
    reply_example=EXAMPLE,
)
def start_drill(call: Call) -> Reply:
    """Opens a drill and answers with its address. 409 says which guard refuses it."""
    scenario = call.body["scenario"]
    record(actor=call.actor, action="start drill", target=scenario)
    drill = actions.start(
        scenario,
        actor=call.actor,
        seed=call.body.get("seed"),
        hold_s=call.body.get("hold_s"),
        key=call.key,
    )
    url = reverse("drill", args=[drill.pk])
    body = export.as_json(queries.report(drill.pk)) | {"url": url}
    return Reply(body=body, status=201, headers={"Location": url})


@endpoint(
    "GET",
    "drills/<number:drill_id>",
    name="api-drill",
    summary="One drill with all its figures.",
    reply=DRILL,
    reply_example=EXAMPLE,
)
def get_drill(call: Call) -> Reply:
    """404 if there is none of that number."""
    return Reply(body=export.as_json(queries.report(call.args["drill_id"])))


@endpoint(
    "POST",
    "drills/<number:drill_id>/stop",
    name="api-drill-stop",
    summary="Stop a drill: its fault is taken back at once.",
    reply=DRILL,
    reply_example=EXAMPLE,
)
def stop_drill(call: Call) -> Reply:
    """409 if it is over."""
    drill_id = call.args["drill_id"]
    record(actor=call.actor, action="stop drill", target=str(drill_id))
    actions.stop(drill_id, actor=call.actor)
    return Reply(body=export.as_json(queries.report(drill_id)))
