"""Django settings of the console, all derived from the one `telemetry.config.Settings`.

Nothing here has a default password or key: the secret key is made on first start. The console
answers only to loopback names and to the host of HOLDFAST_PUBLIC_URL, sends a Content Security
Policy without inline script or style, and lets everybody do just what the table in
`console.access` says.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from console.secret_files import read_or_make
from telemetry.config import Settings

HOLDFAST = Settings.from_environment()
HOME = HOLDFAST.home
HOME.mkdir(mode=0o700, parents=True, exist_ok=True)

PUBLIC_URL = HOLDFAST.public_url or f"http://127.0.0.1:{HOLDFAST.web_port}"
PUBLIC_PARTS = urlsplit(PUBLIC_URL)
PUBLIC_HTTPS = PUBLIC_PARTS.scheme == "https"

SECRET_KEY = read_or_make(HOME / "secrets" / "django.key")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", PUBLIC_PARTS.hostname or "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = [f"{PUBLIC_PARTS.scheme}://{PUBLIC_PARTS.netloc}"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "console",
    "console.accounts",
    "console.alerts",
    "console.api",
    "console.audit",
    "console.changes",
    "console.incidents",
    "console.notify",
    "console.oncall",
    "console.slos",
    "console.triage",
    "runbooks",
    "runbooks.drills",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "console.static_files.whole_files",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "console.gate.Gate",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "console.frame.frame",
                "console.gate.may",
                "console.tour.views.place",
            ],
            "builtins": ["console.templatetags.face"],
        },
    }
]

# The run journal must outlive a power cut, so commits are synced in full.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HOME / "console.sqlite3",
        "TEST": {"NAME": HOME / "test.sqlite3"},
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 60
WHITENOISE_ALLOW_ALL_ORIGINS = False

# People sign in with a one-time link, so there is no password to check or to set.
AUTHENTICATION_BACKENDS = ["console.accounts.backend.LinkBackend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "now"
SIGN_IN_LINK_LIFETIME = timedelta(minutes=10)

SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_NAME = "holdfast_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PUBLIC_HTTPS
CSRF_COOKIE_NAME = "holdfast_csrf"
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SECURE = PUBLIC_HTTPS
CSRF_FAILURE_VIEW = "console.errors.csrf_failed"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if PUBLIC_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PUBLIC_HTTPS
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
    }
}

# On loopback there is no TLS to insist on; behind a public https URL the proxy redirects (W008),
# and preloading a browser list (W021) is the owner's choice, not ours.
SILENCED_SYSTEM_CHECKS = ["security.W008", "security.W021"]
if not PUBLIC_HTTPS:
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W012", "security.W016"]

# Called by the watcher with what changed among the alerts, from memory, before anything is written:
# fn(transitions: Sequence[telemetry.slo.alerts.Transition], now_ms: int) -> None. A sink returns at
# once; what may take long or needs the database goes to a thread of its own.
ALERT_SINKS = ["console.incidents.intake.receive"]
# Told of each change of a run, after its commit.
RUN_LISTENERS = ["console.incidents.runs.heard"]
# What the watcher does beside looking after runs (dotted paths of `runbooks.watch.Duty`).
WATCHER_DUTIES = [
    "console.alerts.watch.DUTY",
    "console.incidents.watching.PAGES",
    "console.incidents.watching.INCIDENTS",
    "console.triage.duties.LOOKS",
    "console.triage.duties.ACCURACY",
    "runbooks.drills.watching.PAUSES",
    "runbooks.drills.watching.DRILLS",
    "console.drills.hooks.ABORTS",
    "console.drills.hooks.RESPONSES",
    "runbooks.policies.POLICIES",
]

# What a policy may answer with a runbook (see `runbooks.policies`).
POLICY_FINDINGS = "console.runs.hooks.findings"

# Further conditions for a drill (dotted paths of functions, see `runbooks.drills.guards`).
DRILL_GUARDS = [
    "console.drills.hooks.no_real_incident",
    "console.drills.hooks.budget_left",
]

BROKER_SOCKET = HOME / "run" / "valkey.sock"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"console.audit.head": {"level": "INFO"}},
}
