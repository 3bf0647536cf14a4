"""A node without a store: takes connections on the shared port, beats, and leads if told to.

Usage: python -m tests.fleet.tiny_node N. It answers each connection with its number and hangs up.
Who leads stands in the file `leader` of the home, so that a test moves it by writing.
"""

import os
import select
import socket
import sys
import time
from pathlib import Path

from storage_core.fleet.beats import BeatSender

BEAT_S = 0.1


def leads(home: Path, number: int) -> bool:
    try:
        return (home / "leader").read_text() == str(number)
    except FileNotFoundError:
        return False


def answer(listener: socket.socket, number: int) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    with connection:
        connection.sendall(str(number).encode())


def main() -> None:
    number, home = int(sys.argv[1]), Path(os.environ["HOLDFAST_HOME"])
    listener = socket.socket(fileno=int(os.environ["HOLDFAST_FRONT_FD"]))
    listener.setblocking(False)
    sender = BeatSender(home / "run", f"node-{number}")
    next_beat_s = 0.0
    while True:
        if time.monotonic() >= next_beat_s:
            sender.send(role="leader" if leads(home, number) else "follower", ready=True)
            next_beat_s = time.monotonic() + BEAT_S
        wait_s = max(0.0, next_beat_s - time.monotonic())
        # A shut socket reports a hang-up for as long as it is shut: don't wait on it then.
        is_open = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if select.select([listener] if is_open else [], [], [], min(wait_s, 0.02))[0]:
            answer(listener, number)


main()
