"""Profiles: those that are kept, and starting one."""

from django.urls import reverse

from console.api.limits import RETRY_AFTER_S
from console.api.problems import Refusal
from console.api.registry import Call, Reply, endpoint, listed, obj, text, whole
from console.audit.actions import record
from console.evidence_reads import evidence
from console.live.observatory import SourceSilent
from runbooks import actions
from runbooks.limits import TARGET_CHARS_MAX

LIST_ROWS = 100
TEXT = {"type": "string"}
NUMBER = {"type": "number"}

PROFILE = obj(
    {
        "id": TEXT,
        "target": TEXT,
        "started_ms": NUMBER,
        "seconds": NUMBER,
        "rate_hz": {"type": "integer"},
        "samples": {"type": "integer"},
        "url": TEXT,
    }
)
START = obj(
    {"target": text(TARGET_CHARS_MAX, description="the name of a process, such as node-1")},
    {"seconds": whole(1, 60), "rate_hz": whole(1, 200)},
)
STARTED = obj({"run": {"type": "integer"}, "state": TEXT, "target": TEXT, "url": TEXT})


@endpoint(
    "GET",
    "profiles",
    name="api-profiles",
    summary="The newest profiles.",
    reply=obj({"profiles": listed(PROFILE)}),
    reply_example={
        "profiles": [
            {
                "id": "0af7651916cd43dd",
                "target": "node-1",
                "started_ms": 1_700_000_000_000,
                "seconds": 10,
                "rate_hz": 100,
                "samples": 998,
                "url": "/profiles/0af7651916cd43dd",
            }
        ]
    },
)
def get_profiles(call: Call) -> Reply:
    """Newest first, at most 100. 503 while telemetry doesn't answer."""
    try:
        rows = evidence.profiles(LIST_ROWS)
    except SourceSilent as error:
        title = f"Telemetry doesn't answer: {error}"
        raise Refusal(503, title, retry_after_s=RETRY_AFTER_S) from error
    return Reply(
        body={
            "profiles": [
                {
                    "id": row.profile_id,
                    "target": row.target,
                    "started_ms": row.started_ms,
                    "seconds": row.seconds,
                    "rate_hz": row.rate_hz,
                    "samples": row.samples,
                    "url": reverse("profile", args=[row.profile_id]),
                }
                for row in rows
            ]
        }
    )


@endpoint(
    "POST",
    "profiles",
    name="api-profiles",
    summary="Start a profile.",
    body=START,
    body_example={"target": "node-1", "seconds": 10, "rate_hz": 100},
    status=201,
    reply=STARTED,
    reply_example={"run": 88, "state": "queued", "target": "node-1", "url": "/runs/88"},
)
def start_profile(call: Call) -> Reply:
    """Opens a run and answers with its address. 409 names the run that profiles this target now."""
    target = call.body["target"]
    params = {name: call.body[name] for name in ("seconds", "rate_hz") if name in call.body}
    record(actor=call.actor, action="start profile", target=target)
    run = actions.start("capture-profile", target, params, actor=call.actor, key=call.key)
    url = reverse("run", args=[run.pk])
    started = {"run": run.pk, "state": run.state, "target": run.target, "url": url}
    return Reply(body=started, status=201, headers={"Location": url})
