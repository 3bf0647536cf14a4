"""Azure's rules for containers, blobs and blocks, one sentence each."""

from __future__ import annotations

import pytest

from storage_core.catalog import commands, keys, rows
from storage_core.catalog.commands import (
    COMMITTED,
    LATEST,
    UNCOMMITTED,
    UNCONDITIONAL,
    AccessPolicy,
    BlobProperties,
    BlockChoice,
    Chunk,
    Command,
    Conditions,
    CreateAccount,
    CreateContainer,
    DeleteBlob,
    DeleteContainer,
    PutBlob,
    PutBlock,
    PutBlockList,
    SetAccountLimit,
    SetBlobMetadata,
    SetBlobProperties,
    SetContainerAccess,
    SetContainerMetadata,
    etag_of,
)
from storage_core.catalog.conditions import create_refusal, read_refusal, write_refusal
from tests.storage_core.catalog.driving import ACCOUNT, CONTAINER, START_MS, Driver, with_container

UPLOAD = b"u" * 16
ETAG = etag_of(7)


def put(driver: Driver, name: str, body: bytes, conditions: Conditions = UNCONDITIONAL) -> str:
    command = PutBlob(ACCOUNT, CONTAINER, name, len(body), conditions=conditions)
    return driver.do(command, body).code


def put_block(driver: Driver, name: str, block_id: bytes, body: bytes) -> str:
    return driver.do(PutBlock(ACCOUNT, CONTAINER, name, block_id, len(body)), body).code


def put_list(driver: Driver, name: str, *choices: tuple[bytes, int]) -> str:
    blocks = tuple([BlockChoice(*choice) for choice in choices])
    return driver.do(PutBlockList(ACCOUNT, CONTAINER, name, blocks)).code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (CreateAccount(ACCOUNT, ()), "AccountAlreadyExists"),
        (CreateContainer("stranger", "new"), "ResourceNotFound"),
        (CreateContainer(ACCOUNT, CONTAINER), "ContainerAlreadyExists"),
        (DeleteContainer(ACCOUNT, "none"), "ContainerNotFound"),
        (SetContainerMetadata(ACCOUNT, "none", ()), "ContainerNotFound"),
        (PutBlob(ACCOUNT, "none", "a", 0), "ContainerNotFound"),
        (PutBlock(ACCOUNT, "none", "a", b"1", 0), "ContainerNotFound"),
        (PutBlockList(ACCOUNT, "none", "a", ()), "ContainerNotFound"),
        (Chunk(UPLOAD, 0, ACCOUNT, "none", "a"), "ContainerNotFound"),
        (DeleteBlob(ACCOUNT, "none", "a"), "ContainerNotFound"),
        (DeleteBlob(ACCOUNT, CONTAINER, "a"), "BlobNotFound"),
        (SetBlobMetadata(ACCOUNT, "none", "a", ()), "ContainerNotFound"),
        (SetBlobMetadata(ACCOUNT, CONTAINER, "a", ()), "BlobNotFound"),
        (SetBlobProperties(ACCOUNT, CONTAINER, "a", BlobProperties()), "BlobNotFound"),
    ],
)
def test_what_is_missing_or_in_the_way_is_named(command: Command, code: str) -> None:
    driver = with_container()

    assert driver.catalog.evaluate(command) == code
    assert driver.do(command).code == code
    assert code in commands.STATUS


def test_a_refused_command_changes_no_row_but_its_own_answer() -> None:
    driver = with_container()
    put(driver, "a", b"one")
    before = driver.read(CONTAINER, "a"), driver.catalog.segments()

    code = put(driver, "a", b"two", Conditions(if_none_match=("*",)))

    assert code == "BlobAlreadyExists"
    assert (driver.read(CONTAINER, "a"), driver.catalog.segments()) == before


def test_an_account_keeps_its_keys() -> None:
    driver = Driver()

    driver.do(CreateAccount(ACCOUNT, (b"first", b"second")))

    row = driver.view.account(ACCOUNT)
    assert row is not None and row.keys == (b"first", b"second") and row.created_ms == START_MS
    assert driver.view.account("stranger") is None


