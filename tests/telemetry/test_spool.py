from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.receiver import spool
from telemetry.receiver.spool import RECORD, Spool, SpoolDamage, SpoolFull, SpoolRecord

bodies = st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.binary(max_size=80)), max_size=8)


def written(folder: Path, records: list[tuple[int, bytes]]) -> bytes:
    spool_ = Spool(folder)
    for signal, body in records:
        spool_.append(signal, body)
    sealed = spool_.take(now=True)
    return sealed.path.read_bytes() if sealed else b""


@given(records=bodies)
def test_what_was_appended_is_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, bytes]]
) -> None:
    data = written(tmp_path_factory.mktemp("spool"), records)

    assert [(record.signal, record.body) for record in spool.read(data)] == records


def test_a_file_cut_anywhere_gives_the_whole_records_before_the_cut(tmp_path: Path) -> None:
    records = [(1, b"first"), (2, b""), (3, b"third")]
    data = written(tmp_path, records)
    ends = [sum(RECORD.size + len(body) for _, body in records[:n]) for n in range(4)]

    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends[1:])
        assert [(r.signal, r.body) for r in spool.read(data[:cut])] == records[:whole]


def test_a_flipped_bit_is_damage_or_a_tail_and_never_another_body(tmp_path: Path) -> None:
    records = [(1, b"first"), (2, b"second")]
    data = written(tmp_path, records)
    magic_length_or_body = [*range(0, 4), *range(8, 16), *range(RECORD.size, RECORD.size + 5)]

    for offset in magic_length_or_body:
        broken = bytearray(data)
        broken[offset] ^= 1
        try:
            found = list(spool.read(bytes(broken)))
        except SpoolDamage:
            continue
        assert found == [], f"byte {offset}"


def test_the_bytes_are_those_of_the_document() -> None:
    data = RECORD.pack(b"HFS1", 2, 3, 0x352441C2, 1_700_000_000_000) + b"abc"

    assert data.hex() == "48465331020000000300000" + "0c241243500" + "68e5cf8b010000" + "616263"
    assert list(spool.read(data)) == [SpoolRecord(2, 1_700_000_000_000, b"abc")]


def test_files_of_an_earlier_life_come_first_and_keep_their_names(tmp_path: Path) -> None:
    earlier = Spool(tmp_path)
    earlier.append(1, b"old")
    earlier.close()

    later = Spool(tmp_path)
    later.append(1, b"new")
    first, second = later.take(), later.take(now=True)

    assert first and second
    assert b"old" in first.path.read_bytes()
    assert b"new" in second.path.read_bytes()
    assert first.path.name < second.path.name


def test_a_stored_file_is_gone_and_its_bytes_are_free(tmp_path: Path) -> None:
    spool_ = Spool(tmp_path)
    spool_.append(1, b"body")
    sealed = spool_.take(now=True)
    assert sealed

    spool_.stored(sealed)

    assert list(tmp_path.iterdir()) == []
    assert spool_.bytes == 0


def test_a_file_put_back_is_next_again(tmp_path: Path) -> None:
    spool_ = Spool(tmp_path)
    spool_.append(1, b"one")
    first = spool_.take(now=True)
    spool_.append(1, b"two")
    assert first

    spool_.put_back(first)

    assert spool_.take(now=True) == first


def test_a_full_spool_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SPOOL_BYTES_MAX", 100)
    spool_ = Spool(tmp_path)
    spool_.append(1, bytes(60))

    with pytest.raises(SpoolFull):
        spool_.append(1, bytes(60))


def test_a_file_is_sealed_when_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEAL_BYTES", 100)
    spool_ = Spool(tmp_path)

    spool_.append(1, bytes(100))

    assert spool_.take() is not None


def test_a_young_file_stays_open(tmp_path: Path) -> None:
    spool_ = Spool(tmp_path)
    spool_.append(1, b"body")

    assert spool_.take() is None
