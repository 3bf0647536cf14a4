"""Example arguments of routes that take some, for tests that walk all routes.

Whoever adds a route with arguments adds a line; what it names need not exist.
"""

from collections.abc import Mapping

EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "live-events": {"page": "now"},
    "trace": {"trace_id": "0" * 32},
    "profile": {"profile_id": "a"},
    "profile-stacks": {"profile_id": "a"},
    "drill": {"drill_id": 1},
    "drill-download": {"drill_id": 1, "form": "markdown"},
    "drill-stop": {"drill_id": 1},
    "api-drill": {"drill_id": 1},
    "api-drill-stop": {"drill_id": 1},
    "api-runbook": {"name": "hung-node"},
    "api-run": {"run_id": 1},
    "api-run-approve": {"run_id": 1},
    "api-run-decline": {"run_id": 1},
    "api-run-cancel": {"run_id": 1},
    "api-run-settle": {"run_id": 1},
    "run": {"run_id": 1},
    "run-retry": {"run_id": 1},
    "run-cancel": {"run_id": 1},
    "run-approve": {"run_id": 1},
    "run-approve-part": {"run_id": 1},
    "run-decline": {"run_id": 1},
    "run-settle": {"run_id": 1},
    "run-undo": {"run_id": 1},
    "runbook": {"name": "hung-node"},
    "runbook-start": {"name": "hung-node"},
    "policy-hold": {"start_id": 1},
    "incident": {"incident_id": 1},
    "api-incident": {"incident_id": 1},
    "incident-by-key": {"key": "a"},
    "incident-next": {"incident_id": 1},
    "incident-act": {"incident_id": 1, "deed": "acknowledge"},
    "incident-silence": {"incident_id": 1},
    "incident-here": {"incident_id": 1},
    "incident-postmortem": {"incident_id": 1},
    "silence-end": {"silence_id": 1},
    "acknowledge": {"token": "a"},
    "webhook": {"webhook_id": 1},
    "triage": {"incident_id": 1},
    "cause": {"incident_id": 1},
    "cause-newer": {"incident_id": 1},
}
