"""`manage.py up`: make the home, start everything, say where it is, stay until told to stop.

Everything a person needs is on the screen: one line per part when it is ready, what a slow one
waits for, the address, a sign-in link. A second `up` on the same home starts nothing: it says what
runs and gives a fresh link.

Read next: `supervisor`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

from storage_core.config import HOST, SettingError, Settings
from storage_core.fleet.client import SupervisorAway, ask
from storage_core.fleet.control import Control
from storage_core.fleet.front_door import PortTaken
from storage_core.fleet.home import lock_home, prepare_home
from storage_core.fleet.parts import ROOT, Part, fleet_parts
from storage_core.fleet.rescue_page import write_rescue_page
from storage_core.fleet.supervisor import Supervisor
from storage_core.fleet.survivors import open_front_door, take_over

LINK_TIMEOUT_S: Final = 30.0
LINK_COMMAND: Final = (
    *(sys.executable, str(ROOT / "manage.py")),
    *("login-link", "admin", "--role", "admin"),
)
FAILURE_LOOK_EVERY_S: Final = 1.0
EXIT_CANNOT_START: Final = 1
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(line: str) -> None:
    """One line to the person who started us; they may have closed the terminal since."""
    if not line:
        return
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")


def main(argv: Sequence[str]) -> int:
    """The exit code of `manage.py up`."""
    if argv:
        say(
            "usage: manage.py up   (settings come from the environment, see docs/guide/settings.md)"
        )
        return 0 if list(argv) in (["-h"], ["--help"]) else 2
    try:
        settings = Settings.from_environment()
        prepare_home(settings)
    except SettingError as error:
        say(f"can't start: {error}")
        return EXIT_CANNOT_START
    return run_locked(settings, fleet_parts(settings), greet=True)


def run_locked(settings: Settings, parts: Sequence[Part], *, greet: bool) -> int:
    """Be the one supervisor of this home, or say that there is one."""
    lock = lock_home(settings)
    if lock is None:
        return show_running(settings, greet=greet)
    try:
        return asyncio.run(run_fleet(settings, parts, greet=greet))
    finally:
        os.close(lock)


async def run_fleet(settings: Settings, parts: Sequence[Part], *, greet: bool) -> int:
    """Start the parts, watch them, stop them."""
    began_s = time.monotonic()
    supervisor = Supervisor(settings, parts, say)
    adopted = await take_over(supervisor)
    try:
        open_front_door(supervisor)
        write_rescue_page(settings)
    except PortTaken as error:
        say(f"can't start: {error}")
        return EXIT_CANNOT_START
    words = f", taking over {adopted} running parts" if adopted else ""
    say(f"Holdfast is starting in {settings.home}{words}")
    asked_to_stop = _on_stop_signals(supervisor)
    control = Control(supervisor)
    await control.start()
    supervisor.start()
    greeting = asyncio.create_task(_greet(supervisor, began_s, with_link=greet))
    await _until_asked_or_broken(supervisor, asked_to_stop)
    greeting.cancel()
    stop_s = time.monotonic()
    say("stopping")
    control.close()
    await supervisor.stop()
    say(f"stopped in {time.monotonic() - stop_s:.1f} s")
    return 0


def _on_stop_signals(supervisor: Supervisor) -> asyncio.Event:
    asked_to_stop = asyncio.Event()

    def on_stop_signal() -> None:
        if asked_to_stop.is_set():
            supervisor.rush()
        asked_to_stop.set()

    for number in STOP_SIGNALS:
        # Under nohup a hang-up is ignored, and stays so.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, on_stop_signal)
    return asked_to_stop


async def _until_asked_or_broken(supervisor: Supervisor, asked_to_stop: asyncio.Event) -> None:
    """Our own mistake ends this process and none of the parts: the next `up` takes them over."""
    while not asked_to_stop.is_set():
        failure = supervisor.failure()
        if failure is not None:
            say("the supervisor failed; every part runs on, and `up` takes them over again")
            raise failure
        try:
            async with asyncio.timeout(FAILURE_LOOK_EVERY_S):
                await asked_to_stop.wait()
        except TimeoutError:
            continue


async def _greet(supervisor: Supervisor, began_s: float, *, with_link: bool) -> None:
    """Say where everything is as soon as it is there."""
    migrate = supervisor.parts.get("migrate")
    if migrate is not None:
        await migrate.was_ready.wait()
    sign_in = await sign_in_link() if with_link else ""
    await supervisor.wait_ready()
    say(f"Holdfast is up, after {time.monotonic() - began_s:.1f} s")
    say_addresses(supervisor.settings, sign_in)
    say("  Ctrl-C stops everything")


def say_addresses(settings: Settings, sign_in: str) -> None:
    """What to open, and what to point a client at."""
    say(f"  console    http://{HOST}:{settings.web_port}/")
    if sign_in:
        say(f"  sign in    {sign_in}")
    say(f"  blobs      http://{HOST}:{settings.blob_port}/devstoreaccount1")


async def sign_in_link() -> str:
    """A fresh link that signs the administrator in once; "" with a reason said if it fails."""
    command = await asyncio.create_subprocess_exec(
        *LINK_COMMAND,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LINK_TIMEOUT_S):
            output = (await command.communicate())[0].decode("utf-8", "replace")
    except TimeoutError:
        say(f"  sign in    no link after {LINK_TIMEOUT_S:g} s; try: manage.py login-link admin")
        return ""
    finally:
        if command.returncode is None:
            command.kill()
            await command.wait()
    links = [word for word in output.split() if word.startswith("http")]
    if command.returncode != 0 or not links:
        say(f"  sign in    no link: {' '.join(output.strip().splitlines()[-1:])}")
        return ""
    return links[-1]


def show_running(settings: Settings, *, greet: bool) -> int:
    """A second `up`: nothing is started; 0 if the first one answers."""
    try:
        registry = ask(settings.run, "registry")
    except SupervisorAway as error:
        say(f"another `up` holds {settings.home} but doesn't answer yet: {error}")
        return EXIT_CANNOT_START
    say(f"Holdfast already runs in {settings.home}:")
    now_ms = time.time_ns() // 1_000_000
    for name, part in registry.items():
        seconds = max(0, now_ms - int(part["since_ms"])) / 1000
        restarts = f", restarted {part['restarts']} times" if part["restarts"] else ""
        say(f"  {name:<10} {part['state']} for {seconds:.0f} s{restarts}")
    say_addresses(settings, asyncio.run(sign_in_link()) if greet else "")
    return 0
