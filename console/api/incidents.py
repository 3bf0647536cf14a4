"""Incidents: those that are open, one with its alerts and timeline, and what programs may do."""

from collections.abc import Callable, Mapping
from typing import Any

from django.urls import reverse

from console.api.registry import Call, Reply, endpoint, listed, maybe, obj, one_of, text, whole
from console.audit.actions import record
from console.incidents import actions, limits, queries
from console.incidents.errors import BadField, IncidentError
from console.incidents.lifecycle import Severity, State
from console.incidents.queries import Filter, IncidentRow

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
COUNT = {"type": "integer"}
DEEDS: Mapping[str, Callable[[int, Call], object]] = {
    "acknowledge": lambda number, call: actions.acknowledge(number, actor=call.actor),
    "mitigate": lambda number, call: actions.mitigate(number, actor=call.actor),
    "resolve": lambda number, call: actions.resolve(number, actor=call.actor),
    "escalate": lambda number, call: actions.escalate(number, actor=call.actor),
    "note": lambda number, call: actions.note(
        number, actor=call.actor, text=str(call.body.get("text", ""))
    ),
}
INCIDENT = obj(
    {
        "id": COUNT,
        "key": TEXT,
        "state": one_of(*(state.value for state in State)),
        "severity": one_of(*(severity.value for severity in Severity)),
        "headline": TEXT,
        "drill_run": maybe(COUNT),
        "owner": TEXT,
        "lead": TEXT,
        "cause": maybe(obj({"entity": TEXT, "kind": TEXT, "headline": TEXT})),
        "onset": TEXT,
        "opened": TEXT,
        "resolved": maybe(TEXT),
        "detected_s": NUMBER,
        "named_s": maybe(NUMBER),
        "fixed_s": maybe(NUMBER),
        "recovered_alone": {"type": "boolean"},
        "alerts": COUNT,
        "firing": COUNT,
        "requests_failed": maybe(COUNT),
        "requests_late": maybe(COUNT),
        "data_at_risk": maybe({"type": "boolean"}),
        "url": TEXT,
    }
)
LINE = obj({"at": TEXT, "kind": TEXT, "actor": TEXT, "text": TEXT, "run": maybe(COUNT)})
ALERT = obj(
    {
        "key": TEXT,
        "source": TEXT,
        "severity": TEXT,
        "headline": TEXT,
        "firing": {"type": "boolean"},
        "silenced": {"type": "boolean"},
        "started": TEXT,
        "ended": maybe(TEXT),
    }
)
EXAMPLE = {
    "id": 42,
    "key": "write-latency-20260501T030140",
    "state": "acknowledged",
    "severity": "page",
    "headline": "Writes are slow",
    "drill_run": None,
    "owner": "ada",
    "lead": "",
    "cause": {"entity": "node-1", "kind": "fsync_stall", "headline": "Flush stalls on node-1"},
    "onset": "2026-05-01T03:01:40+00:00",
    "opened": "2026-05-01T03:01:52+00:00",
    "resolved": None,
    "detected_s": 12.0,
    "named_s": 6.0,
    "fixed_s": None,
    "recovered_alone": False,
    "alerts": 2,
    "firing": 2,
    "requests_failed": 12,
    "requests_late": 4120,
    "data_at_risk": False,
    "url": "/incidents/42",
}


def incident_json(row: IncidentRow) -> dict[str, Any]:
    cause = {
        "entity": row.cause_entity,
        "kind": row.cause_kind,
        "headline": row.cause_headline,
    }
    return {
        "id": row.id,
        "key": row.key,
        "state": row.state,
        "severity": row.severity,
        "headline": row.headline,
        "drill_run": row.drill_run,
        "owner": row.owner,
        "lead": row.lead,
        "cause": cause if row.cause_headline else None,
        "onset": row.onset_at.isoformat(),
        "opened": row.opened_at.isoformat(),
        "resolved": row.resolved_at.isoformat() if row.resolved_at else None,
        "detected_s": row.detected_s,
        "named_s": row.named_s,
        "fixed_s": row.fixed_s,
        "recovered_alone": row.recovered_alone,
        "alerts": row.alert_count,
        "firing": row.firing_count,
        "requests_failed": row.requests_failed,
        "requests_late": row.requests_late,
        "data_at_risk": row.data_at_risk,
        "url": reverse("incident", args=[row.id]),
    }


