"""The watcher's loop with a clock of our own: it isolates, backs off, recovers and stops."""

import threading
from pathlib import Path

import pytest

from runbooks import heartbeat
from runbooks.watch import Duty, Watch


class World:
    """A clock that only moves when told, and the beats that were sent."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.notes: list[str] = []

    def make_watch(self, *duties: Duty) -> Watch:
        return Watch(
            duties,
            beat=lambda _now_ms, note: self.notes.append(note),
            now_ms=lambda: int(self.now_s * 1000),
            monotonic_s=lambda: self.now_s,
        )


class Work:
    """A duty's work that records when it was called and fails as long as `trouble` is set."""

    def __init__(self, world: World, trouble: str = "") -> None:
        self.world = world
        self.trouble = trouble
        self.called_s: list[float] = []

    def __call__(self, now_ms: int) -> str:
        self.called_s.append(self.world.now_s)
        if self.trouble:
            raise OSError(self.trouble)
        return "fine"


def test_a_duty_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    broken, sound = Work(world, "database is locked"), Work(world)
    watch = world.make_watch(
        Duty(name="broken", every_s=1, work=broken), Duty(name="sound", every_s=1, work=sound)
    )

    for _ in range(3):
        watch.round()
        world.now_s += 1

    assert len(sound.called_s) == 3
    assert world.notes[-1] == "broken: OSError: database is locked"


def test_a_failing_duty_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    world = World()
    broken = Work(world, "no such table")
    watch = world.make_watch(Duty(name="broken", every_s=1, work=broken))

    for _ in range(20):
        watch.round()
        world.now_s += 1

    waits = [b - a for a, b in zip(broken.called_s, broken.called_s[1:], strict=False)]
    assert waits == [1, 2, 4, 5, 5]


def test_the_same_trouble_is_logged_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    work = Work(world, "no broker")
    watch = world.make_watch(Duty(name="runs", every_s=1, work=work))

    for second in range(40):
        work.trouble = "no broker" if second < 20 else ""
        watch.round()
        world.now_s += 1

    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["duty runs failed: OSError: no broker", "duty runs works again"]
    assert world.notes[-1] == "fine"


def test_a_duty_is_done_no_more_often_than_it_asks() -> None:
    world = World()
    work = Work(world)
    watch = world.make_watch(Duty(name="slow", every_s=5, work=work))

    for _ in range(11):
        watch.round()
        world.now_s += 1

    assert work.called_s == [100.0, 105.0, 110.0]


def test_a_watch_that_is_told_to_stop_ends_at_once() -> None:
    world = World()
    watch = world.make_watch(Duty(name="runs", every_s=1, work=Work(world)))
    thread = threading.Thread(target=watch.run)
    thread.start()

    watch.stop()
    thread.join(timeout=5)

    assert not thread.is_alive()


def test_a_heartbeat_is_alive_until_it_is_stale(tmp_path: Path) -> None:
    assert heartbeat.beat(tmp_path / "run", "watcher", note="fine", now_ms=1_000)

    fresh = heartbeat.read(tmp_path / "run", "watcher", now_ms=7_000)
    stale = heartbeat.read(tmp_path / "run", "watcher", now_ms=7_001)

    assert (fresh.is_alive, fresh.note) == (True, "fine")
    assert (stale.is_alive, stale.age_s) == (False, 6.001)


def test_no_heartbeat_and_a_damaged_one_both_mean_not_alive(tmp_path: Path) -> None:
    (tmp_path / "worker.beat").write_text('{"pid": 1')

    assert not heartbeat.read(tmp_path, "worker", now_ms=1).is_alive
    assert heartbeat.read(tmp_path, "watcher", now_ms=1).age_s is None


def test_a_heartbeat_that_cannot_be_written_is_survived(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")

    assert not heartbeat.beat(tmp_path / "run", "watcher", note="", now_ms=1)


def test_a_duty_apart_is_done_while_another_hangs() -> None:
    world = World()
    hangs, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def hang(now_ms: int) -> str:
        hangs.set()
        goes_on.wait(10)
        return ""

    def work(now_ms: int) -> str:
        if hangs.is_set():
            done.set()
        return ""

    watch = world.make_watch(
        Duty(name="hangs", every_s=1, work=hang),
        Duty(name="alerts", every_s=0, work=work, apart=True),
    )
    thread = threading.Thread(target=watch.run)
    thread.start()

    assert done.wait(10)
    watch.stop()
    goes_on.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
