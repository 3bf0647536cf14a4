"""The table of access against every route that exists, with every method, as everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import ResolverMatch
from django.utils import timezone

from console.access import RULES, STRANGER, Answer, Caller, api, decide, page, person, program
from console.accounts.actions import make_api_token, revoke_api_token
from console.accounts.roles import Role
from console.accounts.scopes import Scope
from console.gate import Gate
from runbooks.models import Run
from tests.console.conftest import make_person
from tests.console.examples import EXAMPLES

SIGN_IN = "/sign-in?next="
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from patterns(each)
        else:
            yield each


def route_names() -> set[str]:
    return {pattern.name or f"({pattern.pattern})" for pattern in patterns(get_resolver())}


def address(name: str) -> str:
    return reverse(name, kwargs=dict(EXAMPLES.get(name, {})))


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    assert route_names() - set(RULES) == set(), "routes that nobody may use: add a line to RULES"
    assert set(RULES) - route_names() == set(), "rules for routes that are not there"


def test_every_name_belongs_to_one_route() -> None:
    names = [pattern.name for pattern in patterns(get_resolver())]

    assert len(names) == len(set(names))


@dataclass(frozen=True)
class Asker:
    """One column of the matrix: who, with which credential."""

    caller: Caller
    headers: dict[str, str]
    client: Client


ROLE_NAMES = tuple(role.word for role in Role)
WORKING_TOKENS = ("token without scope", "token with scope", "admin token")
ASKERS = (
    "stranger",
    *ROLE_NAMES,
    *WORKING_TOKENS,
    "revoked token",
    "expired token",
    "unknown token",
)


def token(scopes: Iterable[Scope], *, days: int) -> str:
    ends = timezone.now() + timedelta(days=days)
    return make_api_token("t", scopes=sorted(scopes), expires_at=ends, made_by="ada")


def asker(kind: str, name: str) -> Asker:
    """Who asks. A token "with" has every scope of the route, one "without" all the others."""
    client = Client(raise_request_exception=False)
    if kind == "stranger":
        return Asker(STRANGER, {}, client)
    if kind in ROLE_NAMES:
        client.force_login(make_person(kind, kind))
        return Asker(person(kind, Role.of_word(kind)), {}, client)
    of_route = {need.scope for need in RULES[name].needs.values() if need.scope}
    held = {
        "token without scope": set(Scope) - of_route - {Scope.ADMIN},
        "admin token": {Scope.ADMIN},
    }.get(kind, of_route or {Scope.READ})
    secret = token(held, days=-1 if kind == "expired token" else 1)
    if kind == "revoked token":
        revoke_api_token("t", now=timezone.now())
    if kind == "unknown token":
        secret += "x"
    # On pages no token is looked at: whoever brings one is a stranger there.
    is_known = kind in WORKING_TOKENS and RULES[name].is_api
    caller = program("t", frozenset(held)) if is_known else STRANGER
    return Asker(caller, {"Authorization": f"Bearer {secret}"}, client)


def seen(answer: Any) -> Answer:
    """The decision that an answer speaks of; a view's own refusal means that it was let in."""
    body = b"" if answer.streaming else answer.content
    if answer.status_code == 405:
        return Answer.NOT_ANSWERED
    if answer.status_code == 401 or answer.headers.get("Location", "").startswith(SIGN_IN):
        return Answer.WHO
    if answer.status_code == 403 and b"role needed" in body:
        return Answer.ROLE
    if answer.status_code == 403 and b"lacks the scope" in body:
        return Answer.SCOPE
    return Answer.YES


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ASKERS)
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_route_answers_everybody_as_the_table_says(name: str, kind: str) -> None:
    rule = RULES[name]
    asks = asker(kind, name)
    for method in METHODS:
        answer = asks.client.generic(method, address(name), headers=asks.headers)

        assert answer.status_code != 500, (method, name)
        # HEAD has no body to tell a role from a scope by; its status is GET's.
        if method != "HEAD":
            assert seen(answer) is decide(rule, method, asks.caller), (method, name, kind)
        if seen(answer) is Answer.NOT_ANSWERED:
            assert answer.headers["Allow"] == ", ".join(rule.methods)


