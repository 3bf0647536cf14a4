"""A user's program during a drill: the vendor's SDK at its default settings, in its own process.

What a team that stores blobs sees of a failover is not what a raw client sees: their SDK retries,
and first waits for 15 s. So one such program writes through the front door all the time and prints
one line per write, with times of the machine's monotonic clock, which all processes share. It ends
when its standard input does.
"""

from __future__ import annotations

import base64
import json
import select
import sys
import time

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient

from storage_core.config import EMULATOR_ACCOUNT, EMULATOR_KEY, HOST

PACE_S = 0.1
WRITES_MAX = 6_000
BODY = b"written by the vendor's client\n" * 8


def main(port: int, container: str) -> None:
    """Write until standard input is closed."""
    service = BlobServiceClient(
        f"http://{HOST}:{port}/{EMULATOR_ACCOUNT}",
        credential={
            "account_name": EMULATOR_ACCOUNT,
            "account_key": base64.b64encode(EMULATOR_KEY).decode(),
        },
    )
    blobs = service.get_container_client(container)
    for number in range(WRITES_MAX):
        began_ns = time.monotonic_ns()
        error = ""
        try:
            blobs.upload_blob(f"s-{number % 50}", BODY, overwrite=True)
        except (AzureError, OSError) as failure:
            error = type(failure).__name__
        line = {"began_ns": began_ns, "ended_ns": time.monotonic_ns(), "error": error}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        if select.select([sys.stdin], [], [], PACE_S)[0]:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
