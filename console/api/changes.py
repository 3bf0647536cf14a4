"""Changes: what changed lately, and reporting one from outside, such as a deployment."""

from django.utils import timezone

from console.api.registry import Call, Reply, endpoint, listed, obj, text, whole
from console.audit.actions import record
from console.changes import queries
from console.changes.actions import record_change
from console.changes.models import NAME_CHARS_MAX, TITLE_CHARS_MAX
from runbooks import clock

TEXT = {"type": "string"}
MS_AHEAD_MAX = 60_000
CHANGE = obj(
    {
        "id": {"type": "integer"},
        "at_ms": {"type": "integer"},
        "source": TEXT,
        "kind": TEXT,
        "title": TEXT,
        "entity": TEXT,
        "actor": TEXT,
    }
)
EXAMPLE = {
    "id": 7,
    "at_ms": 1_700_000_000_000,
    "source": "api",
    "kind": "deploy",
    "title": "photos 2.4.1 rolled out",
    "entity": "tenant:photos",
    "actor": "token ci",
}


def change_json(row: queries.ChangeRow) -> dict[str, object]:
    return {
        "id": row.id,
        "at_ms": row.at_ms,
        "source": row.source,
        "kind": row.kind,
        "title": row.title,
        "entity": row.entity,
        "actor": row.actor,
    }


@endpoint(
    "GET",
    "changes",
    name="api-changes",
    summary="What changed lately, newest first.",
    query={"minutes": whole(1, 7 * 24 * 60)},
    reply=obj({"changes": listed(CHANGE), "heard": TEXT}),
    reply_example={"changes": [EXAMPLE], "heard": "4 of 4 sources heard from"},
)
def get_changes(call: Call) -> Reply:
    """Of the last 60 minutes, or as many as asked for; at most 200. `heard` says who would tell."""
    now_ms = clock.to_ms(timezone.now())
    rows = queries.between(now_ms - call.query.get("minutes", 60) * 60_000, now_ms)
    heard = queries.sources_heard(now_ms).sentence
    return Reply(body={"changes": [change_json(row) for row in rows], "heard": heard})


@endpoint(
    "POST",
    "changes",
    name="api-changes",
    summary="Report a change.",
    body=obj(
        {"kind": text(40), "title": text(TITLE_CHARS_MAX)},
        {
            "entity": text(NAME_CHARS_MAX, description="what changed, such as node-1 or tenant:a"),
            "at_ms": whole(0, 1 << 53, description="when it happened, Unix ms; default: now"),
        },
    ),
    body_example={"kind": "deploy", "title": "photos 2.4.1 rolled out", "entity": "tenant:photos"},
    status=201,
    reply=obj({"id": {"type": "integer"}}),
    reply_example={"id": 7},
)
def post_change(call: Call) -> Reply:
    """A change in the future is taken as now: it can't have caused anything yet."""
    record(actor=call.actor, action="report change", target=call.body["title"])
    now_ms = clock.to_ms(timezone.now())
    row = record_change(
        "api",
        call.body["kind"],
        call.body["title"],
        entity=call.body.get("entity", ""),
        actor=call.actor,
        at_ms=min(call.body.get("at_ms", now_ms), now_ms),
    )
    return Reply(body={"id": row.pk}, status=201)
