"""The watcher's duty over objectives and fleet: gather, decide, tell, then write down.

It runs apart from the other duties, in a thread of its own, and touches neither the database nor a
file nor a socket: pollers bring what is known, sinks are called from memory, and a recorder writes
afterwards. So a page leaves while the disk under the home hangs, which is when it is needed most.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from django.conf import settings
from django.utils.module_loading import import_string

from console.alerts.actions import forget_old_alerts, record_transitions
from console.alerts.ping import DeadManPing
from console.alerts.queries import open_transitions
from console.alerts.recorder import Recorder
from console.alerts.sources import FleetSources, Sources
from console.slos import state
from console.slos.actions import record_minutes
from console.slos.minutes import Hours, Minutes, kept_minutes
from runbooks import clock
from runbooks.watch import Duty
from telemetry.slo.alerts import Transition
from telemetry.slo.judge import Judge, Turned

Sink = Callable[[Sequence[Transition], int], None]
FORGET_EVERY_MS = 3_600_000


class AlertWatch:
    """One turn a second. `sinks` are called from memory, each on its own: one's trouble is not
    another's.
    """

    def __init__(
        self,
        sources: Sources,
        sinks: Sequence[Sink],
        recorder: Recorder,
        ping: DeadManPing,
        *,
        started_ms: int,
    ) -> None:
        self._sources = sources
        self._sinks = sinks
        self._recorder = recorder
        self._ping = ping
        self._judge = Judge(started_ms=started_ms)
        self._before: tuple[Minutes, Hours, tuple[Transition, ...]] | None = None
        self._digest = ""
        self._forgot_ms = 0
        self._begun = False

    def turn(self, now_ms: int) -> str:
        """Decide and tell; raises what a sink raised, after all of them were called."""
        if not self._begun:
            self._begun = True
            self._recorder.put(partial(self._take_over, now_ms))
        turned = self._judge.turn(self._sources.gather(now_ms))
        troubles = self._tell(turned.transitions, now_ms) if turned.transitions else []
        self._record(turned)
        before, self._before = self._before, None
        if before is not None:
            minutes, hours, open_alerts = before
            self._judge.load(minutes=minutes, hours=hours, open_alerts=open_alerts, now_ms=now_ms)
        if troubles:
            raise troubles[0]
        self._ping.ring()
        return f"{len(turned.firing)} alerts" if turned.firing else ""

    def _tell(self, transitions: tuple[Transition, ...], now_ms: int) -> list[Exception]:
        troubles = []
        for sink in self._sinks:
            try:
                sink(transitions, now_ms)
            except Exception as error:  # The edge: the other sinks must be told all the same.
                troubles.append(error)
        return troubles

    def _record(self, turned: Turned) -> None:
        """Everything that is written, in order, by another thread."""
        recorder, objectives = self._recorder, self._sources.objectives()
        if turned.transitions:
            recorder.put(partial(record_transitions, turned.transitions))
        if turned.minutes:
            recorder.put(partial(record_minutes, turned.minutes))
        if turned.now_ms - self._forgot_ms >= FORGET_EVERY_MS:
            self._forgot_ms = turned.now_ms
            recorder.put(_forget)
        recorder.put_newest(
            partial(
                state.write,
                settings.HOLDFAST.run,
                turned,
                objectives,
                unrecorded=recorder.waiting,
                lost=recorder.lost,
            )
        )

    def _take_over(self, now_ms: int) -> None:
        """What an earlier watcher wrote; on the recorder's thread, since the database may hang."""
        minutes, hours = kept_minutes(now_ms)
        self._before = (minutes, hours, open_transitions())


def _forget() -> None:
    forget_old_alerts()


_watch: list[AlertWatch] = []
_making = threading.Lock()


def the_watch() -> AlertWatch:
    """The one of this process, with its threads, made when it is first needed."""
    with _making:
        if not _watch:
            sources, recorder = FleetSources(settings.HOLDFAST), Recorder()
            ping = DeadManPing(settings.HOLDFAST.heartbeat_url)
            sinks = [import_string(path) for path in settings.ALERT_SINKS]
            for part in (sources, recorder, ping):
                part.start()
            _watch.append(AlertWatch(sources, sinks, recorder, ping, started_ms=clock.now_ms()))
        return _watch[0]


DUTY = Duty(name="alerts", every_s=1.0, work=lambda now_ms: the_watch().turn(now_ms), apart=True)
