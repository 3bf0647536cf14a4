import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.profiling import pyspy, stacks
from telemetry.profiling.flame import difference, flame
from telemetry.profiling.helper import start_time_ticks
from telemetry.profiling.pyspy import ProfileFailed
from tests.telemetry.live import ROOT, eventually

Capture = dict[tuple[str, ...], int]

BUSY = """
def weigh_grain(count):
    total = 0
    for grain in range(count):
        total += grain
    return total

def run_mill():
    while True:
        weigh_grain(10_000)

print("ready", flush=True)
run_mill()
"""
frames = st.text(alphabet="abc .:()", min_size=1, max_size=5).filter(lambda name: name.strip())
captures = st.dictionaries(
    st.lists(frames, min_size=1, max_size=6).map(tuple), st.integers(1, 1_000), max_size=12
)


def nodes_of(tree: Any) -> Iterator[Any]:
    yield tree
    for child in tree["children"]:
        yield from nodes_of(child)


def test_stacks_are_read_and_written() -> None:
    text = "main (a.py:1);work (a.py:7) 12\nmain (a.py:1) 3\n\nmain (a.py:1) 2\n"

    found = stacks.parse(text)

    assert found == {("main (a.py:1)", "work (a.py:7)"): 12, ("main (a.py:1)",): 5}
    assert stacks.parse(stacks.render(found)) == found


@given(captures)
def test_any_capture_survives_being_written_and_read(capture: Capture) -> None:
    assert stacks.parse(stacks.render(capture)) == capture


@pytest.mark.parametrize("text", ["main", "main x", " 3", "a 1\nb"])
def test_what_is_not_stacks_is_refused_by_line(text: str) -> None:
    with pytest.raises(stacks.MalformedStacks) as refused:
        stacks.parse(text)

    assert refused.value.line == text.count("\n") + 1


def test_a_function_that_calls_itself_is_counted_once_a_sample() -> None:
    (hottest, caller) = stacks.hottest({("main", "fold", "fold"): 4, ("main",): 1}, 10)

    assert hottest == ("fold", 4, 4)
    assert caller == ("main", 1, 5)


@given(captures)
def test_a_flame_has_the_samples_of_its_stacks_at_every_frame(capture: Capture) -> None:
    tree = flame(capture)

    assert tree["value"] == sum(capture.values())
    for node in nodes_of(tree):
        assert sum(child["value"] for child in node["children"]) <= node["value"]
        values = [child["value"] for child in node["children"]]
        assert values == sorted(values, reverse=True)


@given(captures)
def test_a_capture_differs_from_itself_by_nothing(capture: Capture) -> None:
    for node in nodes_of(difference(capture, capture)):
        assert node["delta_percent"] == 0.0
        assert node["before"] == node["value"]


def test_captures_of_different_length_are_compared_by_share() -> None:
    tree = difference({("main", "read"): 10, ("main", "sync"): 10}, {("main", "sync"): 200})

    changes = {node["name"]: node["delta_percent"] for node in nodes_of(tree)}
    assert changes == {"all": 0.0, "main": 0.0, "read": -50.0, "sync": 50.0}


def test_a_deep_stack_makes_a_deep_tree() -> None:
    tree = flame({tuple(f"frame-{depth}" for depth in range(stacks.DEPTH_MAX)): 1})

    depth = 0
    while tree["children"]:
        (tree,) = tree["children"]
        depth += 1
    assert depth == stacks.DEPTH_MAX


@pytest.fixture
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_profile_names_the_functions_that_run(busy_process: subprocess.Popen[bytes]) -> None:
    profile = asyncio.run(pyspy.record(busy_process.pid, seconds=1, rate_hz=50))

    assert re.search(r"run_mill .*;weigh_grain ", profile.collapsed)
    assert profile.sample_count > 10
    assert 0.0 <= profile.pause_percent < 50.0
    assert profile.looks_count > 20


def test_a_process_that_is_not_python_is_no_profile_but_a_reason() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(ProfileFailed, match=r"\w+ \w+"):
            asyncio.run(pyspy.record(process.pid, seconds=1, rate_hz=50))
    finally:
        process.communicate()


