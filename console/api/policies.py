"""Policies: which runbook may start by itself for which kind of finding."""

from typing import Any

from console.api.registry import Call, Reply, endpoint, listed, obj, text
from console.audit.actions import record
from runbooks import limits, policies
from runbooks.policies import PolicyRow

TEXT = {"type": "string"}
POLICY = obj(
    {
        "finding_kind": TEXT,
        "runbook": TEXT,
        "is_on": {"type": "boolean"},
        "min_score": {"type": "number"},
        "changed_by": TEXT,
        "changed_at": TEXT,
    }
)
EXAMPLE = {
    "finding_kind": "fsync_stall",
    "runbook": "leader-fsync-stall",
    "is_on": True,
    "min_score": 0.6,
    "changed_by": "ada",
    "changed_at": "2026-05-01T03:01:40+00:00",
}
CHANGE = obj(
    {
        "finding_kind": text(limits.NAME_CHARS_MAX, description="as findings name it"),
        "is_on": {"type": "boolean"},
    },
    {
        "runbook": text(limits.NAME_CHARS_MAX, description="needed to switch it on"),
        "min_score": {"type": "number", "minimum": 0, "maximum": 1},
    },
)


def as_json(row: PolicyRow) -> dict[str, Any]:
    return {
        "finding_kind": row.finding_kind,
        "runbook": row.runbook,
        "is_on": row.is_on,
        "min_score": row.min_score,
        "changed_by": row.changed_by,
        "changed_at": row.changed_at.isoformat(),
    }


def listing() -> Reply:
    return Reply(body={"policies": [as_json(row) for row in policies.all()]})


@endpoint(
    "GET",
    "policies",
    name="api-policies",
    summary="What may start by itself.",
    reply=obj({"policies": listed(POLICY)}),
    reply_example={"policies": [EXAMPLE]},
)
def get_policies(_call: Call) -> Reply:
    """One for each kind of finding that an admin ever decided about."""
    return listing()


@endpoint(
    "POST",
    "policies",
    name="api-policies",
    summary="Let a runbook start by itself for a kind of finding, or stop that.",
    body=CHANGE,
    body_example={"finding_kind": "fsync_stall", "runbook": "leader-fsync-stall", "is_on": True},
    reply=obj({"policies": listed(POLICY)}),
    reply_example={"policies": [EXAMPLE]},
)
def change_policy(call: Call) -> Reply:
    """Answers with all policies. 400 names a runbook that is not for that kind."""
    kind, name = call.body["finding_kind"], call.body.get("runbook", "")
    word = "allow policy" if call.body["is_on"] else "forbid policy"
    record(actor=call.actor, action=word, target=kind, detail={"runbook": name})
    if call.body["is_on"]:
        score = float(call.body.get("min_score", policies.MIN_SCORE))
        policies.allow(kind, name, actor=call.actor, min_score=score)
    else:
        policies.forbid(kind, actor=call.actor)
    return listing()
