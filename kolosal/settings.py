"""Django settings, read from environment variables.

The table in ``docs/settings.md`` is made from :data:`ENVIRONMENT`: every variable, its default and its meaning.
"""

import os
import socket
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from kolosal import __version__
from kolosal.environment import Environment
from kolosal.theme import UNFOLD  # noqa: F401  (the admin reads it as a setting)

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

# name → (default as written in the docs, meaning). One table for people; the reads below are the truth for the program.
ENVIRONMENT: dict[str, tuple[str, str]] = {
    "KOLOSAL_DATA_DIR": ("data", "Folder of the SQLite file, the secret key, logs and data files."),
    "DATABASE_URL": (
        "SQLite under KOLOSAL_DATA_DIR",
        "`sqlite:///path` or `postgres://user:password@host:5432/name`.",
    ),
    "KOLOSAL_SQLITE_SYNCHRONOUS": (
        "FULL",
        "FULL survives a power cut; NORMAL is faster and may lose the last moments before one.",
    ),
    "KOLOSAL_BROKER_URL": ("empty", "Empty: django-q2's broker in the database. `redis://host:6379/0`: Redis."),
    "KOLOSAL_BIND": ("127.0.0.1", "Address that the web server listens on."),
    "KOLOSAL_PORT": ("8080", "Port that the web server listens on."),
    "KOLOSAL_ALLOWED_HOSTS": (
        "localhost,127.0.0.1,[::1]",
        "Host names that requests may ask for, besides KOLOSAL_BIND.",
    ),
    "KOLOSAL_REQUIRE_TOKEN": ("0", "1: anonymous requests are refused, also from this machine. Needed behind a proxy."),
    "KOLOSAL_ADMIN_PASSWORD": ("made and printed once", "Password of the local account `admin`."),
    "KOLOSAL_SECRET_KEY": (
        "made, kept in KOLOSAL_DATA_DIR",
        "Django's SECRET_KEY; the same on every machine of a site.",
    ),
    "KOLOSAL_DEBUG": ("0", "1: Django's debug mode. Never on a network."),
    "KOLOSAL_HOST": ("the host's name", "Name of this machine as workers, events and leases bear it."),
    "KOLOSAL_WORKERS": ("2", "Loops (worker processes) of one `manage.py worker`."),
    "KOLOSAL_RUNS_PER_WORKER": ("500", "Runs that one loop works on at once."),
    "KOLOSAL_GRACE_SECONDS": ("20 (5 under make run)", "Time that attempts get to finish when a worker is stopped."),
    "KOLOSAL_LEASE_SECONDS": ("15", "How long a worker holds its runs without renewing; at least 5."),
    "KOLOSAL_MAX_RECOVERIES": ("5", "Lost workers after which a run is given up."),
    "KOLOSAL_CONTEXT_MAX_BYTES": ("4194304", "Size limit of a run's context, as JSON."),
    "KOLOSAL_ARTIFACT_MAX_BYTES": ("5242880", "Size limit of one file that a function keeps (an artifact)."),
    "KOLOSAL_RUN_ARTIFACTS_MAX_BYTES": ("52428800", "Size limit of all artifacts of one run together."),
    "KOLOSAL_MAX_STEPS_PER_RUN": ("100000", "Steps that one run executes at most, all iterations counted."),
    "KOLOSAL_MAX_CHILD_DEPTH": ("10", "Levels of runs that start one another by `workflow` steps."),
    "KOLOSAL_EXPRESSION_SECONDS": ("0.25", "Time limit of one evaluation of an expression."),
    "KOLOSAL_HELPERS": ("2", "Helper processes for plain functions that one loop keeps ready."),
    "KOLOSAL_MAX_BODY_BYTES": ("10485760", "Size limit of a request body."),
    "KOLOSAL_FUNCTIONS": ("empty", "Python modules with functions of your own, besides installed packages."),
    "KOLOSAL_INFERENCE_URL": ("empty", "Base URL of an OpenAI-compatible server, such as `http://localhost:11434/v1`."),
    "KOLOSAL_INFERENCE_MODEL": ("empty", "Model to ask for where an agent names none."),
    "KOLOSAL_INFERENCE_API_KEY": ("empty", "Key for that server."),
    "KOLOSAL_SEARXNG_URL": ("empty", "SearXNG server for `web_search`; empty: the ddgs library."),
    "KOLOSAL_HTTP_ALLOW": ("empty", "Hosts and networks that functions may reach though they are not public."),
    "KOLOSAL_HTTP_MAX_BYTES": ("5242880", "Size limit of an answer that `http_request` reads."),
    "KOLOSAL_SECRET_<NAME>": ("none", "Value of `${secrets.<NAME>}` in parameters."),
    "KOLOSAL_RETENTION_DAYS": ("0", "Ended runs older than so many days are deleted, for good; 0 keeps all."),
    "KOLOSAL_AUDIT_KEY": ("empty", "Key of the audit chain's HMAC; empty: plain SHA-256."),
    "KOLOSAL_FAULTS": ("empty", "For tests: a folder of faults that strike at named points of the engine."),
    "KOLOSAL_LOG_LEVEL": ("INFO", "DEBUG, INFO, WARNING or ERROR."),
    "KOLOSAL_LOG_FORMAT": ("console", "Lines on standard error: `console` for people, `json` for programs."),
    "KOLOSAL_LOG_FILE_BYTES": ("10485760", "Size from which `sequential_workflow.log` is rotated."),
    "KOLOSAL_LOG_FILES": ("5", "How many such files are kept, the newest counted; 0: none is written."),
}

