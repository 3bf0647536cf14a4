"""What a page says, and its form for each channel. Pure: a message is a value.

All that is sent about one incident carries one dedup key, so that a receiver joins a trigger, its
update and its end. A message is complete without a visit to the console: what is wrong, who feels
it, the likely cause or "unknown", who has it, and where to press.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from console.figures import clock_time, iso_time, span

PAGERDUTY_SUMMARY_CHARS_MAX = 1024
SLACK_TEXT_CHARS_MAX = 2900
EVENT_TYPE = "dev.holdfast.incident"

TRIGGER = "trigger"
ACKNOWLEDGE = "acknowledge"
RESOLVE = "resolve"
TEST = "test"
MISSED = "missed"
EVENTS: Mapping[str, str] = {
    TRIGGER: "triggered",
    ACKNOWLEDGE: "acknowledged",
    RESOLVE: "resolved",
    TEST: "tested",
    MISSED: "step-missed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A person who is paged, the ways to reach them, and their own acknowledge link."""

    name: str
    email: str = ""
    slack_id: str = ""
    acknowledge_link: str = field(default="", repr=False)  # Who has it may act: not for logs.


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`key` is the dedup key. Empty impact, cause or owner: not known, and said so."""

    word: str
    key: str
    name: str
    headline: str
    at_ms: int
    link: str
    since_ms: int | None = None
    severity: str = "page"
    is_drill: bool = False
    impact: str = ""
    cause: str = ""
    owner: str = ""
    step: int = 0  # of the chain; above 0, somebody didn't answer
    recipients: tuple[Recipient, ...] = ()

    @property
    def title(self) -> str:
        """One line: what it is, for a lock screen."""
        drill = "Drill: " if self.is_drill else ""
        mark = {RESOLVE: "Over: ", ACKNOWLEDGE: "Taken: ", TEST: "Test: "}.get(self.word, "")
        again = f" (step {self.step + 1}: nobody answered)" if self.step else ""
        return f"{drill}{mark}{self.name} {self.headline}{again}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a person asks next, in order."""
        if self.word == TEST:
            return (("Sent by", self.owner or "nobody"), ("At", f"{clock_time(self.at_ms)} UTC"))
        since = ""
        if self.since_ms is not None:
            lasted = span((self.at_ms - self.since_ms) / 1000)
            since = f"{clock_time(self.since_ms)} UTC, {lasted}"
        return (
            ("Impact", self.impact or "not measured yet"),
            ("Likely cause", self.cause or "unknown"),
            ("Owner", self.owner or "nobody"),
            ("Since", since or "unknown"),
        )


def cloud_event(message: Message, *, source: str) -> dict[str, Any]:
    """CloudEvents 1.0. Its id is new for each event of the incident, its subject the dedup key."""
    return {
        "specversion": "1.0",
        "id": f"{message.key}:{message.word}:{message.at_ms}",
        "source": source,
        "type": f"{EVENT_TYPE}.{EVENTS[message.word]}",
        "subject": message.key,
        "time": iso_time(message.at_ms),
        "datacontenttype": "application/json",
        "data": {
            "dedup_key": message.key,
            "incident": message.name,
            "headline": message.headline,
            "severity": message.severity,
            "drill": message.is_drill,
            "impact": message.impact or None,
            "likely_cause": message.cause or "unknown",
            "owner": message.owner or None,
            "since": iso_time(message.since_ms) if message.since_ms is not None else None,
            "link": message.link,
            "step": message.step,
            "people": [
                {"name": who.name, "acknowledge_link": who.acknowledge_link or None}
                for who in message.recipients
            ],
        },
    }


def body_of(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def signature(secret: str, body: bytes, *, at_s: int) -> str:
    """Of the time and the body together, so that an old message can't be sent again as new."""
    mac = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={mac.hexdigest()}"


def slack(message: Message) -> dict[str, Any]:
    """For an incoming webhook. What strangers wrote can't make links or call people."""
    calls = " ".join(f"<@{who.slack_id}>" for who in message.recipients if who.slack_id)
    lines = [f"*<{message.link}|{_slack_text(message.title)}>* {calls}".rstrip()]
    lines += [f"{name}: {_slack_text(value)}" for name, value in message.facts]
    text = "\n".join(lines)[:SLACK_TEXT_CHARS_MAX]
    return {
        "text": _slack_text(message.title),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    }


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(message: Message, *, routing_key: str, source: str) -> dict[str, Any]:
    """Events API v2: a test is a trigger, followed by its own end."""
    action = message.word if message.word in (ACKNOWLEDGE, RESOLVE) else TRIGGER
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": message.key[:255],
    }
    if action == TRIGGER:
        is_urgent = message.severity == "page" and not message.is_drill and message.word != TEST
        event |= {
            "client": "Holdfast",
            "client_url": message.link,
            "links": [{"href": message.link, "text": message.name}],
            "payload": {
                "summary": message.title[:PAGERDUTY_SUMMARY_CHARS_MAX],
                "source": source,
                "severity": "critical" if is_urgent else "info",
                "timestamp": iso_time(message.at_ms),
                "custom_details": dict(message.facts),
            },
        }
    return event


def mail(message: Message, *, sender: str, to: str, who: Recipient | None) -> EmailMessage:
    """One address, one mail: the acknowledge link in it is that person's own."""
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = to
    letter["Subject"] = one_line(message.title)
    letter["Date"] = _mail_date(message.at_ms)
    domain = sender.rpartition("@")[2] or "localhost"
    name = quote(message.key, safe="", errors="replace")  # A rule has any letters, an id has not.
    thread = f"<{name}@{domain}>"
    if message.word == TRIGGER and message.step == 0:
        letter["Message-ID"] = thread
    else:
        letter["Message-ID"] = f"<{name}.{message.word}.{message.at_ms}@{domain}>"
        letter["In-Reply-To"] = thread
        letter["References"] = thread
    letter["Auto-Submitted"] = "auto-generated"
    lines = [message.headline, ""]
    lines += [f"{name + ':':14} {value}" for name, value in message.facts]
    lines += ["", f"Open:          {message.link}"]
    if who is not None and who.acknowledge_link and message.word == TRIGGER:
        lines += [f"Acknowledge:   {who.acknowledge_link}", "(once, within 30 minutes, as you)"]
    letter.set_content("\n".join(lines) + "\n")
    return letter


def one_line(text: str) -> str:
    """A header has one line, whatever an alert's headline holds."""
    return " ".join(text.split())


def _mail_date(at_ms: int) -> str:
    return formatdate(at_ms / 1000, usegmt=True)
