"""What every page carries: the rail, the phone's bar, the fleet's name, the live badge."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from runbooks.drills import mark

FLEET_NAME = "demo fleet"

# (url name, word, first part of the path)
RAIL = (
    ("now", "Now", ""),
    ("traces", "Traces", "traces"),
    ("profiles", "Profiles", "profiles"),
    ("cluster", "Cluster", "cluster"),
    ("runs", "Runs", "runs"),
    ("slos", "SLOs", "slos"),
)
RAIL_BELOW = (
    ("accuracy", "Accuracy", "accuracy"),
    ("settings", "Settings", "settings"),
)
BAR = ("now", "cluster", "runs")


@dataclass(frozen=True, slots=True)
class Place:
    icon: str
    name: str
    url: str
    here: bool


def frame(request: HttpRequest) -> dict[str, Any]:
    first = request.path_info.strip("/").split("/", 1)[0]

    def places(rows: tuple[tuple[str, str, str], ...]) -> list[Place]:
        return [Place(name, word, reverse(name), path == first) for name, word, path in rows]

    rail = places(RAIL)
    return {
        "rail": rail,
        "rail_below": places(RAIL_BELOW),
        "bar": [place for place in rail if place.icon in BAR],
        "fleet_name": FLEET_NAME,
        # From a file: it must be there with the database gone.
        "drill_mark": mark.active(settings.HOLDFAST.run),
    }