DATA_DIR = Path(env.str("KOLOSAL_DATA_DIR", default=str(BASE_DIR / "data"))).expanduser().resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """The key from the environment, else the one kept in the data folder, made at first need."""
    given: str = env.str("KOLOSAL_SECRET_KEY", default="")
    if given:
        return given
    path = DATA_DIR / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    key = get_random_secret_key()
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    return key


SECRET_KEY = _secret_key()
DEBUG = env.bool("KOLOSAL_DEBUG", default=False)
BIND = env.str("KOLOSAL_BIND", default="127.0.0.1")
PORT = env.at_least(0, "KOLOSAL_PORT", 8080)
ALLOWED_HOSTS = [
    *env.list("KOLOSAL_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]),
    *([] if BIND in {"0.0.0.0", "::"} else [BIND]),  # noqa: S104  (asks, and binds nothing)
]
# Set by `manage.py serve` for the web process it starts on a loopback address, and by nothing else.
LOCAL_ANONYMOUS = env.bool("KOLOSAL_STARTED_LOCALLY", default=False) and not env.bool(
    "KOLOSAL_REQUIRE_TOKEN", default=False
)

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin.apps.SimpleAdminConfig",  # kolosal/urls.py loads its pages: workers have none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "django_q",
    "agents",
    "workflows",
]

MIDDLEWARE = [
    "kolosal.middleware.ChunkedBody",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "kolosal.middleware.Acting",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kolosal.csp.AdminPolicy",
]

ROOT_URLCONF = "kolosal.urls"
ASGI_APPLICATION = "kolosal.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Store -----------------------------------------------------------------------------------------------------------

