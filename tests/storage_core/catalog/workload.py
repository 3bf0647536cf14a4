"""Puts without end over a given index, for a test that kills the process."""

from __future__ import annotations

from storage_core.catalog.commands import CreateAccount, CreateContainer, PutBlob
from storage_core.index.port import IndexPort
from tests.storage_core.catalog.driving import ACCOUNT, CONTAINER, Driver

BATCH = 16
FLUSH_EVERY = 64
NAMES = 500


def run(index: IndexPort) -> None:
    """Each batch ends with a new blob, so the newest ETag tells where the rows stand."""
    driver = Driver(index, remembered_count=65_536)
    driver.do(CreateAccount(ACCOUNT, ()))
    driver.do(CreateContainer(ACCOUNT, CONTAINER))
    number = 0
    while True:
        number += 1
        for step in range(BATCH):
            name = "%d" % (number * (step + 1) % NAMES)
            driver.append(PutBlob(ACCOUNT, CONTAINER, name, 5), b"bytes")
        driver.settle()
        if number % FLUSH_EVERY == 0:
            index.flush()
            print(number, flush=True)
