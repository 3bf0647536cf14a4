"""How long a part waits before it is started again."""

from storage_core.fleet.restarts import describe_end, describe_restart, restart_delay_s


def delays(*, at_once: bool, count: int = 10) -> list[float]:
    return [
        restart_delay_s(ends=ends, exit_code=1, at_once=at_once) for ends in range(1, count + 1)
    ]


def test_a_node_starts_at_once_the_first_time_and_later_after_that() -> None:
    assert delays(at_once=True, count=4) == [0, 0.5, 1, 2]


def test_delays_double_up_to_half_a_minute() -> None:
    assert delays(at_once=False) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_node_whose_disk_failed_waits_even_the_first_time() -> None:
    assert restart_delay_s(ends=1, exit_code=70, at_once=True) == 5
    assert "its disk failed (exit 70)" in describe_end(70)


def test_people_are_told_how_it_ended_and_what_comes_next() -> None:
    assert describe_end(-9) == "was ended by signal 9 (Killed)"
    assert describe_end(3) == "ended with exit code 3"
    assert describe_end(None) == "ended"
    assert describe_restart(ends=1, delay_s=0) == "starting it again at once"
    assert describe_restart(ends=5, delay_s=8).startswith("crash loop (5 ends")
