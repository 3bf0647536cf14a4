"""Runbooks in force: all of them with what past runs prove, and one as a document."""

from console.api.problems import Refusal
from console.api.registry import Call, Reply, endpoint, listed, maybe, obj
from console.runs.export import document_json, runbooks_json
from runbooks import library
from runbooks.errors import BadParameter

TEXT = {"type": "string"}
COUNT = {"type": "integer"}
FLAG = {"type": "boolean"}
PROOF = obj(
    {
        "sentence": TEXT,
        "done": COUNT,
        "tried": COUNT,
        "median_s": maybe({"type": "number"}),
        "undo_is_proven": FLAG,
    }
)
KNOWN = {
    "name": TEXT,
    "title": TEXT,
    "owner": TEXT,
    "target": TEXT,
    "for": listed(obj({"kind": TEXT, "role": TEXT})),
    "is_own": FLAG,
    "version": TEXT,
    "has_undo": FLAG,
    "proof": PROOF,
    "url": TEXT,
}
RUNBOOK = obj(KNOWN)
DOCUMENT = obj(
    KNOWN
    | {
        "summary": TEXT,
        "params": listed({"type": "object"}),
        "steps": listed({"type": "object"}),
    }
)
PROBLEM = obj({"file": TEXT, "line": COUNT, "field": TEXT, "expected": TEXT})
EXAMPLE = {
    "name": "hung-node",
    "title": "Restart a node that hangs",
    "owner": "storage on-call",
    "target": "node",
    "for": [{"kind": "process_pause", "role": "any"}],
    "is_own": False,
    "version": "5f2c" * 16,
    "has_undo": False,
    "proof": {
        "sentence": "3 of 3, median 34 s",
        "done": 3,
        "tried": 3,
        "median_s": 34.2,
        "undo_is_proven": False,
    },
    "url": "/runbooks/hung-node",
}


@endpoint(
    "GET",
    "runbooks",
    name="api-runbooks",
    summary="Runbooks in force, with what past runs prove of each.",
    reply=obj({"runbooks": listed(RUNBOOK), "problems": listed(PROBLEM)}),
    reply_example={"runbooks": [EXAMPLE], "problems": []},
)
def get_runbooks(call: Call) -> Reply:
    """`problems` are those of files that can't be used; what was in force before stays so."""
    wrong = [
        {"file": each.file, "line": each.line, "field": each.field, "expected": each.expected}
        for each in library.problems()
    ]
    return Reply(body={"runbooks": runbooks_json(), "problems": wrong})


@endpoint(
    "GET",
    "runbooks/<str:name>",
    name="api-runbook",
    summary="One runbook with its prose, parameters and steps.",
    reply=DOCUMENT,
    reply_example=EXAMPLE | {"summary": "A node doesn't answer.", "params": [], "steps": []},
)
def get_runbook(call: Call) -> Reply:
    """404 names those that there are."""
    try:
        return Reply(body=document_json(library.get(call.args["name"])))
    except BadParameter as error:
        raise Refusal(404, str(error), field=error.field, expected=error.expected) from error
