"""Requests that drills and spot checks write by hand."""

from urllib.parse import parse_qs, urlsplit

from runbooks.drills import wire


def test_a_request_may_have_more_than_one_query_parameter() -> None:
    query = {"comp": "list", "prefix": "run-1-1", "restype": "container"}

    target = wire.signed("GET", "kept", query=query).split(b" ", 2)[1].decode()

    parts = urlsplit(target)
    assert parts.path == "/devstoreaccount1/kept"
    assert parse_qs(parts.query, strict_parsing=True) == {n: [v] for n, v in query.items()}


def test_a_request_without_a_query_has_no_mark_of_one() -> None:
    assert b"?" not in wire.get("kept/blob").split(b"\r\n")[0]
