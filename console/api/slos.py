"""How objectives stand, for programs."""

from console.api.registry import Call, Reply, endpoint, listed, maybe, obj
from console.slos.queries import overview
from console.slos.report import document

TEXT = {"type": "string"}
COUNT = {"type": "integer"}
NUMBER = {"type": "number"}
FLAG = {"type": "boolean"}
MET = {"description": "over the last 30 s; null where nobody can tell", **maybe(FLAG)}

TIER = obj(
    {
        "name": TEXT,
        "severity": TEXT,
        "burn": {"type": "number", "description": "the tier's own threshold"},
        "long_burn": NUMBER,
        "short_burn": NUMBER,
        "measured": FLAG,
        "holds": FLAG,
    }
)
OBJECTIVE = obj(
    {
        "name": TEXT,
        "of": TEXT,
        "target_percent": NUMBER,
        "threshold_ms": maybe(NUMBER),
        "window_days": COUNT,
        "met": MET,
        "quiet": FLAG,
        "requests": COUNT,
        "bad": COUNT,
        "left_percent": NUMBER,
        "drill_percent": NUMBER,
        "burn": NUMBER,
        "measured_s": COUNT,
        "tiers": listed(TIER),
    }
)
FIRING = obj(
    {
        "key": TEXT,
        "rule": TEXT,
        "tier": TEXT,
        "severity": TEXT,
        "headline": TEXT,
        "now": {"type": "string", "description": "the headline with the newest numbers"},
        "started_ms": COUNT,
        "labels": {"type": "object", "additionalProperties": TEXT},
    }
)
SLOS = obj(
    {
        "as_of_ms": maybe(COUNT),
        "fresh": FLAG,
        "met": MET,
        "met_since_ms": maybe(COUNT),
        "burning": listed(TEXT),
        "reason": TEXT,
        "counted_by": TEXT,
        "file": obj({"path": TEXT, "version": TEXT, "error": TEXT}),
        "objectives": listed(OBJECTIVE),
        "firing": listed(FIRING),
    }
)
EXAMPLE = {
    "as_of_ms": 1_700_000_000_000,
    "fresh": True,
    "met": False,
    "met_since_ms": 1_699_999_976_000,
    "burning": ["write-latency"],
    "reason": "",
    "counted_by": "telemetry",
    "file": {"path": "objectives.yaml", "version": "f85e20073ca6", "error": ""},
    "objectives": [
        {
            "name": "write-latency",
            "of": "writes",
            "target_percent": 95.0,
            "threshold_ms": 50.0,
            "window_days": 30,
            "met": False,
            "quiet": False,
            "requests": 300,
            "bad": 114,
            "left_percent": 98.4,
            "drill_percent": 0.9,
            "burn": 1.3,
            "measured_s": 86_400,
            "tiers": [],
        }
    ],
    "firing": [
        {
            "key": "write-latency",
            "rule": "write-latency",
            "tier": "flash",
            "severity": "page",
            "headline": "Writes are slow: 38 % over 50 ms for 12 s",
            "now": "Writes are slow: 38 % over 50 ms for 24 s",
            "started_ms": 1_699_999_976_000,
            "labels": {"objective": "write-latency"},
        }
    ],
}


@endpoint(
    "GET",
    "slos",
    name="api-slos",
    summary="How every objective stands, worst first, and what fires.",
    reply=SLOS,
    reply_example=EXAMPLE,
)
def get_slos(call: Call) -> Reply:
    """From the watcher's last word; `fresh` is false if that is older than 10 s."""
    return Reply(body=document(overview()))
