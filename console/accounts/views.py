"""Signing in and out.

The link's secret stands in the fragment, which browsers send to nobody: not to the server's log,
not to a proxy, not as a referrer. The page moves it into a form and posts it. Without scripts the
same form takes the code by hand.
"""

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from console.accounts import actions
from console.audit.actions import record

SECRET_LENGTH_MAX = 100


def where_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return wanted
    return "/"


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    refused = False
    if request.method == "POST":
        code = request.POST.get("code", "")[:SECRET_LENGTH_MAX]
        user = actions.spend_sign_in_link(code, now=timezone.now())
        if user is not None:
            record(actor=user.username, action="sign in", target="console")
            login(request, user)
            return redirect(where_next(request))
        refused = True
    page = {"refused": refused, "next": where_next(request)}
    return render(request, "sign_in.html", page, status=403 if refused else 200)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    record(actor=request.user.get_username(), action="sign out", target="console")
    logout(request)
    return redirect("sign-in")