def test_a_limit_of_an_account_holds_over_restarts_until_it_is_lifted() -> None:
    driver = with_container()
    held = driver.catalog.limits

    assert driver.do(SetAccountLimit(ACCOUNT, 2_500)).code == ""
    assert held == {ACCOUNT: 2_500}, "who holds the table sees the change"
    driver.reopen()
    assert driver.catalog.limits == {ACCOUNT: 2_500}

    assert driver.do(SetAccountLimit(ACCOUNT, 0)).code == ""
    assert driver.do(SetAccountLimit(ACCOUNT, 0)).code == "", "lifting nothing is no error"
    assert driver.catalog.limits == {}
    driver.reopen()
    assert driver.catalog.limits == {}


def test_a_limit_needs_its_account_and_a_question_sets_none() -> None:
    driver = with_container()

    assert driver.do(SetAccountLimit("stranger", 5)).code == "ResourceNotFound"
    assert driver.catalog.evaluate(SetAccountLimit(ACCOUNT, 5)) == ""

    assert driver.catalog.limits == {}


def test_a_container_keeps_metadata_and_access_apart() -> None:
    driver = with_container()
    policy = AccessPolicy("read", "2026-01-01", "2027-01-01", "r")

    driver.do(SetContainerAccess(ACCOUNT, CONTAINER, "blob", (policy,)))
    outcome = driver.do(SetContainerMetadata(ACCOUNT, CONTAINER, (("k", "v"),)))

    row = driver.view.container(ACCOUNT, CONTAINER)
    assert row is not None
    assert (row.public_access, row.policies, row.metadata) == ("blob", (policy,), (("k", "v"),))
    assert row.etag == outcome.etag


def test_containers_are_listed_by_account_prefix_and_marker() -> None:
    driver = with_container()
    driver.do(CreateAccount("accounts", ()))
    driver.do(CreateContainer("accounts", "other"))
    for name in ("c1", "c2", "d1"):
        driver.do(CreateContainer(ACCOUNT, name))

    page = driver.view.containers(ACCOUNT, "", "", 3)
    rest = driver.view.containers(ACCOUNT, "", page.next_marker, 3)

    assert [row.name for row in page.items] == [CONTAINER, "c1", "c2"]
    assert ([row.name for row in rest.items], rest.next_marker) == (["d1"], "")
    assert [row.name for row in driver.view.containers(ACCOUNT, "c", "", 9).items] == ["c1", "c2"]


def test_a_container_made_again_shows_nothing_of_the_old_one() -> None:
    driver = with_container()
    put(driver, "a", b"old")
    put_block(driver, "b", b"1", b"old")

    driver.do(DeleteContainer(ACCOUNT, CONTAINER))
    driver.do(CreateContainer(ACCOUNT, CONTAINER))

    assert driver.read(CONTAINER, "a") is None
    assert driver.view.list_blobs(ACCOUNT, CONTAINER, "", "", "", 9).items == ()
    assert driver.view.uncommitted_blocks(ACCOUNT, CONTAINER, "b") is None
    assert put_list(driver, "b", (b"1", LATEST)) == "InvalidBlockList"
    driver.tidy()
    assert driver.catalog.segments() == {}


def test_replacing_a_blob_keeps_when_it_was_created() -> None:
    driver = with_container()
    put(driver, "a", b"one")
    driver.time_ms += 5000
    put(driver, "a", b"two")

    row = driver.view.blob(ACCOUNT, CONTAINER, "a")

    assert row is not None
    assert (row.created_ms, row.last_modified_ms) == (START_MS, START_MS + 5000)


def test_a_whole_blob_carries_the_checksum_of_its_record() -> None:
    driver = with_container()
    put(driver, "a", b"one")

    row = driver.view.blob(ACCOUNT, CONTAINER, "a")

    assert row is not None and row.crc64 == row.extents[0].crc and row.blocks == ()


def test_a_size_that_differs_from_what_came_is_refused() -> None:
    driver = with_container()

    assert driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 4), b"one").code == "InvalidBlobOrBlock"
    assert driver.do(PutBlock(ACCOUNT, CONTAINER, "a", b"1", 4), b"one").code == (
        "InvalidBlobOrBlock"
    )


def test_setting_properties_replaces_all_and_keeps_metadata() -> None:
    driver = with_container()
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 1, BlobProperties("x/y"), (("k", "v"),)), b"1")

    driver.do(SetBlobProperties(ACCOUNT, CONTAINER, "a", BlobProperties(cache_control="no-store")))

    row = driver.view.blob(ACCOUNT, CONTAINER, "a")
    assert row is not None and row.metadata == (("k", "v"),)
    assert (row.content_type, row.cache_control) == ("application/octet-stream", "no-store")


