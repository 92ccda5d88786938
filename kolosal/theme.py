"""How the admin looks: django-unfold's settings."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import lazy

_static = lazy(static, str)


def _link(title: str, icon: str, model: str) -> dict[str, Any]:
    address = reverse_lazy(f"admin:{model}_changelist")
    return {"title": title, "icon": icon, "link": address, "permission": _sees(model)}


def _sees(model: str) -> Any:
    app, _, name = model.partition("_")
    return lambda request: request.user.has_perm(f"{app}.view_{name}")


APPROVALS = "Waiting for you"

NAVIGATION: list[dict[str, Any]] = [
    {
        "items": [
            {"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")},
            _link("Workflows", "account_tree", "workflows_workflow"),
            _link("Templates", "file_copy", "workflows_template"),
            {
                "title": APPROVALS,
                "icon": "how_to_reg",
                "link": reverse_lazy("approvals"),
                "permission": _sees("workflows_run"),
            },
            _link("Runs", "play_circle", "workflows_run"),
            _link("Agents", "smart_toy", "agents_agent"),
            _link("Audit trail", "history", "workflows_event"),
            _link("Workers", "memory", "workflows_worker"),
        ]
    },
    {
        "title": "Rows behind them",
        "collapsible": True,
        "separator": True,
        "items": [
            _link("Versions", "commit", "workflows_workflowversion"),
            _link("Steps", "format_list_numbered", "workflows_step"),
            _link("Template batches", "dynamic_feed", "workflows_templatebatch"),
            _link("Template rows", "table_rows", "workflows_templatebatchrow"),
            _link("Step results", "task_alt", "workflows_stepresult"),
            _link("Run requests", "outgoing_mail", "workflows_runrequest"),
            _link("Start keys", "key", "workflows_startkey"),
            _link("Cached results", "cached", "workflows_cachedresult"),
            _link("Agent shares", "pie_chart", "workflows_agentshare"),
            _link("Streamed text", "notes", "workflows_streamtext"),
            _link("Site chain", "link", "workflows_sitechain"),
            _link("Configured functions", "function", "agents_configuredfunction"),
            _link("Inference engines", "dns", "agents_inferenceengine"),
        ],
    },
    {
        "title": "Accounts",
        "collapsible": True,
        "separator": True,
        "items": [
            _link("Users", "person", "auth_user"),
            _link("Groups", "group", "auth_group"),
            _link("API tokens", "key", "knox_authtoken"),
        ],
    },
]
"""The sidebar, by groups."""

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Kolosal Workflows",
    "SITE_HEADER": "Kolosal Workflows",
    "SITE_SYMBOL": "account_tree",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: _static("kolosal/icon.svg")},
    ],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [
        lambda request: _static("kolosal/admin.css"),
        lambda request: _static("kolosal/differences.css"),
    ],
    "DASHBOARD_CALLBACK": "workflows.admin.home.dashboard",
    "COMMAND": {"search_models": False},
    "SIDEBAR": {
        "show_search": True,
        "navigation": "workflows.admin.waiting.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
}
