"""Texts that people typed, as what a runbook takes: forms and terminals know only texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runbooks.errors import BadParameter
from runbooks.library.definition import Runbook

SUBJECT = re.compile(r"incident:[0-9]{1,18}")
SUBJECT_EXPECTED = "incident:N, with the number of the incident"
YES, NO = ("yes", "on", "true"), ("no", "off", "false", "")


def typed(runbook: Runbook, target: str, texts: Mapping[str, str]) -> dict[str, object]:
    """Parameters of the runbook's types; what was left empty takes its default.

    A name that the runbook doesn't know stays as it is, for the runbook to refuse. Raises
    BadParameter.
    """
    types = {parameter.name: parameter.type for parameter in runbook.params}
    params: dict[str, object] = {"target": target.strip()} if target.strip() else {}
    for name, given in texts.items():
        text = given.strip()
        if text:
            params[name] = _typed(types.get(name, "text"), text, name)
    return params


def check_subject(text: str) -> str:
    """An empty subject or a well-formed one. Raises BadParameter."""
    if text and not SUBJECT.fullmatch(text):
        raise BadParameter("subject", text, SUBJECT_EXPECTED)
    return text


def _typed(kind: str, text: str, name: str) -> object:
    try:
        if kind == "int":
            return int(text)
        if kind == "number":
            return float(text)
    except ValueError as error:
        raise BadParameter(name, text, "a number") from error
    if kind == "flag":
        if text not in YES + NO:
            raise BadParameter(name, text, "yes or no")
        return text in YES
    return text
