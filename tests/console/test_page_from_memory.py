"""On the way of a page nothing is read from a disk: no file, no table, and no module come late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.cluster import ROOT
from tests.console.receivers import http_receiver, smtp_receiver


def test_the_first_page_of_a_process_opens_no_file_and_imports_nothing(tmp_path: Path) -> None:
    with http_receiver() as webhook, smtp_receiver() as mailbox:
        environment = {
            **os.environ,
            "HOLDFAST_HOME": str(tmp_path),
            "HOLDFAST_PAGE_WEBHOOK_URL": webhook.url.replace("127.0.0.1", "localhost"),
            "HOLDFAST_PAGE_SMTP_URL": f"smtp://localhost:{mailbox.port}",
            "HOLDFAST_PAGE_SMTP_TO": "team@example.org",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.console.page_from_memory"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sent"] == ["mail ", "webhook "]
    assert len(webhook.got) == 1
    assert len(mailbox.letters) == 2
    assert found["seen"] == []
