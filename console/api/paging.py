"""Paging: does it work, and a test."""

from console.api.registry import Call, Reply, endpoint, listed, obj
from console.audit.actions import record
from console.notify import actions
from console.notify.queries import paging

TEXT = {"type": "string"}
OUTCOME = obj(
    {
        "channel": TEXT,
        "delivered": {"type": "boolean"},
        "reason": TEXT,
        "took_ms": {"type": "integer"},
    }
)


@endpoint(
    "GET",
    "paging",
    name="api-paging",
    summary="Whether pages reach anybody, from what was sent.",
    reply=obj({"works": {"type": "boolean"}, "sentence": TEXT, "channels": listed(TEXT)}),
    reply_example={
        "works": True,
        "sentence": "Paging: works, tested 6 h ago",
        "channels": ["webhook"],
    },
)
def get_paging(call: Call) -> Reply:
    """`works` is true only if every channel took its last message."""
    standing = paging()
    return Reply(
        body={
            "works": standing.state == "ok",
            "sentence": standing.sentence,
            "channels": list(standing.channels),
        }
    )


@endpoint(
    "POST",
    "paging",
    name="api-paging",
    summary="Send a test page over every channel.",
    reply=obj({"outcomes": listed(OUTCOME)}),
    reply_example={
        "outcomes": [{"channel": "webhook", "delivered": True, "reason": "", "took_ms": 41}]
    },
)
def test_paging(call: Call) -> Reply:
    """Waits for the answers, at most 15 s. No outcome: no channel is set."""
    record(actor=call.actor, action="test paging", target="paging")
    return Reply(
        body={
            "outcomes": [
                {
                    "channel": outcome.channel,
                    "delivered": outcome.is_delivered,
                    "reason": outcome.reason,
                    "took_ms": outcome.took_ms,
                }
                for outcome in actions.test(actor=call.actor)
            ]
        }
    )
