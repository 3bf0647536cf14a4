"""Log lines that wait in memory, so that a log file on a stalled disk holds nobody up."""

from __future__ import annotations

import logging
import threading
import time

from runbooks.log_thread import LogThread, take_over

WAIT_S = 10.0


class Disk(logging.Handler):
    """Takes lines, unless it stands still; then whoever writes waits with the lock in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = threading.Event()
        self.goes.set()
        self.reached = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        assert self.goes.wait(WAIT_S)
        self.lines.append(record.getMessage())


def make_logger(disk: Disk, *, waiting_max: int = 10) -> tuple[logging.Logger, LogThread]:
    logger = logging.Logger("watcher")
    thread = LogThread([disk], waiting_max=waiting_max)
    logger.addHandler(thread)
    thread.start()
    return logger, thread


def test_lines_are_written_in_order_and_all_of_them_before_the_end() -> None:
    disk = Disk()
    logger, thread = make_logger(disk)

    for number in range(5):
        logger.warning("line %d", number)
    thread.stop(WAIT_S)

    assert disk.lines == [f"line {number}" for number in range(5)]


def test_nobody_waits_for_a_disk_that_stands_still() -> None:
    disk = Disk()
    logger, thread = make_logger(disk)
    disk.goes.clear()
    logger.warning("stuck")
    assert disk.reached.wait(WAIT_S)

    other = threading.Thread(target=logger.warning, args=("of another thread",))
    other.start()
    other.join(WAIT_S)

    assert not other.is_alive()
    assert disk.lines == []
    disk.goes.set()
    thread.stop(WAIT_S)
    assert disk.lines == ["stuck", "of another thread"]


def test_lines_without_room_are_dropped_and_counted_aloud() -> None:
    disk = Disk()
    logger, thread = make_logger(disk, waiting_max=3)
    disk.goes.clear()
    logger.warning("stuck")
    assert disk.reached.wait(WAIT_S)
    for number in range(8):
        logger.warning("line %d", number)

    assert thread.dropped_count == 5
    disk.goes.set()
    began_s = time.monotonic()
    thread.stop(WAIT_S)

    assert time.monotonic() - began_s < WAIT_S, "it ends when all is written"
    told = "5 log lines were dropped: nobody could write them"
    assert disk.lines == ["stuck", told, "line 0", "line 1", "line 2"]


def test_a_logger_is_taken_over_with_the_levels_of_its_handlers() -> None:
    disk = Disk()
    disk.setLevel(logging.ERROR)
    logger = logging.Logger("watcher")
    logger.addHandler(disk)

    thread = take_over(logger)
    logger.warning("too small")
    logger.error("told")
    thread.stop(WAIT_S)

    assert logger.handlers == [thread]
    assert disk.lines == ["told"]
