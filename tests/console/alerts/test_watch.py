"""The watch: tell from memory first, write down after, take over what was written before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError

from console.alerts.actions import forget_old_alerts, record_transitions
from console.alerts.models import Alert
from console.alerts.ping import DeadManPing
from console.alerts.queries import open_alerts, recent_alerts
from console.alerts.recorder import Recorder
from console.alerts.watch import AlertWatch, Sink
from console.slos import state
from console.slos.models import SloMinute
from telemetry.slo import objectives as objectives_file
from telemetry.slo.alerts import FIRING, RESOLVED, Transition
from telemetry.slo.judge import Gathered
from telemetry.slo.objectives import Objectives
from tests.telemetry.slo.replay import Stretch, World

pytestmark = pytest.mark.django_db

USUAL = Stretch(length_s=1, words="writes 10 reads 12")
STALL = Stretch(length_s=1, words="writes 10 slow 10 reads 12")


class ScriptedSources:
    """A fleet that does what it is told, one second a look."""

    def __init__(self, start_s: int) -> None:
        self.world = World(start_s)
        self.number = -1
        self.stretch = USUAL

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def gather(self, now_ms: int) -> Gathered:
        self.number += 1
        return self.world.gather(self.number, self.stretch)

    def objectives(self) -> Objectives:
        return objectives_file.effective(settings.HOLDFAST)


class Scene:
    """A watch whose writing happens only when the test lets it."""

    def __init__(self, *sinks: Sink, start_s: int | None = None) -> None:
        self.start_s = start_s or int(time.time()) - 400
        self.sources = ScriptedSources(self.start_s)
        self.told: list[Transition] = []
        self.recorder = Recorder()
        self.ping = DeadManPing("")
        self.watch = AlertWatch(
            self.sources,
            [*sinks, lambda changes, now_ms: self.told.extend(changes)],
            self.recorder,
            self.ping,
            started_ms=self.start_s * 1000,
        )

    def live(self, seconds: int, stretch: Stretch = USUAL) -> None:
        self.sources.stretch = stretch
        for _ in range(seconds):
            self.watch.turn((self.start_s + self.sources.number + 1) * 1000)

    def write_down(self) -> None:
        self.recorder.do_newest()
        assert self.recorder.drain()


@pytest.fixture(autouse=True)
def _no_state_of_another_test() -> None:
    (settings.HOLDFAST.run / state.FILE_NAME).unlink(missing_ok=True)
    settings.HOLDFAST.run.mkdir(parents=True, exist_ok=True)


def test_a_page_is_told_before_anything_is_written() -> None:
    scene = Scene()
    scene.live(150)

    scene.live(20, STALL)

    assert [(each.rule, each.state) for each in scene.told] == [("write-latency", FIRING)]
    assert Alert.objects.count() == 0 and scene.recorder.waiting > 0

    scene.write_down()
    (row,) = open_alerts()
    assert (row.key, row.severity, row.ended_at) == ("write-latency", "page", None)
    assert row.headline == scene.told[0].headline


def test_a_sink_in_trouble_keeps_nothing_from_the_others() -> None:
    def broken(changes: Sequence[Transition], now_ms: int) -> None:
        raise OSError("no route")

    scene = Scene(broken)
    scene.live(150)

    with pytest.raises(OSError, match="no route"):
        scene.live(20, STALL)

    assert [each.rule for each in scene.told] == ["write-latency"]
    scene.write_down()
    assert len(open_alerts()) == 1


def test_a_new_watcher_takes_over_and_tells_nothing_twice() -> None:
    first = Scene()
    first.live(150)
    first.live(25, STALL)
    first.write_down()

    second = Scene(start_s=first.start_s + 175)
    second.sources.world.seconds = list(first.sources.world.seconds)
    second.live(1, STALL)
    second.write_down()
    second.live(30, STALL)
    second.live(60)
    second.write_down()

    assert [each.state for each in second.told] == [RESOLVED]
    (row,) = recent_alerts()
    assert row.ended_at is not None and row.lasted_s is not None


def test_minutes_are_written_once_and_read_back_by_the_next_watcher() -> None:
    first = Scene()
    first.live(250)
    first.write_down()
    rows = SloMinute.objects.count()

    second = Scene(start_s=first.start_s + 250)
    second.sources.world.seconds = list(first.sources.world.seconds)
    second.live(1)
    second.write_down()
    second.live(1)

    assert rows >= 4 * 3
    found = state.read(settings.HOLDFAST.run, now_ms=(first.start_s + 251) * 1000)
    assert SloMinute.objects.count() == rows
    assert found.met is None  # One second is no half minute.


def test_pages_see_what_the_watch_sees_each_second() -> None:
    scene = Scene()
    scene.live(150)
    scene.live(20, STALL)
    scene.write_down()

    found = state.read(settings.HOLDFAST.run, now_ms=(scene.start_s + 171) * 1000)

    assert found.is_fresh and found.met is False
    (firing,) = found.firing
    assert firing.now.startswith("Writes are slow: 100 % over 50 ms for ")
    latency = next(row for row in found.objectives if row.name == "write-latency")
    assert latency.met is False and latency.bad > 50
    stale = state.read(settings.HOLDFAST.run, now_ms=(scene.start_s + 200) * 1000)
    assert not stale.is_fresh


def make_told(number: int, *, state: str = FIRING) -> Transition:
    return Transition(
        at_ms=1_700_000_000_000 + number * 1000,
        rule=f"rule-{number}",
        tier="flash",
        severity="page",
        state=state,
        headline="x" * 500,
        started_ms=1_700_000_000_000,
        labels={},
        value=None,
    )


def test_writing_the_same_twice_changes_nothing() -> None:
    for _ in range(2):
        record_transitions([make_told(1)])
    for _ in range(2):
        record_transitions([make_told(1, state=RESOLVED)])

    (row,) = recent_alerts()
    assert row.ended_at is not None and len(row.headline) == 200


def test_history_is_bounded_and_what_fires_stays() -> None:
    for number in range(12):
        record_transitions([make_told(number)])
        if number:
            record_transitions([make_told(number, state=RESOLVED)])

    deleted = forget_old_alerts(kept=5)

    assert deleted == 6
    assert {row.rule for row in recent_alerts()} == {"rule-0"} | {
        f"rule-{number}" for number in range(7, 12)
    }


def test_a_database_that_comes_back_gets_every_row_in_order() -> None:
    recorder, broken = Recorder(), [True]
    done: list[int] = []

    def job(number: int) -> None:
        if broken[0]:
            raise DatabaseError("locked")
        done.append(number)

    for number in range(3):
        recorder.put(partial(job, number))
    failed = recorder.drain()
    broken[0] = False

    assert (failed, recorder.drain(), done, recorder.lost) == (False, True, [0, 1, 2], 0)


@pytest.mark.parametrize(
    ("error", "rounds", "lost"),
    [(OperationalError("locked"), 20, 0), (OSError("full"), 20, 0), (ValueError("odd"), 3, 1)],
)
def test_only_a_job_that_is_refused_is_left_out(error: Exception, rounds: int, lost: int) -> None:
    recorder, done = Recorder(), []

    def fail() -> None:
        raise error

    recorder.put(fail)
    recorder.put(lambda: done.append("next"))
    drained = [recorder.drain() for _ in range(rounds)]

    assert drained == [False] * (rounds - lost) + [True] * lost
    assert (recorder.lost, done, recorder.waiting) == (lost, ["next"] * lost, 2 - 2 * lost)


def test_what_does_not_fit_is_dropped_oldest_first_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.alerts.recorder.WAITING_MAX", 3)
    recorder = Recorder()
    done: list[int] = []

    for number in range(5):
        recorder.put(partial(done.append, number))
    recorder.drain()

    assert (done, recorder.lost, recorder.waiting) == ([2, 3, 4], 2, 0)


def test_the_newest_word_is_written_while_jobs_wait() -> None:
    recorder = Recorder()
    said: list[str] = []

    def fail() -> None:
        raise DatabaseError("no such table")

    recorder.put(fail)
    for word in ("old", "new"):
        recorder.put_newest(partial(said.append, word))
    recorder.do_newest()

    assert not recorder.drain()
    assert (said, recorder.waiting) == (["new"], 1)
