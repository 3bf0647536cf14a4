"""Whose disk it is: flush times of a suspect against those of its peers."""

from runbooks.engine import expression
from runbooks.library import SHIPPED
from runbooks.library.reading import read
from runbooks.steps.evidence import clearest

FILE = SHIPPED / "leader-fsync-stall.yaml"
EXPECT = next(
    step.expect
    for step in read(FILE.read_bytes(), file=FILE.name, is_own=False).steps
    if step.name == "confirm"
)


def is_confirmed(median: tuple[float, float, float], p99: tuple[float, float, float]) -> bool:
    """Of node-0, with these flush times of the three nodes in ms."""
    newest = {
        "median": {f"node-{n}": value for n, value in enumerate(median)},
        "99th percentile": {f"node-{n}": value for n, value in enumerate(p99)},
    }
    found = clearest(newest, "node-0")
    assert found is not None
    return expression.is_true(EXPECT, found)


def test_a_steady_stall_is_told_from_a_busy_machine_by_the_median() -> None:
    assert is_confirmed((303.0, 4.0, 5.0), (420.0, 260.0, 310.0))


def test_a_stall_that_comes_and_goes_is_told_by_the_99th_percentile() -> None:
    assert is_confirmed((2.1, 2.0, 1.9), (350.0, 9.0, 12.0))


def test_a_disk_that_all_nodes_share_is_nobodys_stall() -> None:
    assert not is_confirmed((310.0, 300.0, 290.0), (350.0, 340.0, 360.0))


def test_twice_as_long_as_nothing_is_no_stall() -> None:
    assert not is_confirmed((2.0, 0.4, 0.5), (12.0, 3.0, 2.0))


def test_a_peer_that_stalls_is_not_the_suspect() -> None:
    assert not is_confirmed((3.0, 300.0, 2.0), (40.0, 400.0, 20.0))


def test_without_a_peer_nothing_is_compared() -> None:
    assert clearest({"median": {"node-0": 300.0}}, "node-0") is None
    assert clearest({"median": {"node-1": 3.0, "node-2": 2.0}}, "node-0") is None
