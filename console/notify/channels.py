"""The four ways out: one attempt each, with a deadline, and an honest answer.

An attempt either returns, which means that the receiver took it, or raises `NotTaken` with the
reason in words and whether trying again can help. Nothing here opens a file: certificates are
loaded when the channel is made, and names are looked up by the resolver of the system.
"""

from __future__ import annotations

# The codec of host names is else read from disk when the first page leaves, which may be too late.
import encodings.idna  # noqa: F401
import http.client
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from console.notify import message as form
from console.notify.message import Message, Recipient
from telemetry.config import Settings

TAKEN = range(200, 300)
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
ANSWER_BYTES_MAX = 2_000


class NotTaken(Exception):
    """The receiver didn't take it. `may_help`: another try could."""

    def __init__(self, reason: str, *, may_help: bool) -> None:
        super().__init__(reason)
        self.may_help = may_help


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """`send` gets the message and the seconds it may take. `words`: what this channel is told."""

    name: str
    where: str  # for people; never with a secret
    send: Callable[[Message, float], None]
    words: frozenset[str] = frozenset(form.EVENTS)


def from_settings(settings: Settings, *, secret: str, source: str) -> tuple[Channel, ...]:
    """The channels that are set. `secret` signs webhooks, `source` says who we are."""
    tls = ssl.create_default_context()
    found = []
    if settings.page_webhook_url:
        found.append(_webhook(settings.page_webhook_url, secret=secret, source=source, tls=tls))
    if settings.page_slack_url:
        found.append(_slack(settings.page_slack_url, tls=tls))
    if settings.page_pagerduty_key:
        found.append(_pagerduty(settings, source=source, tls=tls))
    if settings.page_smtp_url:
        found.append(_smtp(settings, tls=tls))
    return tuple(found)


# People in a room needn't hear that one of them took it; programs must.
FOR_PEOPLE = frozenset({form.TRIGGER, form.RESOLVE, form.TEST, form.MISSED})


def _webhook(url: str, *, secret: str, source: str, tls: ssl.SSLContext) -> Channel:
    def send(message: Message, timeout_s: float) -> None:
        body = form.body_of(form.cloud_event(message, source=source))
        sign = form.signature(secret, body, at_s=int(time.time()))
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Holdfast-Signature": sign,
        }
        post(url, body, headers, timeout_s=timeout_s, tls=tls)

    return Channel(name="webhook", where=host_of(url), send=send)


def _slack(url: str, *, tls: ssl.SSLContext) -> Channel:
    def send(message: Message, timeout_s: float) -> None:
        body = json.dumps(form.slack(message)).encode()
        post(url, body, {"Content-Type": "application/json"}, timeout_s=timeout_s, tls=tls)

    return Channel(name="slack", where=host_of(url), send=send, words=FOR_PEOPLE)


def _pagerduty(settings: Settings, *, source: str, tls: ssl.SSLContext) -> Channel:
    def send(message: Message, timeout_s: float) -> None:
        url, key = settings.page_pagerduty_url, settings.page_pagerduty_key
        event = form.pagerduty(message, routing_key=key, source=source)
        headers = {"Content-Type": "application/json"}
        post(url, json.dumps(event).encode(), headers, timeout_s=timeout_s, tls=tls)
        if message.word == form.TEST:
            end = {name: event[name] for name in ("routing_key", "dedup_key")}
            end |= {"event_action": form.RESOLVE}
            post(url, json.dumps(end).encode(), headers, timeout_s=timeout_s, tls=tls)

    return Channel(name="pagerduty", where=host_of(settings.page_pagerduty_url), send=send)


def _smtp(settings: Settings, *, tls: ssl.SSLContext) -> Channel:
    server = urlsplit(settings.page_smtp_url)
    always = tuple(each.strip() for each in settings.page_smtp_to.split(",") if each.strip())

    def send(message: Message, timeout_s: float) -> None:
        letters = _letters(message, always)
        if not letters:
            raise NotTaken(
                "nobody to write to: HOLDFAST_PAGE_SMTP_TO is empty, and no mail address is known "
                "of who is on call",
                may_help=False,
            )
        _post_mail(server, letters, message, settings.page_smtp_from, timeout_s, tls)

    return Channel(name="mail", where=server.hostname or "", send=send, words=FOR_PEOPLE)


def _letters(message: Message, always: tuple[str, ...]) -> Mapping[str, Recipient | None]:
    """Address -> whose acknowledge link stands in it (None: nobody's)."""
    letters: dict[str, Recipient | None] = dict.fromkeys(always)
    letters |= {who.email: who for who in message.recipients if who.email}
    return letters


def _post_mail(
    server: SplitResult,
    letters: Mapping[str, Recipient | None],
    message: Message,
    sender: str,
    timeout_s: float,
    tls: ssl.SSLContext,
) -> None:
    host = server.hostname or ""
    try:
        if server.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                host, server.port or 465, timeout=timeout_s, context=tls
            )
        else:
            client = smtplib.SMTP(host, server.port or 587, timeout=timeout_s)
        with client:
            client.ehlo()
            if server.scheme == "smtp" and client.has_extn("starttls"):
                client.starttls(context=tls)
                client.ehlo()
            if server.username:
                client.login(unquote(server.username), unquote(server.password or ""))
            for address, who in letters.items():
                client.send_message(form.mail(message, sender=sender, to=address, who=who))
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        if isinstance(said, bytes):
            said = said.decode("utf-8", "replace")
        passing = 400 <= error.smtp_code < 500
        raise NotTaken(f"answered {error.smtp_code} {said[:150]}", may_help=passing) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise NotTaken(f"refused the address {', '.join(error.recipients)}", may_help=False) from (
            error
        )
    except (OSError, smtplib.SMTPException) as error:
        raise NotTaken(why(error, timeout_s), may_help=True) from error


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, tls: ssl.SSLContext
) -> None:
    """One POST; redirects aren't followed, since they would carry the message to a stranger."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    if is_tls:
        client: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=timeout_s, context=tls
        )
    else:
        client = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        client.request("POST", path, body, {"User-Agent": "Holdfast", **headers})
        answer = client.getresponse()
        said = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise NotTaken(why(error, timeout_s), may_help=True) from error
    finally:
        client.close()
    if answer.status not in TAKEN:
        reason = f"answered {answer.status} {' '.join(said.split())[:150]}".rstrip()
        raise NotTaken(reason, may_help=answer.status in TRY_AGAIN)


def host_of(url: str) -> str:
    """Address for people: paths of webhooks are secrets."""
    parts = urlsplit(url)
    return parts.hostname or ""


def why(error: BaseException, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:.0f} s"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "its name can't be looked up"
    return f"{type(error).__name__}: {error}"[:200]
