"""What every page carries: the rail, the phone's bar, the fleet's name, the live badge."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from console.incidents import queries
from runbooks.drills import mark

FLEET_NAME = "demo fleet"

# (url name, word, first part of the path)
RAIL = (
    ("now", "Now", ""),
    ("incidents", "Incidents", "incidents"),
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
BAR = ("now", "incidents", "runs")


@dataclass(frozen=True, slots=True)
class Place:
    icon: str
    name: str
    url: str
    here: bool
    count: int = 0
    counted: str = ""  # what the count counts, for who hears it


def frame(request: HttpRequest) -> dict[str, Any]:
    first = request.path_info.strip("/").split("/", 1)[0]

    def places(rows: tuple[tuple[str, str, str], ...]) -> list[Place]:
        return [Place(name, word, reverse(name), path == first) for name, word, path in rows]

    rail = places(RAIL)
    if request.user.is_authenticated:
        open_count = queries.open_count()
        rail = [
            replace(place, count=open_count, counted="open") if place.icon == "incidents" else place
            for place in rail
        ]
    return {
        "rail": rail,
        "rail_below": places(RAIL_BELOW),
        "bar": [place for place in rail if place.icon in BAR],
        "fleet_name": FLEET_NAME,
        # From a file: it must be there with the database gone.
        "drill_mark": mark.active(settings.HOLDFAST.run),
    }
