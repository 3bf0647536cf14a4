"""Foreign alerts: stored as they came, read strictly, taken in by the watcher.

The web process only stores a webhook and says whether it was understood; who decides is the
watcher, which takes waiting ones each second. So nothing is lost while the watcher is away, and
there is one place where alerts become incidents.

`read` is pure. It knows Alertmanager's webhook (version 4) and Grafana's, which is the same with
more in it; further fields are let pass, since senders grow them. Anything else is kept raw, shown,
and refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from console.incidents import intake, limits
from console.incidents.models import Webhook
from console.texts import made_whole
from runbooks.clock import from_ms, to_ms
from telemetry.slo.alerts import PAGE, TICKET, Transition

ALERTMANAGER = "alertmanager"
GRAFANA = "grafana"
UNKNOWN = "unknown"
GRAFANA_FIELDS = frozenset({"orgId", "valueString", "panelURL", "dashboardURL", "silenceURL"})
PAGING = frozenset({"page", "critical", "high", "emergency"})
TAKEN_AT_ONCE = 20
BODY_KEPT_CHARS = 200_000


class UnknownShape(Exception):
    """`field` is where the body stops being what we know, `expected` what should be there."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected} expected")
        self.field = field
        self.expected = expected


def read(body: bytes, *, now_ms: int) -> tuple[str, tuple[Transition, ...]]:
    """The sender's kind and its alerts. Raises UnknownShape.

    What a text can't hold becomes a question mark (`texts`): an alert pages all the same.
    """
    try:
        data = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise UnknownShape("body", "JSON in UTF-8") from None
    if not isinstance(data, dict):
        raise UnknownShape("body", "an object")
    alerts = data.get("alerts")
    if not isinstance(alerts, list) or not alerts:
        raise UnknownShape("alerts", "a list with at least one alert")
    if len(alerts) > limits.WEBHOOK_ALERTS_MAX:
        raise UnknownShape("alerts", f"at most {limits.WEBHOOK_ALERTS_MAX}")
    is_grafana = bool(GRAFANA_FIELDS & (set(data) | set(alerts[0] if _is_map(alerts[0]) else ())))
    source = GRAFANA if is_grafana else ALERTMANAGER
    if not is_grafana and data.get("version") != "4":
        raise UnknownShape("version", '"4", as Alertmanager and Grafana send it,')
    common = _texts(data.get("commonLabels", {}), "commonLabels")
    return source, tuple(
        _alert(alert, f"alerts[{number}]", source, common, now_ms)
        for number, alert in enumerate(alerts)
    )


def _alert(
    alert: Any, where: str, source: str, common: Mapping[str, str], now_ms: int
) -> Transition:
    if not _is_map(alert):
        raise UnknownShape(where, "an object")
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise UnknownShape(f"{where}.status", "firing or resolved")
    labels = {**common, **_texts(alert.get("labels", {}), f"{where}.labels")}
    notes = _texts(alert.get("annotations", {}), f"{where}.annotations")
    name = labels.get("alertname", "")
    if not name:
        raise UnknownShape(f"{where}.labels.alertname", "the alert's name")
    fingerprint = _text(alert.get("fingerprint") or _fingerprint(labels), f"{where}.fingerprint")
    severity = PAGE if labels.get("severity", "").lower() in PAGING else TICKET
    return Transition(
        at_ms=now_ms,
        rule=f"{source}:{name}:{fingerprint[:40]}"[: limits.KEY_CHARS_MAX - 20],
        tier=source,
        severity=severity,
        state=status,
        headline=(notes.get("summary") or notes.get("description") or name)[
            : limits.HEADLINE_CHARS_MAX
        ],
        started_ms=_moment(alert.get("startsAt"), f"{where}.startsAt", now_ms),
        labels={**labels, "source": source},
        value=None,
    )


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _texts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise UnknownShape(where, "an object of texts")
    return {
        _text(name, where)[:100]: _text(text, f"{where}.{name[:100]}")[:500]
        for name, text in value.items()
    }


def _text(value: Any, where: str) -> str:
    if isinstance(value, dict | list):
        raise UnknownShape(where, "a text")
    return made_whole(str(value))


def _moment(value: Any, where: str, now_ms: int) -> int:
    """Go writes nanoseconds and its zero time; both are in use."""
    if not isinstance(value, str):
        raise UnknownShape(where, "a time, as in 2026-05-01T12:00:00Z,")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise UnknownShape(where, "a time, as in 2026-05-01T12:00:00Z,") from None
    if moment.tzinfo is None:
        raise UnknownShape(where, "a time with its zone")
    return min(now_ms, int(moment.timestamp() * 1000)) if moment.year > 1 else now_ms


def _fingerprint(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels) if name != "severity")


def store(body: bytes, *, sender: str) -> Webhook:
    """Keep it, understood or not; `refusal` is empty if it was. The oldest beyond a bound go."""
    shape, refusal = UNKNOWN, ""
    if len(body) > limits.WEBHOOK_BYTES_MAX:
        refusal = f"body: at most {limits.WEBHOOK_BYTES_MAX} bytes expected"
    else:
        try:
            shape, _ = read(body, now_ms=to_ms(timezone.now()))
        except UnknownShape as error:
            refusal = str(error)
    text = body.decode("utf-8", "replace")
    row = Webhook.objects.create(
        received_at=timezone.now(),
        sender=sender[: limits.NAME_CHARS_MAX],
        shape=shape,
        refusal=refusal[: limits.HEADLINE_CHARS_MAX],
        body=text[:BODY_KEPT_CHARS] if refusal else text,
    )
    old = Webhook.objects.exclude(taken_at=None, refusal="").order_by("-id")
    last = old.values_list("pk", flat=True)[limits.WEBHOOKS_KEPT_MAX : limits.WEBHOOKS_KEPT_MAX + 1]
    if found := last.first():
        old.filter(pk__lte=found).order_by().delete()
    return row


def take(now_ms: int) -> int:
    """Give waiting alerts to the desk; how many there were. The watcher alone does this.

    One that was understood when it came and is not now, such as after an upgrade, is refused and
    shown: those behind it must not wait for it.
    """
    taken = 0
    for row in Webhook.objects.filter(taken_at=None, refusal="").order_by("id")[:TAKEN_AT_ONCE]:
        try:
            _, transitions = read(row.body.encode(), now_ms=to_ms(row.received_at))
        except UnknownShape as error:
            _refuse(row, str(error))
            continue
        if Webhook.objects.filter(pk=row.pk, taken_at=None).update(taken_at=from_ms(now_ms)):
            intake.desk.receive(transitions, now_ms)
            taken += len(transitions)
    return taken


def take_again(now_ms: int) -> int:
    """Give back what a watcher took just before it died: it may have been in memory alone. Taken
    once more, it changes nothing where it was written down. For a watcher that begins.
    """
    since = from_ms(now_ms - limits.TAKEN_AGAIN_MS)
    return Webhook.objects.filter(refusal="", taken_at__gte=since).update(taken_at=None)


def _refuse(row: Webhook, reason: str) -> None:
    Webhook.objects.filter(pk=row.pk).update(refusal=reason[: limits.HEADLINE_CHARS_MAX])


def recent(limit: int = 20) -> Sequence[Webhook]:
    return list(Webhook.objects.defer("body").order_by("-id")[:limit])