@endpoint(
    "GET",
    "incidents",
    name="api-incidents",
    summary="Incidents, open ones first, then newest.",
    query={"state": one_of("open", *(state.value for state in State)), "page": whole(1, 10_000)},
    reply=obj({"incidents": listed(INCIDENT), "total": COUNT}),
    reply_example={"incidents": [EXAMPLE], "total": 1},
)
def get_incidents(call: Call) -> Reply:
    """Fifty a page."""
    asked = Filter(state=call.query.get("state", ""))
    rows, total = queries.listed(asked, page=call.query.get("page", 1))
    return Reply(body={"incidents": [incident_json(row) for row in rows], "total": total})


@endpoint(
    "GET",
    "incidents/<number:incident_id>",
    name="api-incident",
    summary="One incident, with its alerts and its timeline.",
    reply=obj({"incident": INCIDENT, "alerts": listed(ALERT), "timeline": listed(LINE)}),
    reply_example={
        "incident": EXAMPLE,
        "alerts": [
            {
                "key": "write-latency",
                "source": "holdfast",
                "severity": "page",
                "headline": "Writes are slow",
                "firing": True,
                "silenced": False,
                "started": "2026-05-01T03:01:40+00:00",
                "ended": None,
            }
        ],
        "timeline": [
            {
                "at": "2026-05-01T03:02:05+00:00",
                "kind": "person",
                "actor": "ada",
                "text": "acknowledged it",
                "run": None,
            }
        ],
    },
    refusals=(IncidentError,),
)
def get_incident(call: Call) -> Reply:
    """Timeline newest first, at most 200 lines; firing alerts first, at most 50."""
    return Reply(body=whole_json(call.args["incident_id"]))


def whole_json(incident_id: int) -> dict[str, Any]:
    """Raises NoSuchIncident."""
    row = queries.get(incident_id)
    return {
        "incident": incident_json(row),
        "alerts": [
            {
                "key": alert.key,
                "source": alert.source,
                "severity": alert.severity,
                "headline": alert.headline,
                "firing": alert.is_firing,
                "silenced": alert.is_silenced,
                "started": alert.started_at.isoformat(),
                "ended": alert.ended_at.isoformat() if alert.ended_at else None,
            }
            for alert in queries.alerts_of(incident_id)
        ],
        "timeline": [
            {
                "at": line.at.isoformat(),
                "kind": line.kind,
                "actor": line.actor,
                "text": line.text,
                "run": line.run_id,
            }
            for line in queries.timeline(incident_id)
        ],
    }


@endpoint(
    "POST",
    "incidents/<number:incident_id>",
    name="api-incident",
    summary="Acknowledge, escalate, mitigate, resolve, or add a note.",
    body=obj({"do": one_of(*DEEDS)}, {"text": text(limits.NOTE_CHARS_MAX)}),
    body_example={"do": "note", "text": "rolled back"},
    reply=INCIDENT,
    reply_example=EXAMPLE,
    refusals=(IncidentError,),
)
def act(call: Call) -> Reply:
    """409 says who was quicker. `text` belongs to a note."""
    number, deed = call.args["incident_id"], call.body["do"]
    if deed != "note" and "text" in call.body:
        raise BadField("text", f"none, since {deed} takes no text,")
    record(actor=call.actor, action=f"{deed} incident", target=f"INC-{number}")
    DEEDS[deed](number, call)
    return Reply(body=incident_json(queries.get(number)))
