"""What a request costs the front end: `python -m tests.storage_core.frontend.measure`.

The client is another process; the figure is CPU time of the thread that serves, divided by the
requests it served, so that neither the client nor a busy machine is in it. The store is the
one-node twin; what its catalog costs is measured apart and shown.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Sequence

from storage_core.catalog.commands import PutBlob
from storage_core.io.checksum import crc64
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.solo import ACCOUNT, Waiting
from tests.storage_core.frontend.wire import Wire, put_blob, request

KIB = 1024
BODY = b"\x5a" * 4 * KIB


def client(port: int, data: bytes, count: int, connections: int) -> None:
    """Keeps one request in flight on each connection."""
    wires = [Wire(port) for _ in range(connections)]
    for _ in range(count // connections):
        for wire in wires:
            wire.send(data)
        for wire in wires:
            answer = wire.answer()
            assert answer.status in (200, 201, 206), answer
    for wire in wires:
        wire.close()


def measure(serving: Serving, data: bytes, count: int, connections: int) -> tuple[float, float]:
    """CPU microseconds of the server and wall microseconds, for each request."""
    process = multiprocessing.get_context("spawn").Process(
        target=client, args=(serving.port, data, count, connections)
    )
    warm = multiprocessing.get_context("spawn").Process(
        target=client, args=(serving.port, data, connections * 50, connections)
    )
    warm.start()
    warm.join()
    before, began = serving.on_loop(time.thread_time), time.perf_counter()
    process.start()
    process.join()
    assert process.exitcode == 0
    cpu = serving.on_loop(time.thread_time) - before
    return cpu / count * 1e6, (time.perf_counter() - began) / count * 1e6


def store_cost(serving: Serving, count: int) -> float:
    """CPU microseconds to apply one 4 KiB Put Blob, batches of one."""
    command = PutBlob(ACCOUNT, "box", "cost", len(BODY))
    crc = crc64(BODY)

    def run() -> float:
        began = time.thread_time()
        for _ in range(count):
            serving.store._apply([Waiting(command, BODY, crc, lambda _: None)])
        return time.thread_time() - began

    return serving.on_loop(run) / count * 1e6


def main(arguments: Sequence[str]) -> None:
    count = int(arguments[0]) if arguments else 8000
    with Serving() as serving:
        with Wire(serving.port) as wire:
            wire.ask(request("PUT", "/box?restype=container", {}, b""))
            wire.ask(put_blob("/box/hot", BODY))
            wire.ask(put_blob("/box/large", BODY * 1024))
        print("server CPU us a request (wall us, one client process)")
        for name, data, part, connections in (
            ("GET 4 KiB c=1", request("GET", "/box/hot"), count, 1),
            ("GET 4 KiB c=16", request("GET", "/box/hot"), count, 16),
            ("metadata c=1", request("GET", "/box/hot?comp=metadata"), count, 1),
            ("PUT 4 KiB c=1", put_blob("/box/w", BODY), count, 1),
            ("PUT 4 KiB c=16", put_blob("/box/w", BODY), count, 16),
            ("PUT 256 KiB c=1", put_blob("/box/w", BODY * 64), count // 10, 1),
            ("PUT 4 MiB c=1", put_blob("/box/w", BODY * 1024), count // 100, 1),
            ("GET 4 MiB c=1", request("GET", "/box/large"), count // 100, 1),
        ):
            cpu, wall = measure(serving, data, part, connections)
            print(f"{name:18} {cpu:8.1f} ({wall:.1f})")
        print(f"of a PUT, catalog  {store_cost(serving, count):8.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
