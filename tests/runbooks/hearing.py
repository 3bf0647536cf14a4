"""A listener of runs for tests; `HEARD` is put in its place by the test."""

from runbooks.events import RunEvent

HEARD: list[RunEvent] = []


def hear(event: RunEvent) -> None:
    HEARD.append(event)
