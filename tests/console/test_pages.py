from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from console.live.sources import observatory
from runbooks.models import Run
from tests.console.twins import EVERYTHING, FleetTwin, QueryTwin

pytestmark = pytest.mark.django_db

PAGES = ("/", "/cluster", "/traces", "/profiles", "/runs", "/slos", "/settings")
BLIND = {
    "/": "Can&#x27;t see the fleet: telemetry and nodes don&#x27;t answer",
    "/cluster": "No node answers",
    "/traces": "Traces can&#x27;t be seen: telemetry doesn&#x27;t answer",
    "/profiles": "Profiles can&#x27;t be seen: telemetry doesn&#x27;t answer",
}
TEMPLATES = Path(__file__).parents[2] / "console" / "templates"
MODULES = Path(__file__).parents[2] / "console" / "static" / "js"


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_renders_with_everything_down(
    client: Client, everything_down: None, path: str
) -> None:
    page = text_of(client, path)

    assert "state-ok" not in page.replace('state-ok">', "") or path == "/settings"
    assert BLIND.get(path, "") in page


@pytest.mark.parametrize("down", sorted(EVERYTHING))
def test_each_part_that_is_down_is_named_and_the_rest_is_shown(
    client: Client, fleet: FleetTwin, down: str
) -> None:
    fleet.down = {down}

    page = text_of(client, "/")

    assert f"blind: {down}" in page
    assert page.count(">up<") + page.count(" up ") >= (2 if down.startswith("node") else 3)


def test_a_healthy_fleet_is_called_healthy_with_its_numbers(client: Client) -> None:
    page = text_of(client, "/")

    assert "Healthy: serving 214/s, write p99 4.10\u202fms, 3 of 3 nodes agree" in page
    assert ">live<" in page


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_sign_in(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nothing", "/healthz"])
def test_every_answer_carries_the_content_security_policy(client: Client, path: str) -> None:
    policy = client.get(path)["Content-Security-Policy"]

    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_inline_script_or_style(client: Client, path: str) -> None:
    page = text_of(client, path)

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page)


def test_templates_have_no_inline_script_or_style_even_unrendered() -> None:
    for template in TEMPLATES.rglob("*.html"):
        source = template.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"", source), template


def test_our_modules_never_write_markup_or_evaluate_text() -> None:
    for module in MODULES.glob("*.js"):
        source = module.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|Function\(", source)
        assert source.startswith("/*"), f"{module.name} tells no story"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_painted_only_when_all_of_it_is_there(client: Client, path: str) -> None:
    """Half a page, painted by a busy machine, jumps when the other half comes."""
    page = text_of(client, path)

    waits_for = re.findall(r'<link rel="expect" href="#(\w+)" blocking="render">', page)

    assert len(waits_for) == 1
    assert page.index(f'id="{waits_for[0]}"') > page.index("</main>")


def test_each_page_has_one_h1_and_names_itself_after_it(client: Client) -> None:
    for path in PAGES:
        page = text_of(client, path)
        heading = re.search(r"<h1[^>]*>(.*?)</h1>", page)
        assert page.count("<h1") == 1 and heading is not None
        assert f"<title>{heading[1]} · Holdfast</title>" in page


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/", 12),
        ("/cluster", 3),
        ("/runs", 4),
        ("/settings", 3),
        ("/settings/audit", 4),
        ("/settings/people", 4),
    ],
)
def test_list_pages_need_as_many_queries_for_many_rows_as_for_few(
    client: Client,
    make_run: Callable[..., Run],
    django_assert_num_queries: Any,
    path: str,
    queries: int,
) -> None:
    for number in range(12):
        make_run(f"node-{number}")

    with django_assert_num_queries(queries):
        client.get(path)


def test_a_page_looks_once_however_many_are_opened(client: Client, fleet: FleetTwin) -> None:
    for path in ("/", "/cluster", "/runs", "/"):
        client.get(path)

    assert fleet.looks.count("telemetry") == 1


def test_an_unknown_address_and_an_unknown_run_say_so(client: Client) -> None:
    for path in ("/nothing", "/runs/99", "/traces/" + "0" * 32, "/profiles/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "<h1" in answer.content.decode()


def test_a_failed_request_shows_no_traceback(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.raise_request_exception = False
    monkeypatch.setattr(observatory, "picture", None)

    answer = client.get("/")

    assert answer.status_code == 500
    assert "TypeError" not in answer.content.decode()


def test_what_a_stranger_wrote_is_shown_as_text(client: Client, query: QueryTwin) -> None:
    query.traces_kept = [
        {
            "trace_id": "ab" * 16,
            "root_name": "<script>alert(1)</script>",
            "node": "n",
            "start_ms": 1,
            "duration_ms": 2.0,
            "reason": "slow",
            "status": "error",
        }
    ]

    page = text_of(client, "/traces")

    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("asked", "field"), [("min_ms=fast", "Slower than"), ("range=7", "Range: one of")]
)
def test_a_bad_filter_is_named_with_its_limit(client: Client, asked: str, field: str) -> None:
    answer = client.get(f"/traces?{asked}")

    assert answer.status_code == 400
    assert field in answer.content.decode()


@pytest.mark.parametrize(
    ("text", "where"),
    [("node-1", "/cluster#node-1"), ("run 88", "/runs/88"), ("AB" * 16, "/traces/" + "ab" * 16)],
)
def test_search_goes_to_what_the_text_names(client: Client, text: str, where: str) -> None:
    assert client.get("/search", {"q": text})["Location"] == where


def test_the_demo_switch_writes_its_flag_and_an_audit_row(client: Client, settings: Any) -> None:
    flag = settings.HOLDFAST.run / "demo.paused"

    client.post("/demo", {"want": "pause"})
    assert flag.exists()
    assert "Resume demo traffic" in text_of(client, "/")

    client.post("/demo", {"want": "resume"})
    assert not flag.exists()
    assert "pause demo traffic" in text_of(client, "/settings/audit")
