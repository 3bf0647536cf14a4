"""Real processes: what the supervisor promises about starting, watching and stopping."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from storage_core.fleet.client import Refused
from storage_core.fleet.linux import read_environment
from storage_core.fleet.registry import ASKED_VARIABLE
from tests.fleet.conftest import ROOT, TinyFleet, wait_until


def test_a_part_starts_after_those_it_needs_and_each_says_when_it_is_ready(
    fleet: TinyFleet,
) -> None:
    fleet.up()

    lines = [line.split() for line in fleet.output().splitlines() if " ready " in line]
    assert [line[0] for line in lines][-1] == "later"
    assert {line[0] for line in lines} == {"node-0", "node-1", "node-2", "later"}
    assert all(float(line[2]) < 10 for line in lines)


def test_new_connections_never_reach_a_stopped_node_and_come_back_when_it_continues(
    fleet: TinyFleet,
) -> None:
    fleet.up()
    pid = fleet.pid("node-1")

    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: fleet.registry()["node-1"]["state"] == "stopped", "the stop is seen")

    assert fleet.connect_often() <= {"0", "2"}

    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: fleet.connect() == "1", "node-1 takes connections again")
    assert fleet.pid("node-1") == pid


def test_the_leader_leaves_the_front_door_while_another_node_serves(fleet: TinyFleet) -> None:
    fleet.up()
    fleet.lead(0)
    wait_until(lambda: "0" not in fleet.connect_often(30), "the leader is gone from the door")

    assert fleet.connect_often() == {"1", "2"}

    fleet.lead(2)
    wait_until(lambda: fleet.connect() == "0", "the former leader is back")
    wait_until(lambda: "2" not in fleet.connect_often(30), "the new leader is gone")
    assert fleet.connect_often() == {"0", "1"}


def test_the_leader_serves_the_front_door_when_nobody_else_can(fleet: TinyFleet) -> None:
    fleet.up()
    fleet.lead(0)
    wait_until(lambda: "0" not in fleet.connect_often(30), "the leader is gone from the door")

    fleet.ask("stop", name="node-1")
    fleet.ask("stop", name="node-2")

    wait_until(lambda: fleet.connect() == "0", "the leader takes connections")
    assert fleet.connect_often() == {"0"}


def test_a_killed_node_is_back_at_once_and_no_new_connection_fails(fleet: TinyFleet) -> None:
    fleet.up()
    pid = fleet.pid("node-0")

    fleet.ask("kill", name="node-0")
    wait_until(lambda: fleet.registry()["node-0"]["pid"] not in (pid, None), "a new process")

    assert "" not in fleet.connect_often()
    assert fleet.registry()["node-0"]["restarts"] == 1
    wait_until(lambda: fleet.connect() == "0", "node-0 takes connections again")


def test_a_part_that_fails_again_and_again_is_restarted_ever_later_and_called_a_loop(
    fleet: TinyFleet,
) -> None:
    fleet.up()
    (fleet.home / "fails-later").touch()

    fleet.ask("kill", name="later")
    wait_until(lambda: "crash loop (4 ends" in fleet.output(), "the loop is named")

    output = fleet.output()
    assert "starting it again in 0.5 s" in output
    assert "ended with exit code 3; starting it again in 1 s" in output
    assert "| this part was told to fail" in output
    assert fleet.registry()["later"]["state"] == "restarting"

    (fleet.home / "fails-later").unlink()
    fleet.ask("start", name="later")
    wait_until(lambda: fleet.registry()["later"]["ready"], "an asked start waits for nothing")


def test_a_new_supervisor_takes_over_the_children_of_a_killed_one_and_their_sockets(
    fleet: TinyFleet,
) -> None:
    first = fleet.up()
    before = {name: line["pid"] for name, line in fleet.registry().items()}
    first.kill()
    first.wait()

    assert fleet.connect_often() == {"0", "1", "2"}

    fleet.up()
    after = {name: line["pid"] for name, line in fleet.registry().items()}
    assert after == before
    assert "taking over 4 running parts" in fleet.output()
    os.kill(before["node-2"], signal.SIGSTOP)
    wait_until(lambda: fleet.registry()["node-2"]["state"] == "stopped", "the stop is seen")
    assert fleet.connect_often() <= {"0", "1"}


def test_a_new_supervisor_finds_children_without_the_registry_and_continues_paused_ones(
    fleet: TinyFleet,
) -> None:
    first = fleet.up()
    before = {name: line["pid"] for name, line in fleet.registry().items()}
    os.kill(before["node-1"], signal.SIGSTOP)
    first.kill()
    first.wait()
    (fleet.run / "registry.json").write_text("torn {")

    fleet.up()

    assert {name: line["pid"] for name, line in fleet.registry().items()} == before
    assert fleet.registry()["node-1"]["state"] == "running"


def test_a_second_up_starts_nothing_and_says_what_runs(fleet: TinyFleet) -> None:
    fleet.up()
    before = fleet.registry()

    second = fleet.start()

    assert second.wait(10) == 0
    assert f"Holdfast already runs in {fleet.home}" in fleet.output()
    assert fleet.registry() == before


def test_a_taken_port_is_named_with_its_setting_and_its_holder(fleet: TinyFleet) -> None:
    with socket.socket() as stranger:
        # It even offers to share the port: a second fleet of the same user would too.
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", fleet.port))
        stranger.listen()

        refused = fleet.start()

        assert refused.wait(10) == 1
    assert f"port {fleet.port} (front door) is taken by process {os.getpid()}" in fleet.output()
    assert "HOLDFAST_BLOB_PORT" in fleet.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_process_even_of_stopped_parts(
    fleet: TinyFleet, number: signal.Signals
) -> None:
    supervisor = fleet.up()
    os.kill(fleet.pid("node-1"), signal.SIGSTOP)
    assert len(fleet.processes()) == 6, "a supervisor, three nodes, a part and its child"

    supervisor.send_signal(number)

    assert supervisor.wait(15) == 0
    assert fleet.processes() == []
    assert fleet.connect() == ""


def test_a_second_ctrl_c_waits_for_nobody(fleet: TinyFleet) -> None:
    (fleet.home / "deaf-later").touch()
    supervisor = fleet.up()

    supervisor.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in fleet.output(), "the stop began")
    supervisor.send_signal(signal.SIGINT)

    assert supervisor.wait(3) == 0
    assert fleet.processes() == []


def test_a_pause_ends_by_itself(fleet: TinyFleet) -> None:
    fleet.up()
    before = fleet.registry()["node-0"]

    fleet.ask("pause", name="node-0", ttl_ms=300)
    wait_until(lambda: fleet.registry()["node-0"]["state"] == "stopped", "it is paused")
    wait_until(lambda: fleet.registry()["node-0"]["state"] == "running", "it continues")

    assert fleet.registry()["node-0"]["pid"] == before["pid"], "no other process took its place"


def test_the_control_socket_takes_names_and_says_what_it_does_not_take(fleet: TinyFleet) -> None:
    fleet.up()

    with pytest.raises(Refused, match="name is one of node-0"):
        fleet.ask("kill", name="1")
    with pytest.raises(Refused, match="ttl_ms is a whole number from 1 to 60000"):
        fleet.ask("pause", name="node-0", ttl_ms=0)
    with pytest.raises(Refused, match="op is one of"):
        fleet.ask("explode", name="node-0")


def test_a_restart_of_a_part_ends_what_the_part_had_started(fleet: TinyFleet) -> None:
    fleet.up()
    before = set(fleet.processes())

    fleet.ask("kill", name="later")
    wait_until(lambda: len(fleet.processes()) == len(before), "it is back, with one child")

    assert len(before - set(fleet.processes())) == 2, "the part and its child are new"


def test_a_restart_of_one_process_never_ends_the_next_one(fleet: TinyFleet) -> None:
    fleet.up()
    meant = fleet.pid("node-0")
    fleet.ask("restart", name="node-0", process=meant)
    wait_until(lambda: fleet.registry()["node-0"]["pid"] not in (meant, None), "it is restarted")
    after = fleet.pid("node-0")

    with pytest.raises(Refused, match=f"is process {after} by now, not {meant}; nothing was done"):
        fleet.ask("restart", name="node-0", process=meant)

    assert fleet.pid("node-0") == after


def test_a_process_is_told_whether_somebody_wanted_the_end_of_the_last_one(
    fleet: TinyFleet,
) -> None:
    def was_asked_after(word: str) -> bool:
        before = fleet.pid("node-0")
        fleet.ask(word, name="node-0")
        wait_until(lambda: fleet.registry()["node-0"]["pid"] not in (before, None), "it is back")
        return ASKED_VARIABLE in read_environment(fleet.pid("node-0"))

    fleet.up()

    assert [was_asked_after(word) for word in ("kill", "restart", "kill")] == [False, True, False]


def test_up_refuses_words_that_it_does_not_know() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "up", "now"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "usage: manage.py up" in done.stdout
