"""What the two listings have in common: pages, markers, and what a client asks to include.

A marker is the name at which the next page starts, in base64, so that a client treats it as opaque
and nothing in it needs escaping. It stays good whatever is written between two pages: a page shows
every name that existed throughout, once.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from storage_core.frontend import headers as values
from storage_core.frontend import xml
from storage_core.frontend.refusals import Refusal, bad_parameter

if TYPE_CHECKING:
    from storage_core.frontend.target import Target

_ECHOED = (
    ("prefix", "Prefix"),
    ("marker", "Marker"),
    ("maxresults", "MaxResults"),
    ("delimiter", "Delimiter"),
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


class Page(NamedTuple):
    """At most `size` names from `marker`, a name, on; "" is the first page."""

    prefix: str
    delimiter: str
    marker: str
    size: int


def asked_page(target: Target, count_max: int) -> Page:
    asked = target.parameter("maxresults")
    count = count_max
    if asked:
        number = values.number(asked.encode())
        if number is None:
            raise bad_parameter("maxresults", asked, "A number from 1 to %d." % count_max)
        if number == 0:
            fields = [("QueryParameterName", "maxresults"), ("QueryParameterValue", asked)]
            raise Refusal(
                "OutOfRangeQueryParameterValue",
                [*fields, ("MinimumAllowed", "1"), ("MaximumAllowed", "%d" % count_max)],
            )
        count = min(number, count_max)
    prefix, delimiter = target.parameter("prefix"), target.parameter("delimiter")
    for name, value in (("prefix", prefix), ("delimiter", delimiter)):
        if _UNPRINTABLE.search(value):
            raise bad_parameter(name, "", "Control characters are in no name.")
    return Page(prefix, delimiter, _start(target), count)


def _start(target: Target) -> str:
    marker = target.parameter("marker")
    if not marker:
        # A list may start at a name; on a later page the marker is further on anyway.
        return target.parameter("startfrom")
    try:
        return b64decode(marker, altchars=b"-_", validate=True).decode("utf-8")
    except (Base64Error, ValueError):
        raise bad_parameter("marker", marker, "Use the NextMarker of the page before.") from None


def next_marker(name: str) -> str:
    if not name:
        return "<NextMarker />"
    return xml.element("NextMarker", urlsafe_b64encode(name.encode("utf-8")).decode())


def echoed(target: Target) -> str:
    """What was asked for, as the first elements of a listing."""
    pairs = [(element, target.parameter(name)) for name, element in _ECHOED]
    return "".join([xml.element(element, value) for element, value in pairs if value])


def included(target: Target) -> frozenset[str]:
    return frozenset(
        word.strip().lower() for word in target.parameter("include").split(",") if word.strip()
    )


def check_include(target: Target, known: Collection[str]) -> None:
    """Refuse to be asked for what isn't shown. What we never have is truthfully shown as none."""
    for word in sorted(included(target)):
        if word not in known:
            raise bad_parameter("include", word, "Known here: %s." % ", ".join(known))
