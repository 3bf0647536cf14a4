"""`manage.py blob accounts add NAME` and `list`: tenants of the store.

A key is shown once, when its account is made: it lies in the replicated log, and nothing prints it
again.

Exit codes: 0 done, 1 refused or no leader, 2 misunderstood.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from storage_core.client import AccountStatus, FleetClient
from storage_core.config import HOST, SettingError, Settings
from storage_core.errors import NodeUnreachable, OrderRefused


def main(argv: Sequence[str]) -> int:
    """See the module."""
    arguments = _parser().parse_args(list(argv))
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    client = FleetClient(settings)
    try:
        if arguments.order == "add":
            shown = made(settings, arguments.name, client.add_account(arguments.name))
            lines = [f"account            {shown['name']}", f"key                {shown['key']}"]
            lines.append(f"connection string  {shown['connection_string']}")
            lines.append("The key is not shown again.")
        else:
            accounts = client.accounts()
            shown = {"accounts": [_as_json(account) for account in accounts]}
            lines = [describe(account) for account in accounts]
    except (NodeUnreachable, OrderRefused) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(shown, indent=2) if arguments.json else "\n".join(lines))
    sys.stdout.write("\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py blob", description="The store's tenants.")
    nouns = parser.add_subparsers(dest="noun", required=True)
    orders = nouns.add_parser("accounts").add_subparsers(dest="order", required=True)
    add = orders.add_parser("add", help="make an account and print its key once")
    add.add_argument("name", metavar="NAME", help="3 to 24 lower-case letters and digits")
    for order in (add, orders.add_parser("list", help="accounts and their limits")):
        order.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def made(settings: Settings, name: str, key: str) -> dict[str, Any]:
    """What a client needs to know of a new account."""
    endpoint = f"http://{HOST}:{settings.blob_port}/{name}"
    return {
        "name": name,
        "key": key,
        "connection_string": (
            f"DefaultEndpointsProtocol=http;AccountName={name};AccountKey={key};"
            f"BlobEndpoint={endpoint};"
        ),
    }


def describe(account: AccountStatus) -> str:
    """One line of the list."""
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(account.created_ms / 1000))
    limit = "no limit" if account.ops_per_s is None else f"{account.ops_per_s:g} requests/s a node"
    return f"{account.name:<24} since {since}, {limit}"


def _as_json(account: AccountStatus) -> dict[str, Any]:
    return {
        "name": account.name,
        "created_ms": account.created_ms,
        "ops_per_s": account.ops_per_s,
    }
