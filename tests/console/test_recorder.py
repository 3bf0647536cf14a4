"""The thread that writes down what memory decided."""

from __future__ import annotations

from collections.abc import Sequence

from console.incidents.recorder import Recorder


def test_a_record_that_breaks_the_writer_costs_itself_only() -> None:
    written: list[object] = []

    def write(records: Sequence[object]) -> None:
        if "bad" in records:
            raise KeyError("bad")
        written.extend(records)

    recorder = Recorder(write)
    for record in ("a", "bad", "b"):
        recorder.put(record)
    recorder.start()
    recorder.stop(10)

    assert written == ["a", "b"]
    assert (recorder.dropped_count, recorder.waiting_count) == (1, 0)
