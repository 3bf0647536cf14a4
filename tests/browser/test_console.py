from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState, expect

from tests.browser.conftest import SEE_VIOLATIONS
from tests.browser.live import LiveFleet

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LOOKS = [(width, scheme) for width in (1440, 390) for scheme in THEMES]
LIVE_MS_MAX = 20_000
READS, WRITES = 6, 7
"""Columns of the nodes' table on the first page, counted after the node's name."""
SHIFT_MAX = 0.02  # Web Vitals call 0.1 good.


@pytest.fixture(scope="module")
def kept_trace(browser: Browser, session: StorageState, fleet: LiveFleet) -> str:
    """The address of a write's trace; the demo traffic makes one within seconds."""
    context = browser.new_context(storage_state=session)
    page = context.new_page()
    first = page.locator("main tbody a").first
    for _ in range(20):
        page.goto(f"{fleet.address}/traces?operation=PutBlob")
        if first.count():
            break
        page.wait_for_timeout(500)
    address = first.get_attribute("href")
    context.close()
    assert address
    return address


@pytest.fixture(scope="module")
def profile(fleet: LiveFleet) -> dict[str, str]:
    """A profile of a node that serves: the addresses of its run and of its flame graph."""
    out = fleet.manage("profile", "node-0", "--seconds", "2", "--wait")
    found = dict(re.findall(r"http://[^/]+(/(runs|profiles)/\S+)", out))
    return {kind: path for path, kind in found.items()}


def listen(page: Page, complaints: list[str]) -> None:
    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def check(browser: Browser, session: StorageState, address: str, pictures: Path, name: str) -> None:
    """One page in every look: nothing complains, nothing sticks out, nothing jumps."""
    for width, scheme in LOOKS:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            storage_state=session,
        )
        context.add_init_script(SEE_VIOLATIONS)
        page = context.new_page()
        complaints: list[str] = []
        listen(page, complaints)
        page.goto(address)
        expect(page.locator("#badge .state")).to_have_text("live", timeout=LIVE_MS_MAX)
        expect(page.locator("html")).to_have_attribute(
            "data-live-events", re.compile("[2-9]|[0-9]{2}"), timeout=LIVE_MS_MAX
        )
        page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
        where = f"{name} at {width} {scheme}"
        assert not complaints, f"{where}: {complaints}"
        assert page.evaluate("window.violations") == [], where
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where
        shifted = page.evaluate("window.shifted.join('\\n')")
        assert page.evaluate("window.shift") <= SHIFT_MAX, f"{where}:\n{shifted}"
        assert page.locator("h1").count() == 1, where
        context.close()


@pytest.mark.parametrize("path", ["/", "/cluster", "/traces", "/profiles", "/runs", "/settings"])
def test_a_page_is_quiet_narrow_and_still_in_every_look(
    browser: Browser, session: StorageState, fleet: LiveFleet, pictures: Path, path: str
) -> None:
    check(browser, session, fleet.address + path, pictures, path.strip("/") or "now")


def test_a_trace_is_drawn_with_the_stage_it_waited_for(
    browser: Browser, session: StorageState, fleet: LiveFleet, pictures: Path, kept_trace: str
) -> None:
    check(browser, session, fleet.address + kept_trace, pictures, "trace")

    context = browser.new_context(storage_state=session)
    page = context.new_page()
    page.goto(fleet.address + kept_trace)
    assert re.match(r"PutBlob: \d+ in .*ms, \d+ % \w+", page.locator("h1").inner_text())
    assert page.locator(".lane-svg").count() > 5
    context.close()


def test_a_profile_and_its_run_are_drawn(
    browser: Browser,
    session: StorageState,
    fleet: LiveFleet,
    pictures: Path,
    profile: dict[str, str],
) -> None:
    check(browser, session, fleet.address + profile["runs"], pictures, "run")
    check(browser, session, fleet.address + profile["profiles"], pictures, "profile")


