"""Alerts from outside: the webhooks of Alertmanager and Grafana."""

from console.api.problems import Refusal
from console.api.registry import Call, Reply, endpoint, obj
from console.audit.actions import record
from console.incidents import inbound, limits

EXAMPLE = {
    "version": "4",
    "status": "firing",
    "commonLabels": {"severity": "critical"},
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "instance": "db-1"},
            "annotations": {"summary": "db-1 is full"},
            "startsAt": "2026-05-01T03:01:40Z",
            "fingerprint": "c1d2e3",
        }
    ],
}


@endpoint(
    "POST",
    "alerts",
    name="api-alerts",
    summary="Take in alerts of Alertmanager (webhook version 4) or Grafana.",
    body={"type": "object"},
    body_example=EXAMPLE,
    body_is_open=True,
    body_bytes_max=limits.WEBHOOK_BYTES_MAX,
    status=202,
    reply=obj({"webhook": {"type": "integer"}, "shape": {"type": "string"}}),
    reply_example={"webhook": 9, "shape": "alertmanager"},
)
def post_alerts(call: Call) -> Reply:
    """202: kept, and becomes an incident within seconds, or joins one. 400: not understood, kept as
    it came and shown on the Paging page, with the field that was wrong. Severity critical, page,
    high or emergency pages people; any other opens a ticket.
    """
    record(actor=call.actor, action="send alerts", target="incidents")
    row = inbound.store(call.raw, sender=call.actor)
    if row.refusal:
        field, _, expected = row.refusal.partition(": ")
        title = f"Not understood, kept as webhook {row.pk}. {row.refusal}"
        raise Refusal(400, title, field=field, expected=expected.removesuffix(" expected"))
    return Reply(body={"webhook": row.pk, "shape": row.shape}, status=202)