class Unlisted(HttpRequest):
    """A request that was routed to an address which the table doesn't know."""

    def __init__(self, view_name: str | None, user: User | AnonymousUser) -> None:
        super().__init__()
        self.method = "GET"
        self.path = self.path_info = "/somewhere"
        self.user = user
        self.resolver_match = ResolverMatch(print, (), {}, url_name=view_name)


@pytest.mark.django_db
@pytest.mark.parametrize("view_name", [None, "", ":key", "now/", "NOW", "api-statu"])
def test_a_route_that_the_table_does_not_know_is_open_to_nobody(
    view_name: str | None, person: User
) -> None:
    gate = Gate(lambda request: HttpResponse())
    for user in (AnonymousUser(), person):
        refusal = gate.process_view(Unlisted(view_name, user), print, (), {})

        assert refusal is not None and refusal.status_code == 403


@pytest.mark.django_db
def test_a_stranger_is_not_told_which_addresses_exist() -> None:
    for path in ("/nothing", "/runs/1", "/settings"):
        assert Client().get(path)["Location"] == f"/sign-in?next={path}"


@pytest.mark.django_db
def test_who_may_not_is_told_who_could_grant_it() -> None:
    make_person("grace", "admin")
    client = Client()
    client.force_login(make_person("bob", "viewer"))

    answer = client.post("/demo", {"want": "pause"})

    assert answer.status_code == 403
    assert "Responder role needed; grace can grant it" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "button"),
    [("/", "Pause demo traffic"), ("/profiles", "Capture profile<"), ("/runs/1", "Cancel run")],
)
def test_a_page_leaves_out_the_buttons_of_who_may_not(
    path: str, button: str, make_run: Callable[..., Run]
) -> None:
    Run.objects.filter(pk=make_run().pk).update(id=1)
    responder, viewer = Client(), Client()
    responder.force_login(make_person("rae", "responder"))
    viewer.force_login(make_person("vic", "viewer"))

    assert button in responder.get(path).content.decode()
    page = viewer.get(path).content.decode()
    assert button not in page
    assert ("Responder role needed" in page) is (path != "/")


@pytest.mark.django_db
def test_a_person_without_any_grant_may_look_and_nothing_else() -> None:
    client = Client()
    client.force_login(User.objects.create_user("eve"))

    assert client.get("/runs").status_code == 200
    assert client.post("/runs/1/retry").status_code == 403


@pytest.mark.django_db
def test_who_was_shut_out_is_a_stranger_though_their_session_lives(
    client: Client, person: User
) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)

    assert client.get("/")["Location"] == "/sign-in?next=/"


@pytest.mark.django_db
def test_below_the_api_every_no_is_a_problem_and_never_a_page(client: Client) -> None:
    for answer in (
        client.get("/api/v1/nothing"),
        client.delete("/api/v1/status"),
        Client().get("/api/v1/status"),
        client.get("/api/v1/status", headers={"host": "evil.example"}),
    ):
        assert answer.status_code in (400, 401, 404, 405)
        assert answer["Content-Type"] == "application/problem+json"


def test_a_scope_is_no_role_and_a_role_no_scope() -> None:
    people_only = page(GET=Role.VIEWER)
    write = api(GET=(Role.VIEWER, Scope.READ), POST=(Role.LEAD, Scope.DRILLS_WRITE))
    admin_token = program("t", frozenset({Scope.ADMIN}))

    assert decide(people_only, "GET", admin_token) is Answer.SCOPE
    assert decide(write, "POST", admin_token) is Answer.YES
    assert decide(write, "POST", program("t", frozenset({Scope.READ}))) is Answer.SCOPE
    assert decide(write, "POST", person("ada", Role.RESPONDER)) is Answer.ROLE
    assert decide(write, "HEAD", person("ada", Role.VIEWER)) is Answer.YES
    assert decide(None, "GET", person("ada", Role.ADMIN)) is Answer.UNKNOWN
