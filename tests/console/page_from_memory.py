"""One page in a process of its own, which tells what was opened or imported on its way.

`python -m tests.console.page_from_memory` in an environment with channels and an empty home: there
is no database, as if its disk stood still. Prints a JSON list of [thread, event, what]; what the
recorder's thread does is left out, since nobody waits for it.
"""

import json
import os
import sys
import threading
import time

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
django.setup()

from django.conf import settings  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from console.incidents.watching import watching  # noqa: E402
from console.notify.message import Recipient  # noqa: E402
from console.notify.pager import People  # noqa: E402
from tests.console.alerting import alert  # noqa: E402

TOUCHES = ("open", "import", "sqlite3.connect", "subprocess.Popen", "os.listdir", "os.scandir")
WAITED_FOR = ("duty", "page webhook", "page mail")
SENT_S_MAX = 10.0


def main() -> None:
    seen: list[tuple[str, str, str]] = []
    armed = threading.Event()

    def note(event: str, values: tuple[object, ...]) -> None:
        if event in TOUCHES and armed.is_set():
            name = threading.current_thread().name
            if name.startswith(WAITED_FOR):
                seen.append((name, event, str(values[0])))

    sys.addaudithook(note)
    pager = watching.begin()
    pager.note_people(People(first=(Recipient(name="ada", email="ada@example.org"),)))
    sent: list[str] = []
    for sender in pager._senders:
        sender._report = lambda outcome: sent.append(f"{outcome.channel} {outcome.reason}")
    now_ms = time.time_ns() // 1_000_000

    def decide() -> None:
        for path in settings.ALERT_SINKS:
            import_string(path)([alert()], now_ms)
        watching.pages(now_ms)

    armed.set()
    duty = threading.Thread(target=decide, name="duty-alerts")
    duty.start()
    duty.join()
    pause, give_up_s = threading.Event(), time.monotonic() + SENT_S_MAX
    while len(sent) < len(pager._senders) and time.monotonic() < give_up_s:
        pause.wait(0.02)
    armed.clear()
    print(json.dumps({"sent": sorted(sent), "seen": seen}))


if __name__ == "__main__":
    main()
