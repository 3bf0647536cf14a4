from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from storage_core.frontend.limits import Limits
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, request


def _with_container(serving: Serving) -> Serving:
    with Wire(serving.port) as wire:
        assert wire.ask(request("PUT", "/box?restype=container", {}, b"")).status == 201
    return serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    """A front end with default limits and a container named box."""
    with Serving() as serving:
        yield _with_container(serving)


@pytest.fixture
def make_serving() -> Iterator[Callable[[Limits], Serving]]:
    """The same with other limits."""
    opened: list[Serving] = []

    def make(limits: Limits) -> Serving:
        serving = Serving(limits)
        serving.__enter__()
        opened.append(serving)
        return _with_container(serving)

    yield make
    for serving in opened:
        serving.__exit__()


@pytest.fixture
def wire(serving: Serving) -> Iterator[Wire]:
    with Wire(serving.port) as wire:
        yield wire
