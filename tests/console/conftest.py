from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from console.accounts.models import Person
from console.evidence_reads import evidence
from console.live.sources import observatory
from runbooks import actions
from runbooks.models import Run
from tests.console.twins import EVERYTHING, FleetTwin, QueryTwin


def make_person(name: str, role: str) -> User:
    user = User.objects.create_user(name)
    Person.objects.create(user=user, role=role)
    return user


@pytest.fixture
def person(db: None) -> User:
    """Ada may everything; tests of who may not make their own people."""
    return make_person("ada", "admin")


@pytest.fixture
def client(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture(autouse=True)
def fleet(monkeypatch: pytest.MonkeyPatch) -> FleetTwin:
    """What the console sees; healthy unless the test says otherwise."""
    twin = FleetTwin()
    monkeypatch.setattr(observatory, "_sources", twin)
    monkeypatch.setattr(observatory, "_picture", None)
    return twin


@pytest.fixture(autouse=True)
def query(monkeypatch: pytest.MonkeyPatch) -> QueryTwin:
    twin = QueryTwin()
    monkeypatch.setattr(evidence, "_query", twin)
    return twin


@pytest.fixture
def everything_down(fleet: FleetTwin, query: QueryTwin) -> None:
    fleet.down = set(EVERYTHING)
    query.down = True


@pytest.fixture
def make_run(db: None) -> Callable[..., Run]:
    def make(target: str = "node-1") -> Run:
        return actions.start("capture-profile", target, {}, actor="ada")

    return make
