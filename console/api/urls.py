"""Addresses of the API, from the registry. Importing a noun's module here is what registers it."""

from django.urls import URLPattern, path

from console import converters  # noqa: F401  (makes `number` known)
from console.api import (  # noqa: F401
    alerts,
    changes,
    drills,
    incidents,
    openapi,
    paging,
    policies,
    profiles,
    runbooks,
    runs,
    slos,
    status,
)
from console.api.registry import Operation, operations
from console.api.serve import view_of


def patterns() -> list[URLPattern]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations():
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        path(route, view_of(methods), name=next(iter(methods.values())).name)
        for route, methods in by_path.items()
    ]


urlpatterns = patterns()
