"""The vendor's SDK at default settings does not notice that the leader was killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from tests.probe.fleet import Fleet, connects_and_answers

REQUEST_S_MAX = 6.0
KILLS = 3


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as running:
        running.wait_settled()
        yield running


class SdkWriter(threading.Thread):
    """Uploads one small blob after the other, and times each."""

    def __init__(self, container: ContainerClient) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.longest_s = 0.0
        self.errors: list[str] = []
        self._container = container
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)

    def run(self) -> None:
        while not self._stopping.is_set():
            name = f"{self.name}-{len(self.acknowledged)}"
            began_s = time.monotonic()
            try:
                self._container.upload_blob(name, name.encode(), overwrite=True)
                self.acknowledged.append(name)
            except OSError as error:
                self.errors.append(repr(error))
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)


@pytest.mark.timeout(240)
def test_stock_sdk_waits_no_longer_than_six_seconds_for_a_killed_leader(fleet: Fleet) -> None:
    service = BlobServiceClient.from_connection_string(fleet.connection_string())
    container = service.create_container("stock")
    writers = [SdkWriter(container) for _ in range(3)]
    for writer in writers:
        writer.start()

    for _ in range(KILLS):
        before = sum(len(writer.acknowledged) for writer in writers)
        os.kill(fleet.pid(f"node-{fleet.wait_settled()}"), signal.SIGKILL)
        fleet.wait_settled()
        assert sum(len(writer.acknowledged) for writer in writers) > before
    for writer in writers:
        writer.stop()

    assert [writer.errors for writer in writers] == [[], [], []]
    assert max(writer.longest_s for writer in writers) <= REQUEST_S_MAX
    found = {blob.name for blob in container.list_blobs()}
    assert {name for writer in writers for name in writer.acknowledged} <= found


@pytest.mark.timeout(120)
def test_a_stopped_node_fails_no_new_connection_to_the_shared_port(fleet: Fleet) -> None:
    leader = fleet.wait_settled()
    stopped = fleet.pid(f"node-{(leader + 1) % 3}")
    os.kill(stopped, signal.SIGSTOP)
    try:
        give_up_s, pause = time.monotonic() + 5, threading.Event()
        while fleet.registry_state(stopped) != "stopped" and time.monotonic() < give_up_s:
            pause.wait(0.01)
        failed = sum(
            not connects_and_answers(fleet.settings.blob_port, timeout_s=2.0) for _ in range(300)
        )
    finally:
        os.kill(stopped, signal.SIGCONT)

    assert failed == 0
    fleet.wait_settled()


@pytest.mark.timeout(120)
def test_up_survives_the_death_of_every_part_and_of_itself(fleet: Fleet) -> None:
    fleet.wait_settled()
    fleet.kill_supervisor()
    fleet.up()
    leader = fleet.wait_settled()

    os.kill(fleet.pid("telemetry"), signal.SIGKILL)
    service = BlobServiceClient.from_connection_string(fleet.connection_string())
    service.create_container("blind").upload_blob("still", b"serving")

    assert fleet.client.status(leader).role == "leader"
    assert service.get_blob_client("blind", "still").download_blob().readall() == b"serving"
