"""The gate: every request passes here after routing, and the table of `access` says yes or no.

A person comes with a session, a program with a bearer token, and a token is looked at on the API
alone. With a token there is no cookie, so there is nothing a foreign page could forge: only then is
the CSRF check left out. A person's session is checked on the API like any form.

`caller_of(request)` says who asks; templates get `may.respond`, `may.lead`, `may.admin` and, for
who may not, the sentence that says whom to ask.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

from console.access import RULES, STRANGER, Answer, Caller, Rule, decide, need_of, person, program
from console.accounts.queries import bearer, grantors
from console.accounts.roles import Role, role_of
from console.api.problems import problem
from console.audit import context
from console.audit.context import Acting
from console.errors import refused

ATTRIBUTE = "holdfast_caller"


def caller_of(request: HttpRequest) -> Caller:
    """Who asks, as the gate found out. A stranger where no gate was passed."""
    caller = getattr(request, ATTRIBUTE, STRANGER)
    assert isinstance(caller, Caller)
    return caller


class Gate(MiddlewareMixin):
    """Lets a request through to its view, or answers in its place."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        match = request.resolver_match
        rule = RULES.get(match.view_name if match is not None else "")
        if rule is not None and rule.is_api:
            return self._api(request, rule)
        caller = _signed_in(request)
        _remember(request, caller, "ui")
        answer = decide(rule, request.method or "", caller)
        return None if answer is Answer.YES else _refuse_page(request, rule, answer)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        context.end()
        return response

    def _api(self, request: HttpRequest, rule: Rule) -> HttpResponseBase | None:
        has_token = bool(request.headers.get("Authorization"))
        if has_token:
            token = bearer(request)
            caller = STRANGER if token is None else program(token.name, token.scopes)
        else:
            caller = _signed_in(request)
        _remember(request, caller, "api")
        method = request.method or ""
        answer = decide(rule, method, caller)
        if answer is not Answer.YES:
            return _refuse_program(rule, method, answer, has_token=has_token)
        if not caller.is_program and method not in ("GET", "HEAD") and _forged(request):
            return problem(
                403,
                "The CSRF token is missing or wrong",
                field="X-CSRFToken",
                expected="the value of the CSRF cookie",
            )
        return None


def _remember(request: HttpRequest, caller: Caller, via: str) -> None:
    """For the view, and for every audit row that this request writes."""
    setattr(request, ATTRIBUTE, caller)
    word = "" if caller.role is None else caller.role.word
    context.begin(Acting(name=caller.name, role=word, via=via))


def _signed_in(request: HttpRequest) -> Caller:
    role = role_of(request.user)
    return STRANGER if role is None else person(request.user.get_username(), role)


def _forged(request: HttpRequest) -> bool:
    """Whether a person's request lacks the CSRF token, or came from another origin."""
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    return check.process_view(request, _nothing, (), {}) is not None


def _nothing(request: HttpRequest) -> HttpResponse:
    """Stands in for the view, which is not exempt from the check here."""
    return HttpResponse()


def _refuse_page(request: HttpRequest, rule: Rule | None, answer: Answer) -> HttpResponse:
    if answer is Answer.WHO:
        return redirect_to_login(request.get_full_path())
    if rule is None:
        return refused(request, "This address is open to nobody", status=403)
    if answer is Answer.NOT_ANSWERED:
        response = refused(request, f"{request.method} is not answered here", status=405)
        response["Allow"] = ", ".join(rule.methods)
        return response
    need = need_of(rule, request.method or "")
    assert need is not None, "a role is too low only where one is needed"
    return refused(request, needed(need.role), status=403, context="Nothing was done.")


def _refuse_program(rule: Rule, method: str, answer: Answer, *, has_token: bool) -> HttpResponse:
    if answer is Answer.NOT_ANSWERED:
        refusal = problem(405, f"{method} is not answered here")
        refusal["Allow"] = ", ".join(rule.methods)
        return refusal
    need = need_of(rule, method)
    assert need is not None
    if answer is Answer.WHO:
        known = "The bearer token is not known here, has expired or was revoked"
        wanted = "A bearer token is needed: ./manage.py token NAME makes one"
        return problem(401, known if has_token else wanted)
    if answer is Answer.SCOPE:
        scope = str(need.scope)
        return problem(
            403, f"The token lacks the scope {scope}", field="Authorization", expected=scope
        )
    return problem(403, needed(need.role))


def needed(role: Role) -> str:
    """What somebody is told who may not: which role it takes, and who can grant it."""
    return f"{role.word.capitalize()} role needed; {' or '.join(grantors())} can grant it"


class May:
    """What the reader of a page may do; the words for what they may not are read when shown."""

    def __init__(self, caller: Caller) -> None:
        self.role = caller.role
        self.respond = caller.role is not None and caller.role >= Role.RESPONDER
        self.lead = caller.role is not None and caller.role >= Role.LEAD
        self.admin = caller.role is not None and caller.role >= Role.ADMIN

    @property
    def word(self) -> str:
        return "" if self.role is None else self.role.word

    @cached_property
    def responder_needed(self) -> str:
        return needed(Role.RESPONDER)

    @cached_property
    def lead_needed(self) -> str:
        return needed(Role.LEAD)

    @cached_property
    def admin_needed(self) -> str:
        return needed(Role.ADMIN)


def may(request: HttpRequest) -> Mapping[str, May]:
    """The template context `may`."""
    return {"may": May(caller_of(request))}
