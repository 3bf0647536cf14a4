"""What the board tells, second by second: once, worse, and not until it is over."""

from __future__ import annotations

from telemetry.slo.alerts import (
    FIRING,
    PAGE,
    RESOLVE_HOLD_MS,
    RESOLVED,
    TICKET,
    WORSE_AFTER_MS,
    WORSENED,
    Board,
    Condition,
)

T = 1_700_000_000_000


def make_condition(**changed: object) -> Condition:
    given: dict[str, object] = {
        "rule": "write-latency",
        "tier": "flash",
        "severity": PAGE,
        "headline": "Writes are slow: 38 % over 50 ms for 12 s",
        "since_ms": T - 12_000,
        "value": 38.0,
    }
    return Condition(**(given | changed))  # type: ignore[arg-type]


def test_a_condition_fires_once_however_long_it_holds() -> None:
    board = Board()

    told = [board.judge([make_condition()], now_ms=T + second * 1000) for second in range(20)]

    assert [[each.state for each in changes] for changes in told] == [[FIRING]] + [[]] * 19
    assert told[0][0].started_ms == T - 12_000


def test_slower_tiers_are_silent_beside_a_faster_one() -> None:
    board = Board()
    slow = make_condition(tier="1 h", headline="slow words", value=90.0)
    ticket = make_condition(tier="3 d", severity=TICKET, value=99.0, speed=9)

    (change,) = board.judge([slow, ticket, make_condition(speed=4)], now_ms=T)

    assert (change.tier, change.severity) == ("flash", PAGE)


def test_a_ticket_that_becomes_a_page_is_told_at_once() -> None:
    board = Board()
    board.judge([make_condition(tier="3 d", severity=TICKET)], now_ms=T)

    (change,) = board.judge([make_condition()], now_ms=T + 1000)

    assert (change.state, change.severity) == (WORSENED, PAGE)


def test_a_faster_tier_is_told_at_once_and_going_back_is_not() -> None:
    board = Board()
    board.judge([make_condition(tier="now", value=1.0)], now_ms=T)

    (change,) = board.judge([make_condition(tier="quorum", speed=1)], now_ms=T + 1000)
    back = board.judge([make_condition(tier="now", value=1.0)], now_ms=T + 2000)
    again = board.judge([make_condition(tier="quorum", speed=1)], now_ms=T + 3000)

    assert (change.state, change.tier) == (WORSENED, "quorum")
    assert (back, again) == ((), ())


def test_a_trouble_that_doubles_is_told_again_but_not_every_second() -> None:
    board = Board()
    board.judge([make_condition(value=20.0)], now_ms=T)

    early = board.judge([make_condition(value=60.0)], now_ms=T + WORSE_AFTER_MS - 1)
    due = board.judge([make_condition(value=60.0)], now_ms=T + WORSE_AFTER_MS)
    after = board.judge([make_condition(value=61.0)], now_ms=T + 3 * WORSE_AFTER_MS)

    assert (early, [each.state for each in due], after) == ((), [WORSENED], ())


def test_an_alert_ends_only_after_the_trouble_was_gone_for_a_while() -> None:
    board = Board()
    board.judge([make_condition()], now_ms=T)
    board.judge([], now_ms=T + 20_000)
    board.judge([make_condition()], now_ms=T + 25_000)

    still = board.judge([], now_ms=T + 25_000 + RESOLVE_HOLD_MS - 1)
    (over,) = board.judge([], now_ms=T + 25_000 + RESOLVE_HOLD_MS)

    assert still == ()
    assert (over.state, over.started_ms, over.at_ms) == (
        RESOLVED,
        T - 12_000,
        T + 25_000 + RESOLVE_HOLD_MS,
    )
    assert board.firing == ()


def test_not_seeing_is_not_being_well() -> None:
    board = Board()
    board.judge([make_condition()], now_ms=T)
    blind = frozenset({"write-latency"})

    for minute in range(1, 60):
        assert board.judge([], now_ms=T + minute * 60_000, unseen=blind) == ()

    assert len(board.firing) == 1


def test_one_rule_has_one_alert_for_each_node() -> None:
    board = Board()
    silent = [
        make_condition(rule="no-data", labels={"node": node}, severity=TICKET)
        for node in ("node-0", "node-2")
    ]

    changes = board.judge(silent, now_ms=T)

    assert {change.key for change in changes} == {"no-data/node-0", "no-data/node-2"}


def test_what_an_earlier_watcher_told_is_not_told_again_but_is_ended() -> None:
    before, board = Board(), Board()
    told = before.judge([make_condition()], now_ms=T)

    board.resume(told, now_ms=T + 5000)
    again = board.judge([make_condition()], now_ms=T + 6000)
    (over,) = board.judge([], now_ms=T + 6000 + RESOLVE_HOLD_MS)

    assert again == ()
    assert (over.state, over.key) == (RESOLVED, told[0].key)


def test_the_worst_alert_comes_first() -> None:
    board = Board()
    ticket = make_condition(rule="telemetry", severity=TICKET, since_ms=T - 90_000)

    board.judge([ticket, make_condition()], now_ms=T)

    assert [firing.told.rule for firing in board.firing] == ["write-latency", "telemetry"]
