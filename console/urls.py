"""Every address of the console. Who may use which stands in `console.access`, by name."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from console import converters, settings_tabs  # noqa: F401  (converters: makes `number` known)
from console.accounts import views as accounts
from console.api.page import api_page
from console.cluster import views as cluster
from console.drills import views as drills
from console.incidents import views as incidents
from console.live import views as live
from console.notify import views as notify
from console.now import views as now
from console.profiles import views as profiles
from console.runs import runbook_views as runbooks
from console.runs import views as runs
from console.settings_page import search, settings_page
from console.slos import views as slos
from console.tour import views as tour
from console.traces import views as traces
from console.triage import views as triage


def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; it says nothing of the fleet."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("", now.now, name="now"),
    path("demo", now.demo, name="demo"),
    path("tour", tour.show, name="tour-strip"),
    path("tour/move", tour.move, name="tour-move"),
    path("tour/act", tour.act, name="tour-act"),
    path("cluster", cluster.cluster, name="cluster"),
    path("traces", traces.traces, name="traces"),
    path("traces/<str:trace_id>", traces.trace, name="trace"),
    path("profiles", profiles.profiles, name="profiles"),
    path("profiles/<str:profile_id>", profiles.profile, name="profile"),
    path("profiles/<str:profile_id>/stacks", profiles.stacks, name="profile-stacks"),
    path("runs", runs.runs, name="runs"),
    path("runs/<number:run_id>", runs.run, name="run"),
    path("runs/<number:run_id>/approve", runs.approve, name="run-approve"),
    path("runs/<number:run_id>/approve-part", runs.approve_part, name="run-approve-part"),
    path("runs/<number:run_id>/decline", runs.decline, name="run-decline"),
    path("runs/<number:run_id>/settle", runs.settle, name="run-settle"),
    path("runs/<number:run_id>/undo", runs.undo, name="run-undo"),
    path("runbooks", runbooks.runbooks, name="runbooks"),
    path("runbooks/<slug:name>", runbooks.runbook, name="runbook"),
    path("runbooks/<slug:name>/start", runbooks.start, name="runbook-start"),
    path("policies/allow", runbooks.allow, name="policy-allow"),
    path("policies/forbid", runbooks.forbid, name="policy-forbid"),
    path("policies/<number:start_id>/hold", runbooks.hold, name="policy-hold"),
    path("runs/<number:run_id>/retry", runs.retry, name="run-retry"),
    path("runs/<number:run_id>/cancel", runs.cancel, name="run-cancel"),
    path("incidents", incidents.incidents, name="incidents"),
    path("incidents/by-key/<str:key>", incidents.by_key, name="incident-by-key"),
    path("incidents/<number:incident_id>", incidents.incident, name="incident"),
    path("incidents/<number:incident_id>/do/<str:deed>", incidents.act, name="incident-act"),
    path("incidents/<number:incident_id>/next", incidents.next_step, name="incident-next"),
    path("incidents/<number:incident_id>/silence", incidents.silence, name="incident-silence"),
    path("incidents/<number:incident_id>/here", incidents.here, name="incident-here"),
    path(
        "incidents/<number:incident_id>/postmortem.md",
        incidents.postmortem_md,
        name="incident-postmortem",
    ),
    path("hand-over", incidents.hand_over, name="hand-over"),
    path("silences/<number:silence_id>/end", incidents.end_silence, name="silence-end"),
    path("acknowledge/<str:token>", notify.acknowledge, name="acknowledge"),
    path("paging", notify.page, name="paging"),
    path("paging/test", notify.test, name="paging-test"),
    path("paging/webhooks/<number:webhook_id>", notify.webhook, name="webhook"),
    path("incidents/<number:incident_id>/triage", triage.triage, name="triage"),
    path("incidents/<number:incident_id>/cause", triage.cause, name="cause"),
    path("incidents/<number:incident_id>/cause/newer", triage.cause_newer, name="cause-newer"),
    path("question", triage.question, name="question"),
    path("accuracy", triage.accuracy, name="accuracy"),
    path("drills", drills.drills, name="drills"),
    path("drills/<number:drill_id>", drills.drill, name="drill"),
    path("drills/<number:drill_id>/stop", drills.stop, name="drill-stop"),
    path("drills/<number:drill_id>/<slug:form>", drills.download, name="drill-download"),
    path("slos", slos.slos, name="slos"),
    path("settings", settings_page, name="settings"),
    path("settings/people", settings_tabs.people_page, name="settings-people"),
    path("settings/on-call", settings_tabs.on_call_page, name="settings-on-call"),
    path("settings/tokens", settings_tabs.tokens_page, name="settings-tokens"),
    path("settings/tokens/revoke", settings_tabs.revoke_token, name="settings-token-revoke"),
    path("settings/audit", settings_tabs.audit_page, name="settings-audit"),
    path("settings/api", api_page, name="settings-api"),
    path("search", search, name="search"),
    path("sign-in", accounts.sign_in, name="sign-in"),
    path("sign-out", accounts.sign_out, name="sign-out"),
    path("live/events/<str:page>", live.events, name="live-events"),
    path("live/series", live.series, name="live-series"),
    path("api/v1/", include("console.api.urls")),
    path("healthz", healthz, name="healthz"),
]

handler400 = "console.errors.bad_request"
handler404 = "console.errors.not_found"
handler500 = "console.errors.failed"
