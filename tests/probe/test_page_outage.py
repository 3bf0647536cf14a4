"""All three nodes stand still: a page leaves within a quarter of a minute, by every channel."""

from __future__ import annotations

import os
import signal

from tests.probe.paging import paged_fleet, wait_until

PAGE_S_MAX = 15.0


def test_a_page_leaves_within_15_s_of_all_nodes_standing_still() -> None:
    with paged_fleet() as paged:
        nodes = [paged.fleet.pid(f"node-{number}") for number in range(3)]
        assert not paged.pages()

        for pid in nodes:
            os.kill(pid, signal.SIGSTOP)
        try:
            webhook_s = wait_until(lambda: bool(paged.pages()), PAGE_S_MAX, "a page by webhook")
            mail_s = webhook_s + wait_until(
                lambda: bool(paged.letters()), PAGE_S_MAX - webhook_s, "a page by mail"
            )
        finally:
            for pid in nodes:
                os.kill(pid, signal.SIGCONT)

        print(
            f"all nodes stopped: paged by webhook {webhook_s:.1f} s, by mail {mail_s:.1f} s after"
        )
        page = paged.pages()[0].json["data"]
        assert page["severity"] == "page"
        assert page["headline"].startswith(("No node answers", "The canary fails"))
