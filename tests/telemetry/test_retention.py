from telemetry.store.retention import Partition, choose

NOW_S = 1_800_000_000
HOUR_S = 3600


def make(table: str, hours_old: float, size_bytes: int = 10) -> Partition:
    return Partition(table, f"{table}-{hours_old}", NOW_S - int(hours_old * HOUR_S), size_bytes)


def chosen(*found: Partition, keep_bytes: int = 1_000) -> list[Partition]:
    return choose(list(found), now_s=NOW_S, keep_hours=24, keep_bytes=keep_bytes)


def test_an_hour_goes_when_its_newest_row_is_too_old() -> None:
    old, young = make("spans", 24.1), make("spans", 23.9)

    assert chosen(old, young) == [old]


def test_the_oldest_hours_of_all_tables_go_first_when_there_is_too_much() -> None:
    found = [make("spans", 3, 50), make("logs", 5, 30), make("metrics", 4, 30), make("spans", 2)]

    assert chosen(*found, keep_bytes=60) == [found[1], found[2]]


def test_the_hour_being_written_stays_however_large() -> None:
    assert chosen(make("spans", 0.1, 5_000), keep_bytes=60) == []


def test_profiles_live_for_days_and_count_for_no_size() -> None:
    kept, old = make("profiles", 29 * 24, 5_000), make("profiles", 31 * 24)

    assert chosen(kept, old, keep_bytes=60) == [old]
