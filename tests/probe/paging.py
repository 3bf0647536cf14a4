"""A fleet that pages two real receivers on loopback, and how long a page takes to arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from console.slos import state
from runbooks import clock
from tests.console.receivers import Got, Mailbox, Receiver, http_receiver, smtp_receiver
from tests.probe.fleet import Fleet

HEALTHY_S_MAX = 60.0
CANARY_ROUNDS_S = 3.0
"""The canary's rounds after which the watch has surely seen one go well."""


class Paged(NamedTuple):
    """A fleet and who is paged by it."""

    fleet: Fleet
    webhook: Receiver
    mailbox: Mailbox

    def pages(self) -> list[Got]:
        """What the webhook got that would wake somebody."""
        return [got for got in list(self.webhook.got) if got.json["type"].endswith(".triggered")]

    def letters(self) -> list[str]:
        """Subjects of the mail that came."""
        return [str(letter["Subject"]) for _, letter in list(self.mailbox.letters)]


@contextmanager
def paged_fleet(
    *, home: Path | None = None, demo: bool = False, page_wait_s: int = 300
) -> Iterator[Paged]:
    """Up, healthy, and watched for a moment. `page_wait_s`: until the next person is paged."""
    with http_receiver() as webhook, smtp_receiver() as mailbox:
        told = {
            "HOLDFAST_PAGE_WEBHOOK_URL": webhook.url,
            "HOLDFAST_PAGE_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "HOLDFAST_PAGE_SMTP_TO": "team@example.org",
            "HOLDFAST_PAGE_WAIT_S": str(page_wait_s),
        }
        with Fleet(home=home, demo=demo, settings=told) as fleet:
            wait_watched(fleet)
            yield Paged(fleet, webhook, mailbox)


def wait_watched(fleet: Fleet) -> None:
    """Until the watch has seen the nodes agree, and has judged for some seconds."""
    fleet.wait_settled()
    since_ms = clock.now_ms() + int(CANARY_ROUNDS_S * 1000)
    wait_until(
        lambda: (state.read(fleet.settings.run, now_ms=clock.now_ms()).at_ms or 0) > since_ms,
        HEALTHY_S_MAX,
        "the watch to look on",
    )


def wait_until(is_so: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until it was so. Raises TimeoutError."""
    began_s = time.monotonic()
    pause = threading.Event()
    while not is_so():
        if time.monotonic() - began_s > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        pause.wait(0.02)
    return time.monotonic() - began_s
