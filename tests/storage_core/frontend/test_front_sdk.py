"""The vendor's own client, unmodified, sync and async, against a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, BlobServiceClient, ContentSettings
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient

from storage_core.frontend.limits import KIB, MIB
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.solo import ACCOUNT


@pytest.fixture
def service(serving: Serving) -> Iterator[BlobServiceClient]:
    client = BlobServiceClient.from_connection_string(serving.connection_string, retry_total=0)
    with client:
        yield client


@pytest.mark.parametrize("size", [0, KIB, 10 * MIB, 200 * MIB])
def test_what_goes_up_comes_down(service: BlobServiceClient, size: int) -> None:
    data = os.urandom(size)
    blob = service.get_blob_client("box", "some/name")

    blob.upload_blob(data, max_concurrency=2)

    assert blob.download_blob(max_concurrency=2).readall() == data
    assert blob.get_blob_properties().size == size


@pytest.mark.parametrize("size", [KIB, 10 * MIB])
def test_validated_content_comes_down_validated(service: BlobServiceClient, size: int) -> None:
    data = os.urandom(size)
    blob = service.get_blob_client("box", "checked")

    blob.upload_blob(data, validate_content=True)

    assert blob.download_blob(validate_content=True).readall() == data


def test_a_range_is_read(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "ranged")
    data = os.urandom(3 * MIB)
    blob.upload_blob(data)

    part = blob.download_blob(offset=1_000_000, length=70_000, validate_content=True).readall()

    assert part == data[1_000_000:1_070_000]


def test_a_hierarchy_is_listed(service: BlobServiceClient) -> None:
    box = service.get_container_client("box")
    for name in ("a/1", "a/2", "b", "c/d/e"):
        box.upload_blob(name, b"data", metadata={"of": name})

    assert sorted(item.name for item in box.walk_blobs(delimiter="/")) == ["a/", "b", "c/"]
    assert [item.name for item in box.walk_blobs("a/", delimiter="/")] == ["a/1", "a/2"]
    pages = box.list_blobs(include=["metadata"], results_per_page=3).by_page()
    sizes = [[(item.name, item.metadata["of"]) for item in page] for page in pages]
    assert [len(page) for page in sizes] == [3, 1]
    assert all(name == of for page in sizes for name, of in page)
    assert list(box.list_blob_names()) == ["a/1", "a/2", "b", "c/d/e"]


def test_conditions_are_kept(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "once")
    first = blob.upload_blob(b"1")

    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"2")
    second = blob.upload_blob(b"2", overwrite=True)
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(
            b"3",
            overwrite=True,
            etag=first["etag"],
            match_condition=MatchConditions.IfNotModified,
        )
    with pytest.raises(HttpResponseError) as caught:
        blob.download_blob(etag=second["etag"], match_condition=MatchConditions.IfModified)
    assert caught.value.status_code == 304


def test_metadata_and_settings_are_kept(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "described")
    settings = ContentSettings(content_type="text/plain", cache_control="no-cache")
    blob.upload_blob(b"data", metadata={"Mixed": "Case"}, content_settings=settings)

    assert blob.get_blob_properties().metadata == {"Mixed": "Case"}
    assert blob.get_blob_properties().content_settings.content_type == "text/plain"
    blob.set_blob_metadata({"other": "value"})
    blob.set_http_headers(ContentSettings(content_language="en"))
    properties = blob.get_blob_properties()
    assert properties.metadata == {"other": "value"}
    assert properties.content_settings.content_language == "en"
    assert properties.content_settings.cache_control is None


def test_blocks_are_staged_listed_and_committed(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "blocks")
    for number in range(3):
        blob.stage_block(f"{number:03}", b"%d" % number, validate_content=True)
    assert [block.size for block in blob.get_block_list("all")[1]] == [1, 1, 1]

    blob.commit_block_list([BlobBlock("002"), BlobBlock("000")])

    assert blob.download_blob().readall() == b"20"
    assert [block.id for block in blob.get_block_list()[0]] == ["002", "000"]


def test_what_is_deleted_is_gone(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "short-lived")
    blob.upload_blob(b"data")

    blob.delete_blob()

    assert not blob.exists()
    with pytest.raises(ResourceNotFoundError):
        blob.download_blob()
    service.delete_container("box")
    assert [container.name for container in service.list_containers()] == []
    assert not service.get_container_client("box").exists()


def test_the_service_is_described(service: BlobServiceClient) -> None:
    assert service.get_account_information()["account_kind"] == "StorageV2"
    assert service.get_service_properties()["cors"] == []
    assert (
        service.get_container_client("box").get_container_access_policy()["signed_identifiers"]
        == []
    )


def test_what_is_not_in_this_release_says_so(service: BlobServiceClient) -> None:
    blob = service.get_blob_client("box", "leased")
    blob.upload_blob(b"data")

    with pytest.raises(HttpResponseError) as caught:
        blob.acquire_lease()

    assert "UnsupportedQueryParameter" in str(caught.value)


def test_a_wrong_key_is_an_authentication_error(serving: Serving) -> None:
    url = f"http://127.0.0.1:{serving.port}/{ACCOUNT}"
    with (
        BlobServiceClient(url, {"account_name": ACCOUNT, "account_key": "AAAA"}) as client,
        pytest.raises(ClientAuthenticationError),
    ):
        next(client.list_containers())


# aiohttp would rather have a file; the vendor's client gives it bytes.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_the_async_client_does_the_same(serving: Serving) -> None:
    async def run() -> None:
        text = serving.connection_string
        async with AsyncBlobServiceClient.from_connection_string(text, retry_total=0) as service:
            box = service.get_container_client("box")
            data = os.urandom(10 * MIB)
            await asyncio.gather(*[box.upload_blob(f"n{n}", data[:KIB]) for n in range(20)])
            await box.upload_blob("large", data, validate_content=True, max_concurrency=4)
            stream = await box.download_blob("large", max_concurrency=4)
            assert await stream.readall() == data
            assert len([name async for name in box.list_blob_names()]) == 21
            await box.delete_blob("large")
            assert not await box.get_blob_client("large").exists()

    asyncio.run(run())
