"""Accounts and containers: who may hold blobs, and where.

A container is a name for a generation: the index of the entry that created it. Deleting it removes
the name at once and leaves the generation to the reaper, so a container created again under the
same name starts empty, however many blobs the old one still has to lose.

Read next: `blobs`; `garbage` for the reaper.
"""

from __future__ import annotations

from typing import Union

from storage_core.catalog import keys, rows
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.commands import (
    CreateAccount,
    CreateContainer,
    DeleteContainer,
    SetAccountLimit,
    SetContainerAccess,
    SetContainerMetadata,
)
from storage_core.catalog.conditions import write_refusal
from storage_core.catalog.rows import ContainerRow


def create_account(batch: Batch, stamp: Stamp, command: CreateAccount) -> str:
    key = keys.account(command.account)
    if batch.get(key) is not None:
        return "AccountAlreadyExists"
    batch.put(key, rows.encode_account(stamp.log_index, stamp.time_ms, command.keys))
    return ""


def limit_account(batch: Batch, stamp: Stamp, command: SetAccountLimit) -> str:
    if batch.get(keys.account(command.account)) is None:
        return "ResourceNotFound"
    key = keys.account_limit(command.account)
    if command.requests_per_ks:
        batch.put(key, rows.encode_account_limit(command.requests_per_ks))
    elif batch.get(key) is not None:
        batch.delete(key)
    batch.limits[command.account] = command.requests_per_ks
    return ""


def create(batch: Batch, stamp: Stamp, command: CreateContainer) -> str:
    if batch.get(keys.account(command.account)) is None:
        return "ResourceNotFound"
    if batch.container(command.account, command.container) is not None:
        return "ContainerAlreadyExists"
    row = ContainerRow(
        name=command.container,
        etag_index=stamp.log_index,
        created_ms=stamp.time_ms,
        last_modified_ms=stamp.time_ms,
        metadata=command.metadata,
        public_access=command.public_access,
        policies=(),
        generation=stamp.log_index,
    )
    batch.put_container(command.account, row, command.container)
    return ""


def delete(batch: Batch, stamp: Stamp, command: DeleteContainer) -> str:
    row = batch.container(command.account, command.container)
    if row is None:
        return "ContainerNotFound"
    code = write_refusal(command.conditions, row.etag, row.last_modified_ms)
    if code:
        return code
    batch.put_container(command.account, None, command.container)
    batch.put(keys.garbage(keys.CONTAINER_GARBAGE, row.generation), b"")
    return ""


def change(
    batch: Batch, stamp: Stamp, command: Union[SetContainerMetadata, SetContainerAccess]
) -> str:
    row = batch.container(command.account, command.container)
    if row is None:
        return "ContainerNotFound"
    code = write_refusal(command.conditions, row.etag, row.last_modified_ms)
    if code:
        return code
    row = row._replace(etag_index=stamp.log_index, last_modified_ms=stamp.time_ms)
    if isinstance(command, SetContainerMetadata):
        row = row._replace(metadata=command.metadata)
    else:
        row = row._replace(public_access=command.public_access, policies=command.policies)
    batch.put_container(command.account, row, command.container)
    return ""
