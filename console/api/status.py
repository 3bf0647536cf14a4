"""What can be seen right now."""

from console.api.registry import Call, Json, Reply, endpoint, listed, maybe, obj
from console.live.badge import badge_of
from console.live.sources import observatory
from console.now.page import NodeRow, node_rows
from console.release import VERSION

MAX_AGE_MS = 1000
TEXT = {"type": "string"}
COUNT = {"type": "integer"}
FLAG = {"type": "boolean"}

PART = obj({"name": TEXT, "sight": TEXT, "as_of_ms": maybe(COUNT), "reason": TEXT})
NODE = obj(
    {
        "name": TEXT,
        "fresh": FLAG,
        "as_of_ms": maybe(COUNT),
        "role": maybe(TEXT),
        "term": maybe(COUNT),
        "leader": maybe(COUNT),
        "commit_index": maybe(COUNT),
        "applied_index": maybe(COUNT),
    }
)
STATUS = obj(
    {
        "version": TEXT,
        "taken_ms": COUNT,
        "complete": {"type": "boolean", "description": "whether every part answered"},
        "parts": listed(PART),
        "nodes": listed(NODE),
    }
)
EXAMPLE = {
    "version": VERSION,
    "taken_ms": 1_700_000_000_000,
    "complete": False,
    "parts": [
        {
            "name": "telemetry",
            "sight": "blind",
            "as_of_ms": None,
            "reason": "nothing listens",
        }
    ],
    "nodes": [
        {
            "name": "node-0",
            "fresh": True,
            "as_of_ms": 1_700_000_000_000,
            "role": "leader",
            "term": 4,
            "leader": 0,
            "commit_index": 1000,
            "applied_index": 1000,
        }
    ],
}


@endpoint(
    "GET",
    "status",
    name="api-status",
    summary="What can be seen right now.",
    reply=STATUS,
    reply_example=EXAMPLE,
)
def get_status(call: Call) -> Reply:
    """A part that doesn't answer is said to be blind, not left out."""
    picture = observatory.picture(max_age_ms=MAX_AGE_MS)
    return Reply(
        body={
            "version": VERSION,
            "taken_ms": picture.taken_ms,
            "complete": badge_of(picture).state == "ok",
            "parts": [
                {
                    "name": part.part,
                    "sight": part.sight.value,
                    "as_of_ms": part.as_of_ms,
                    "reason": part.reason,
                }
                for part in picture.parts
            ],
            "nodes": [node_json(row) for row in node_rows(picture)],
        }
    )


def node_json(row: NodeRow) -> Json:
    facts = row.facts
    return {
        "name": row.name,
        "fresh": row.fresh,
        "as_of_ms": row.as_of_ms,
        "role": facts.role if facts else None,
        "term": facts.term if facts else None,
        "leader": facts.leader if facts else None,
        "commit_index": facts.commit_index if facts else None,
        "applied_index": facts.applied_index if facts else None,
    }
