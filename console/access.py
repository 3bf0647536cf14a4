"""Who may do what: one table for every address of the console.

The table is keyed by the name of a route, so that no spelling of an address can slip past it, and
is asked once, by the gate, after routing. What is not in it is refused, whoever asks. A test walks
the routes and fails for one without a line here and for a line without a route; another asks every
route with every method as everybody and compares the answers with this table.

A new route needs one line: `"name": page(GET=VIEWER, POST=RESPONDER)` for people, or
`api(GET=(VIEWER, READ), POST=(RESPONDER, RUNS_WRITE))` where tokens are let in, too. HEAD is GET.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from console.accounts.roles import Role
from console.accounts.scopes import Scope, role_of_scopes

VIEWER, RESPONDER, LEAD, ADMIN = Role.VIEWER, Role.RESPONDER, Role.LEAD, Role.ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one method of a route asks for. No scope: no token is let in."""

    role: Role
    scope: Scope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`needs` by method; others aren't answered. `is_public`: strangers are let in for all."""

    needs: Mapping[str, Need]
    is_api: bool = False
    is_public: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """As the Allow header has them."""
        return tuple(self.needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. A stranger has no role; a program has scopes, and the role they amount to."""

    name: str = ""
    role: Role | None = None
    scopes: frozenset[Scope] | None = None

    @property
    def is_program(self) -> bool:
        return self.scopes is not None


STRANGER = Caller()


class Answer(Enum):
    YES = auto()
    UNKNOWN = auto()  # The table knows no such route.
    NOT_ANSWERED = auto()  # The route knows no such method.
    WHO = auto()  # A stranger: sign in first.
    ROLE = auto()  # The person's role is too low.
    SCOPE = auto()  # The token lacks the scope, or tokens are not let in.


def page(**roles: Role) -> Rule:
    """A route for people: the least role for each method."""
    return Rule(needs={method: Need(role=role) for method, role in roles.items()})


def api(**needs: tuple[Role, Scope]) -> Rule:
    """A route for programs and people: the least role, and the scope, for each method."""
    return Rule(
        needs={method: Need(role=role, scope=scope) for method, (role, scope) in needs.items()},
        is_api=True,
    )


def public(*methods: str) -> Rule:
    return Rule(needs={method: Need(role=VIEWER) for method in methods}, is_public=True)


RULES: Mapping[str, Rule] = {
    # Open to strangers
    "sign-in": public("GET", "POST"),
    "healthz": public("GET"),
    "acknowledge": public("GET", "POST"),
    # What every page has
    "sign-out": page(POST=VIEWER),
    "search": page(GET=VIEWER),
    "live-events": page(GET=VIEWER),
    "live-series": page(GET=VIEWER),
    # Now and the fleet
    "now": page(GET=VIEWER),
    "demo": page(POST=RESPONDER),
    "tour-strip": page(GET=VIEWER),
    "tour-move": page(POST=VIEWER),
    "tour-act": page(POST=RESPONDER),
    "cluster": page(GET=VIEWER),
    # Signals
    "traces": page(GET=VIEWER),
    "trace": page(GET=VIEWER),
    "profiles": page(GET=VIEWER, POST=RESPONDER),
    "profile": page(GET=VIEWER),
    "profile-stacks": page(GET=VIEWER),
    # Incidents and paging
    "incidents": page(GET=VIEWER),
    "incident": page(GET=VIEWER),
    "incident-by-key": page(GET=VIEWER),
    "incident-next": page(GET=VIEWER),
    "incident-act": page(POST=RESPONDER),
    "incident-silence": page(POST=LEAD),
    "incident-here": page(POST=VIEWER),
    "incident-postmortem": page(GET=VIEWER),
    "hand-over": page(GET=VIEWER),
    "silence-end": page(POST=LEAD),
    "paging": page(GET=VIEWER),
    "paging-test": page(POST=RESPONDER),
    "webhook": page(GET=VIEWER),
    # Runs
    "runs": page(GET=VIEWER),
    "run": page(GET=VIEWER),
    "run-retry": page(POST=RESPONDER),
    "run-cancel": page(POST=RESPONDER),
    # Drills
    "drills": page(GET=VIEWER, POST=RESPONDER),
    "drill": page(GET=VIEWER),
    "drill-download": page(GET=VIEWER),
    "drill-stop": page(POST=RESPONDER),
    "run-approve": page(POST=RESPONDER),  # And the role that the runbook's approval asks for.
    "run-approve-part": page(GET=VIEWER),
    "run-decline": page(POST=RESPONDER),
    "run-settle": page(POST=RESPONDER),
    "run-undo": page(POST=RESPONDER),
    "runbooks": page(GET=VIEWER),
    "runbook": page(GET=VIEWER),
    "runbook-start": page(POST=RESPONDER),
    "policy-allow": page(POST=ADMIN),
    "policy-forbid": page(POST=ADMIN),
    "policy-hold": page(POST=RESPONDER),
    # Triage
    "triage": page(GET=VIEWER),
    "cause": page(GET=VIEWER),
    "cause-newer": page(GET=VIEWER),
    "question": page(GET=VIEWER),
    "accuracy": page(GET=VIEWER),
    # Objectives
    "slos": page(GET=VIEWER),
    # Settings
    "settings": page(GET=VIEWER, POST=VIEWER),
    "settings-people": page(GET=VIEWER, POST=ADMIN),
    "settings-on-call": page(GET=VIEWER, POST=LEAD),
    "settings-tokens": page(GET=VIEWER, POST=ADMIN),
    "settings-token-revoke": page(POST=ADMIN),
    "settings-audit": page(GET=VIEWER),
    "settings-api": page(GET=VIEWER),
    # Programs
    "api-openapi": api(GET=(VIEWER, Scope.READ)),
    "api-drills": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.DRILLS_WRITE)),
    "api-drill": api(GET=(VIEWER, Scope.READ)),
    "api-drill-stop": api(POST=(RESPONDER, Scope.DRILLS_WRITE)),
    "api-runbooks": api(GET=(VIEWER, Scope.READ)),
    "api-runbook": api(GET=(VIEWER, Scope.READ)),
    "api-runs": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.RUNS_WRITE)),
    "api-run": api(GET=(VIEWER, Scope.READ)),
    # And the role that the runbook's approval asks for.
    "api-run-approve": api(POST=(RESPONDER, Scope.RUNS_WRITE)),
    "api-run-decline": api(POST=(RESPONDER, Scope.RUNS_WRITE)),
    "api-run-cancel": api(POST=(RESPONDER, Scope.RUNS_WRITE)),
    "api-run-settle": api(POST=(RESPONDER, Scope.RUNS_WRITE)),
    "api-slos": api(GET=(VIEWER, Scope.READ)),
    "api-alerts": api(POST=(RESPONDER, Scope.ALERTS_WRITE)),
    "api-changes": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.CHANGES_WRITE)),
    "api-incidents": api(GET=(VIEWER, Scope.READ)),
    "api-incident": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.INCIDENTS_WRITE)),
    "api-paging": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.INCIDENTS_WRITE)),
    "api-policies": api(GET=(VIEWER, Scope.READ), POST=(ADMIN, Scope.ADMIN)),
    "api-status": api(GET=(VIEWER, Scope.READ)),
    "api-profiles": api(GET=(VIEWER, Scope.READ), POST=(RESPONDER, Scope.RUNS_WRITE)),
}


def person(name: str, role: Role) -> Caller:
    return Caller(name=name, role=role)


def program(name: str, scopes: frozenset[Scope]) -> Caller:
    """A token's name is marked, so that nobody takes a program for a person."""
    return Caller(name=f"token {name}", role=role_of_scopes(scopes), scopes=scopes)


def need_of(rule: Rule, method: str) -> Need | None:
    """What `method` asks for; None if the route doesn't answer it."""
    return rule.needs.get("GET" if method == "HEAD" else method)


def decide(rule: Rule | None, method: str, caller: Caller) -> Answer:
    """The table's answer. Unknown is no, and a scope never stands in for a role nor the reverse."""
    if rule is None:
        return Answer.UNKNOWN
    need = need_of(rule, method)
    if need is None:
        return Answer.NOT_ANSWERED
    if rule.is_public:
        return Answer.YES
    if caller.role is None:
        return Answer.WHO
    if caller.scopes is not None:
        held = need.scope is not None and not caller.scopes.isdisjoint({need.scope, Scope.ADMIN})
        return Answer.YES if held else Answer.SCOPE
    return Answer.YES if caller.role >= need.role else Answer.ROLE