def test_the_flame_graph_zooms_and_searches_by_keyboard(
    page: Page, fleet: LiveFleet, profile: dict[str, str]
) -> None:
    page.goto(fleet.address + profile["profiles"])
    line = page.locator("[data-flame-line]")
    expect(line).to_have_text(re.compile(r"node-0: \d+ samples, 100\.0 %"))

    page.locator(".flame-canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(line).not_to_have_text(re.compile("^node-0:"))

    page.keyboard.press("0")
    expect(line).to_have_text(re.compile("^node-0:"))
    page.locator("#flame-search").fill("run")
    expect(line).to_have_text(re.compile("% of samples in"))


def test_live_values_move_without_a_reload(page: Page, fleet: LiveFleet) -> None:
    page.goto(fleet.address + "/cluster")
    committed = page.locator("#node-0 td").nth(3)
    before = committed.inner_text()

    expect(committed).not_to_have_text(before, timeout=LIVE_MS_MAX)


def test_keys_go_to_pages_open_help_and_pause(page: Page, fleet: LiveFleet) -> None:
    page.goto(fleet.address + "/")
    expect(page.locator("#badge .state")).to_have_text("live", timeout=LIVE_MS_MAX)

    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press(".")
    expect(page.locator("#badge")).to_contain_text("paused, as of")
    page.keyboard.press("t")
    expect(page.locator("#chart-requests .chart-table table")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url(fleet.address + "/cluster")


def test_a_lost_connection_is_called_stale_and_comes_back(page: Page, fleet: LiveFleet) -> None:
    page.goto(fleet.address + "/")
    expect(page.locator("#badge .state")).to_have_text("live", timeout=LIVE_MS_MAX)

    # A silent network, not a closed one: the page must find out by its own clock.
    page.evaluate("""
      window.hush = (event) => { event.stopImmediatePropagation(); event.preventDefault(); };
      window.addEventListener("htmx:before:sse:message", window.hush, true);
    """)
    expect(page.locator("#badge")).to_contain_text(re.compile(r"stale \d+ s"), timeout=LIVE_MS_MAX)
    page.evaluate('window.removeEventListener("htmx:before:sse:message", window.hush, true)')

    expect(page.locator("#badge .state")).to_have_text("live", timeout=LIVE_MS_MAX)


def test_without_scripts_the_pages_and_the_sign_in_still_work(
    browser: Browser, fleet: LiveFleet
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    address, _, code = fleet.sign_in_link().partition("#")

    page.goto(address)
    page.get_by_label("Code, the part of the link after #").fill(code)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_be_visible()
    page.goto(fleet.address + "/cluster")

    expect(page.locator("h1")).to_contain_text("leads in term")
    context.close()


def test_the_charts_draw_lines_in_the_text_colour(page: Page, fleet: LiveFleet) -> None:
    """A canvas that is drawn with a stale pen looks right to every other check."""
    page.goto(fleet.address + "/")
    canvas = page.locator("#chart-requests canvas")
    expect(canvas).to_be_visible(timeout=LIVE_MS_MAX)

    dark_pixels = canvas.evaluate("""(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let dark = 0;
      for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 200 && data[at] < 60 && data[at + 1] < 60) dark += 1;
      return dark;
    }""")

    assert dark_pixels > 5


def test_what_clients_do_is_counted_on_the_first_page(page: Page, fleet: LiveFleet) -> None:
    """By the nodes themselves: no telemetry is between them and the page."""
    page.goto(fleet.address)
    expect(page.locator("#badge .state")).to_have_text("live", timeout=LIVE_MS_MAX)
    for column in (READS, WRITES):
        cells = page.locator(f"tr[id^=now-node] td:nth-of-type({column})")
        before = cells.all_inner_texts()
        assert len(before) == 3
        assert all(re.fullmatch(r"[\d,]+", text) for text in before), before
        expect(cells).not_to_have_text(before, timeout=LIVE_MS_MAX)