LEASE_SECONDS = env.at_least(5, "KOLOSAL_LEASE_SECONDS", 15.0)
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'kolosal.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    _synchronous = env.str("KOLOSAL_SQLITE_SYNCHRONOUS", default="FULL")
    if _synchronous not in {"FULL", "NORMAL", "EXTRA"}:
        raise ImproperlyConfigured(f"KOLOSAL_SQLITE_SYNCHRONOUS is {_synchronous!r}; use FULL or NORMAL.")
    _database["OPTIONS"] = {
        "timeout": 5,
        "transaction_mode": "IMMEDIATE",
        "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={_synchronous};",
    }
    # Tests use several connections and processes on one store, which a store in memory can't serve.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    _database["CONN_HEALTH_CHECKS"] = True
    # Either side must notice well before a lease ends that the other is cut off: the client stops waiting, and the
    # server lets go of what a lost client had locked. Seconds; milliseconds for the user and the session timeout.
    _options = _database.setdefault("OPTIONS", {})
    _options.setdefault("prepare_threshold", 2)  # of the engine's own statements; Django's are never prepared
    _options.update(
        connect_timeout=5,
        tcp_user_timeout=8000,
        keepalives_idle=4,
        keepalives_interval=2,
        keepalives_count=2,
        options=(
            f"-c idle_in_transaction_session_timeout={LEASE_SECONDS * 500:.0f} -c lock_timeout=10000 "
            "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2 "
            + _options.get("options", "")  # later ones win
        ),
    )
# kolosal/asgi.py says which process is the web server: there, threads come and go with requests, and a pool keeps
# PostgreSQL's connections. Elsewhere a thread keeps its own: a pool does not survive the forks of django-q2's cluster.
if not env.bool("KOLOSAL_WEB", default=False):
    _database["CONN_MAX_AGE"] = None
elif _database["ENGINE"].endswith("postgresql"):
    _database.setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 20, "timeout": 10}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Workers ---------------------------------------------------------------------------------------------------------

HOST = env.str("KOLOSAL_HOST", default="") or socket.gethostname()
WORKERS = env.at_least(1, "KOLOSAL_WORKERS", 2)
RUNS_PER_WORKER = env.at_least(1, "KOLOSAL_RUNS_PER_WORKER", 500)
GRACE_SECONDS = env.at_least(0, "KOLOSAL_GRACE_SECONDS", 20.0)
MAX_RECOVERIES = env.at_least(1, "KOLOSAL_MAX_RECOVERIES", 5)
ARTIFACT_MAX_BYTES = env.at_least(1024, "KOLOSAL_ARTIFACT_MAX_BYTES", 5 * 1024 * 1024)
RUN_ARTIFACTS_MAX_BYTES = env.at_least(1024, "KOLOSAL_RUN_ARTIFACTS_MAX_BYTES", 50 * 1024 * 1024)
CONTEXT_MAX_BYTES = env.at_least(1024, "KOLOSAL_CONTEXT_MAX_BYTES", 4 * 1024 * 1024)
MAX_STEPS_PER_RUN = env.at_least(1, "KOLOSAL_MAX_STEPS_PER_RUN", 100_000)
MAX_CHILD_DEPTH = env.at_least(0, "KOLOSAL_MAX_CHILD_DEPTH", 10)
EXPRESSION_SECONDS = env.at_least(0.01, "KOLOSAL_EXPRESSION_SECONDS", 0.25)
HELPERS = env.at_least(1, "KOLOSAL_HELPERS", 2)
RETENTION_DAYS = env.float("KOLOSAL_RETENTION_DAYS", default=0)
if not 0 <= RETENTION_DAYS <= 36_500:
    raise ImproperlyConfigured(f"KOLOSAL_RETENTION_DAYS is {RETENTION_DAYS:g}; use days from 0 to 36500.")
AUDIT_KEY = env.str("KOLOSAL_AUDIT_KEY", default="")
BROKER_URL = env.str("KOLOSAL_BROKER_URL", default="")

Q_CLUSTER = {
    "name": "kolosal",
    "workers": WORKERS + 1,  # one more than loops, for short tasks
    "daemonize_workers": False,  # loops start helper processes
    "timeout": 2592000,
    "retry": 2592001,
    "queue_limit": 1,
    "bulk": 1,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "recycle": 10000,
    "max_rss": 1024 * 1024,  # KiB
    "poll": 0,  # workflows.brokers wait by themselves
    "log_level": "WARNING",
    "label": "Queue",
    "scheduler": False,  # the pacemaker's business
    **(
        {"redis": BROKER_URL, "broker_class": "workflows.brokers.redis.RedisBroker"}
        if BROKER_URL
        else {"orm": "default", "broker_class": "workflows.brokers.database.DatabaseBroker"}
    ),
}