def test_a_blob_with_waiting_blocks_only_is_no_blob() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")

    assert driver.view.blob(ACCOUNT, CONTAINER, "a") is None
    assert driver.view.list_blobs(ACCOUNT, CONTAINER, "", "", "", 9).items == ()
    assert driver.do(DeleteBlob(ACCOUNT, CONTAINER, "a")).code == "BlobNotFound"
    waiting = driver.view.uncommitted_blocks(ACCOUNT, CONTAINER, "a")
    assert waiting is not None and [tuple(block) for block in waiting] == [(b"1", 3)]


def test_a_put_discards_blocks_that_wait_since_before_a_restart() -> None:
    """Nobody looks for waiting blocks where none wait, and who restarts counts them anew."""
    driver = with_container()
    put_block(driver, "a", b"1", b"one")
    driver.reopen()

    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"new")
    driver.do(PutBlob(ACCOUNT, CONTAINER, "b", 3), b"two")

    assert driver.view.uncommitted_blocks(ACCOUNT, CONTAINER, "a") is None
    assert sum(driver.catalog.segments().values()) == 6
    driver.reopen()
    put_block(driver, "b", b"1", b"one")
    assert put_list(driver, "b", (b"1", UNCOMMITTED)) == ""
    assert sum(driver.catalog.segments().values()) == 6


def test_a_list_sets_the_order_and_discards_what_it_does_not_name() -> None:
    driver = with_container()
    for block_id, body in ((b"1", b"one"), (b"2", b"two"), (b"3", b"three")):
        put_block(driver, "a", block_id, body)

    assert put_list(driver, "a", (b"3", LATEST), (b"1", UNCOMMITTED)) == ""

    assert driver.read(CONTAINER, "a") == b"threeone"
    assert driver.view.uncommitted_blocks(ACCOUNT, CONTAINER, "a") is None
    assert sum(driver.catalog.segments().values()) == 8


def test_latest_prefers_waiting_blocks_and_committed_does_not_see_them() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"old")
    put_list(driver, "a", (b"1", LATEST))

    put_block(driver, "a", b"1", b"new")
    put_list(driver, "a", (b"1", LATEST), (b"1", COMMITTED))

    assert driver.read(CONTAINER, "a") == b"newold"


def test_a_list_that_names_an_unknown_block_is_invalid() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")

    assert put_list(driver, "a", (b"2", LATEST)) == "InvalidBlockList"
    assert put_list(driver, "a", (b"1", COMMITTED)) == "InvalidBlockList"


def test_block_ids_of_one_blob_are_equally_long() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")

    assert put_block(driver, "a", b"22", b"two") == "InvalidBlobOrBlock"
    assert put_block(driver, "a", b"", b"two") == "InvalidBlobOrBlock"
    assert put_list(driver, "a", (b"1", LATEST), (b"22", LATEST)) == "InvalidBlobOrBlock"


def test_a_list_of_more_than_50_000_blocks_is_too_long() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")
    lines = [(b"1", UNCOMMITTED)] * commands.BLOCK_COUNT_MAX

    assert put_list(driver, "a", *lines, (b"1", UNCOMMITTED)) == "BlockListTooLong"
    assert put_list(driver, "a", *lines) == ""
    row = driver.view.blob(ACCOUNT, CONTAINER, "a")
    assert row is not None and row.size == 3 * commands.BLOCK_COUNT_MAX
    assert row.pieces(row.size - 4, 9)[-1].length == 3


def test_no_more_than_100_000_blocks_wait_for_one_blob() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")
    key = keys.stage(2, b"a")
    raw = driver.index.get(key)
    assert raw is not None
    full = rows.decode_stage(raw)._replace(block_count=commands.UNCOMMITTED_COUNT_MAX)
    driver.index.write([(key, rows.encode_stage(full))])

    assert put_block(driver, "a", b"2", b"two") == "BlockCountExceedsLimit"
    assert put_block(driver, "a", b"1", b"new") == ""


def test_putting_a_whole_blob_discards_its_waiting_blocks() -> None:
    driver = with_container()
    put_block(driver, "a", b"1", b"one")

    put(driver, "a", b"whole")

    assert put_list(driver, "a", (b"1", LATEST)) == "InvalidBlockList"
    assert sum(driver.catalog.segments().values()) == 5


