"""The disk under the home stands still, and with it all that writes there: a page leaves anyway.

Nodes, telemetry, the console's database, the log files and the beats of every part lie on that
disk. Left out where this process may not mount (see `tests/apt.py`).
"""

from __future__ import annotations

from tests.probe.paging import paged_fleet, wait_until
from tests.probe.stalled_disk import StallableDisk

PAGE_S_MAX = 30.0
NEXT_S_MAX = 10.0
CHAIN_WAIT_S = 5
WRITTEN_S_MAX = 30.0


def test_a_page_leaves_within_30_s_of_the_whole_disk_standing_still() -> None:
    with (
        StallableDisk() as disk,
        paged_fleet(home=disk.folder / "var", page_wait_s=CHAIN_WAIT_S) as paged,
    ):
        assert not paged.pages()

        disk.freeze()
        try:
            webhook_s = wait_until(lambda: bool(paged.pages()), PAGE_S_MAX, "a page by webhook")
            mail_s = webhook_s + wait_until(
                lambda: bool(paged.letters()), PAGE_S_MAX - webhook_s, "a page by mail"
            )
            wait_until(lambda: len(paged.pages()) > 1, NEXT_S_MAX, "the next step of the chain")
        finally:
            disk.thaw()

        print(f"disk stalled: paged by webhook {webhook_s:.1f} s, by mail {mail_s:.1f} s after")
        headline = paged.pages()[0].json["data"]["headline"]
        wait_until(
            lambda: headline in paged.fleet.manage("incident", "list", "--all", "--json").stdout,
            WRITTEN_S_MAX,
            "what was decided to be written down",
        )