# --- Agents ----------------------------------------------------------------------------------------------------------

AGENTS_FILE = BASE_DIR / "config" / "agents.yaml"
EXAMPLES_DIR = BASE_DIR / "config" / "workflows"
TEMPLATES_DIR = BASE_DIR / "config" / "templates"
FUNCTION_MODULES = env.list("KOLOSAL_FUNCTIONS", default=[])
INFERENCE_URL = env.str("KOLOSAL_INFERENCE_URL", default="")
INFERENCE_MODEL = env.str("KOLOSAL_INFERENCE_MODEL", default="")
INFERENCE_API_KEY = env.str("KOLOSAL_INFERENCE_API_KEY", default="")
SEARXNG_URL = env.str("KOLOSAL_SEARXNG_URL", default="")
HTTP_ALLOW = env.list("KOLOSAL_HTTP_ALLOW", default=[])
HTTP_MAX_BYTES = env.at_least(1024, "KOLOSAL_HTTP_MAX_BYTES", 5 * 1024 * 1024)

# --- Web -------------------------------------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = env.at_least(1024, "KOLOSAL_MAX_BODY_BYTES", 10 * 1024 * 1024)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # the workflow form: 13 fields for each of up to 1,000 steps
CSRF_FAILURE_VIEW = "kolosal.error_handler.csrf_failure"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "kolosal.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
        "kolosal.authentication.LocalAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["kolosal.authentication.NamedPermission"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "workflows.api.rendering.Negotiation",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_PARSER_CLASSES": ["workflows.api.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["kolosal.envelope.EnvelopeRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "kolosal.error_handler.explain",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kolosal Workflows",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["kolosal.authentication.NamedPermission"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RunStatusEnum": "workflows.states.RunStatus.choices",
        "StepStatusEnum": "workflows.states.StepStatus.choices",
        "RowStatusEnum": "workflows.states.RowStatus.choices",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "kolosal.schema.complete",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns where it is missing
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Log -------------------------------------------------------------------------------------------------------------

LOG_LEVEL = env.one_of(["DEBUG", "INFO", "WARNING", "ERROR"], "KOLOSAL_LOG_LEVEL", "INFO")
LOG_FORMAT = env.one_of(["console", "json"], "KOLOSAL_LOG_FORMAT", "console")
LOG_FILE = DATA_DIR / "sequential_workflow.log"
LOG_FILES = env.at_least(0, "KOLOSAL_LOG_FILES", 5)
LOG_FILE_BYTES = env.at_least(4096, "KOLOSAL_LOG_FILE_BYTES", 10 * 1024 * 1024)
_secrets = [
    SECRET_KEY,
    AUDIT_KEY,
    INFERENCE_API_KEY,
    _database.get("PASSWORD", ""),
    env.str("KOLOSAL_ADMIN_PASSWORD", ""),
]
_file = {
    "()": "kolosal.log_file.SharedLogFile",
    "formatter": "json",
    "path": LOG_FILE,
    "largest": LOG_FILE_BYTES,
    "files": LOG_FILES,
}
_only_in_file = {"handlers": ["file"], "propagate": False}
LOGGING_CONFIG = "kolosal.log_lines.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        form: {"()": "kolosal.log_lines.formatter", "form": form, "secrets": _secrets} for form in ("console", "json")
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT},
        "file": _file if LOG_FILES else {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console", "file"], "level": LOG_LEVEL},
    "loggers": {name: {"level": "WARNING"} for name in ("django-q", "httpx2", "httpcore2", "openai", "primp")}
    # A pipeline that ends in an error is told of twice otherwise.
    | {"psycopg": {"level": "ERROR"}}
    | {"uvicorn.error": {"level": "WARNING"}}
    # Lines of steps, traces of attempts, and each request: too many for a terminal.
    | {"workflows.steps": _only_in_file, "uvicorn.access": _only_in_file},
}