def test_chunks_out_of_order_or_for_another_owner_are_refused() -> None:
    driver = with_container()
    driver.do(Chunk(UPLOAD, 0, ACCOUNT, CONTAINER, "a"), b"one")

    assert driver.do(Chunk(UPLOAD, 2, ACCOUNT, CONTAINER, "a"), b"two").code == "InvalidBlobOrBlock"
    assert driver.do(Chunk(UPLOAD, 1, ACCOUNT, CONTAINER, "b"), b"two").code == "InvalidBlobOrBlock"
    assert driver.do(Chunk(UPLOAD, 0, ACCOUNT, CONTAINER, "a"), b"one").code == ""
    assert sum(driver.catalog.segments().values()) == 3


@pytest.mark.parametrize(("count", "size"), [(1, 3), (2, 7), (2, 5)])
def test_an_upload_that_is_not_what_its_end_says_is_refused_and_dropped(
    count: int, size: int
) -> None:
    driver = with_container()
    for sequence in range(2):
        driver.do(Chunk(UPLOAD, sequence, ACCOUNT, CONTAINER, "a"), b"one")

    end = PutBlob(ACCOUNT, CONTAINER, "a", size, upload_id=UPLOAD, chunk_count=count)

    assert driver.catalog.evaluate(end) == ""
    assert driver.do(end).code == "InvalidBlobOrBlock"
    assert driver.catalog.segments() == {}


CONDITION_CASES = [
    (Conditions(), "", "", ""),
    (Conditions(if_match=("*",)), "", "", "ConditionNotMet"),
    (Conditions(if_match=(ETAG,)), "", "", "ConditionNotMet"),
    (Conditions(if_match=(ETAG.strip('"'),)), "", "", "ConditionNotMet"),
    (Conditions(if_match=('"0x1"', ETAG)), "", "", "ConditionNotMet"),
    (Conditions(if_match=('"0x1"',)), "ConditionNotMet", "ConditionNotMet", "ConditionNotMet"),
    (Conditions(if_none_match=("*",)), "NotModified", "BlobAlreadyExists", ""),
    (Conditions(if_none_match=(ETAG,)), "NotModified", "ConditionNotMet", ""),
    (Conditions(if_none_match=('"0x1"',)), "", "", ""),
    (Conditions(if_modified_since_ms=START_MS - 1000), "", "", ""),
    (Conditions(if_modified_since_ms=START_MS), "NotModified", "ConditionNotMet", ""),
    (Conditions(if_modified_since_ms=START_MS + 999), "NotModified", "ConditionNotMet", ""),
    (Conditions(if_unmodified_since_ms=START_MS), "", "", ""),
    (Conditions(if_unmodified_since_ms=START_MS - 1), "ConditionNotMet", "ConditionNotMet", ""),
    (Conditions((ETAG,), None, None, START_MS - 9000), "", "", "ConditionNotMet"),
    (Conditions(None, ('"0x1"',), START_MS + 9000, None), "", "", ""),
]


@pytest.mark.parametrize(("conditions", "read", "replace", "create"), CONDITION_CASES)
def test_conditions_decide_as_documented(
    conditions: Conditions, read: str, replace: str, create: str
) -> None:
    # 999 ms into its second: HTTP dates can't say so, and the comparison must not see it.
    modified_ms = START_MS + 999

    assert read_refusal(conditions, ETAG, modified_ms) == read
    assert create_refusal(conditions, ETAG, modified_ms) == replace
    assert write_refusal(conditions, ETAG, modified_ms) == ("ConditionNotMet" if read else "")
    assert create_refusal(conditions, None, 0) == create


def test_a_listing_leaps_over_what_a_delimiter_folds() -> None:
    driver = with_container()
    for number in range(600):
        put(driver, "many/%03d" % number, b"")
    for name in ("a", "many", "many0", "z/1"):
        put(driver, name, b"")

    page = driver.view.list_blobs(ACCOUNT, CONTAINER, "", "/", "", 9)
    rest = driver.view.list_blobs(ACCOUNT, CONTAINER, "", "/", "many/500", 1)

    assert [item.name for item in page.items] == ["a", "many", "many0"]
    assert (page.prefixes, page.next_marker) == (("many/", "z/"), "")
    assert (rest.prefixes, rest.next_marker) == (("many/",), "many0")