class Helper:
    """The profiler process and a registry in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run = home / "run"
        self.run.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "telemetry.profiling.helper"],
            env={**os.environ, "HOLDFAST_HOME": str(home)},
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        eventually(self.is_listening, "somebody listens on the socket")

    def is_listening(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.run / "profiler.sock")) == 0

    def register(self, name: str, pid: int, ticks: int) -> None:
        document = {name: {"pid": pid, "start_time_ticks": ticks, "state": "running"}}
        (self.run / "registry.json").write_text(json.dumps(document))

    def ask(self, *lines: bytes) -> list[dict[str, object]]:
        async def talk() -> list[dict[str, object]]:
            reader, writer = await asyncio.open_unix_connection(str(self.run / "profiler.sock"))
            answers = []
            for line in lines:
                writer.write(line + b"\n")
                answers.append(json.loads(await reader.readline()))
            writer.close()
            await writer.wait_closed()
            return answers

        return asyncio.run(talk())

    def capture(self, **request: object) -> dict[str, object]:
        (answer,) = self.ask(json.dumps({"op": "capture", **request}).encode())
        return answer


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    helper = Helper(tmp_path)
    yield helper
    helper.process.send_signal(signal.SIGTERM)
    assert helper.process.wait(10) == 0


def test_the_helper_captures_a_registered_name(
    helper: Helper, busy_process: subprocess.Popen[bytes]
) -> None:
    helper.register("node-1", busy_process.pid, start_time_ticks(busy_process.pid))

    answer = helper.capture(target="node-1", seconds=1, rate_hz=50)

    assert "error" not in answer
    assert "weigh_grain" in str(answer["collapsed"])
    assert (answer["target"], answer["pid"]) == ("node-1", busy_process.pid)
    assert int(str(answer["samples"])) > 10


def test_a_process_id_that_was_used_again_is_never_traced(
    helper: Helper, busy_process: subprocess.Popen[bytes]
) -> None:
    helper.register("node-1", busy_process.pid, start_time_ticks(busy_process.pid) - 1)

    answer = helper.capture(target="node-1", seconds=1)

    assert (answer["code"], answer["again"]) == ("target_gone", True)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"target": "node-9"}, "unknown_target"),
        ({"target": ""}, "bad_request"),
        ({"target": "node-1", "seconds": 121}, "bad_request"),
        ({"target": "node-1", "seconds": True}, "bad_request"),
        ({"target": "node-1", "rate_hz": 0}, "bad_request"),
        ({"op": "kill", "target": "node-1"}, "bad_request"),
    ],
)
def test_a_request_that_cannot_be_served_says_why(
    helper: Helper, request_: dict[str, object], code: str
) -> None:
    helper.register("node-1", os.getpid(), start_time_ticks(os.getpid()))

    answer = helper.capture(**request_)

    assert (answer["code"], answer["again"]) == (code, False)
    assert answer["error"]


def test_before_the_supervisor_wrote_a_registry_there_is_nobody_to_trace(helper: Helper) -> None:
    assert helper.capture(target="node-1")["code"] == "no_registry"


def test_lines_are_answered_in_order_and_bounded(helper: Helper) -> None:
    answers = helper.ask(b"{", b"[]", b"x" * 10_000)

    assert [answer["code"] for answer in answers] == ["bad_request"] * 3


def test_one_capture_of_a_target_at_a_time_and_a_caller_that_leaves_ends_its_own(
    helper: Helper, busy_process: subprocess.Popen[bytes]
) -> None:
    helper.register("node-1", busy_process.pid, start_time_ticks(busy_process.pid))
    request = json.dumps({"op": "capture", "target": "node-1", "seconds": 60}).encode() + b"\n"

    async def leave_in_the_middle() -> dict[str, object]:
        _, leaving = await asyncio.open_unix_connection(str(helper.run / "profiler.sock"))
        leaving.write(request)
        await leaving.drain()
        reader, second = await asyncio.open_unix_connection(str(helper.run / "profiler.sock"))
        second.write(request)
        busy: dict[str, object] = json.loads(await reader.readline())
        for writer in (leaving, second):
            writer.close()
            await writer.wait_closed()
        return busy

    busy = asyncio.run(leave_in_the_middle())

    def free() -> bool:
        return "error" not in helper.capture(target="node-1", seconds=1)

    assert (busy["code"], busy["again"]) == ("busy", True)
    eventually(free, "the first capture has ended")
