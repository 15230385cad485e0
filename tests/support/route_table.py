"""Which routes the server has, and who may use them."""

from __future__ import annotations

PUBLIC = "everybody"
KNOWN = "everybody who is known"

_FILES = {"GET": "read", "HEAD": "read", "PUT": "write", "DELETE": "delete"}
_LISTED = {"GET": "list", "HEAD": "list"}
_FOLDERS = _LISTED | {"PUT": "write", "POST": "write"}
_SHOWN = {"GET": KNOWN, "HEAD": KNOWN}
_LOADED = {"GET": PUBLIC, "HEAD": PUBLIC}
TABLE: dict[str, dict[str, str]] = {
    "/health": {"GET": PUBLIC, "HEAD": PUBLIC},
    "/ready": {"GET": PUBLIC, "HEAD": PUBLIC},
    "/": _LOADED,
    "/ui": _LOADED,
    "/ui/": _LOADED,
    "/ui/static/{path:path}": _LOADED,
    "/v1/session": _SHOWN | {"PUT": KNOWN, "DELETE": KNOWN},
    "/v1/login": _SHOWN,
    "/metrics": _SHOWN,
    "/version": _SHOWN,
    "/docs": _SHOWN,
    "/docs/static": _SHOWN,
    "/openapi.json": _SHOWN,
    "/api/3.0/mlflow/server-info": _SHOWN,
    "/ajax-api/3.0/mlflow/server-info": _SHOWN,
    "/v1/artifacts/": _FOLDERS,
    "/v1/artifacts/{directory:path}/": _FOLDERS,
    "/v1/artifacts/{path:path}": _FILES,
    "/api/2.0/mlflow-artifacts/artifacts": _LISTED,
    "/ajax-api/2.0/mlflow-artifacts/artifacts": _LISTED,
    "/api/2.0/mlflow-artifacts/artifacts/{path:path}": _FILES,
    "/ajax-api/2.0/mlflow-artifacts/artifacts/{path:path}": _FILES,
    "/api/2.0/mlflow-artifacts/presigned/{path:path}": {"GET": "read"},
    "/ajax-api/2.0/mlflow-artifacts/presigned/{path:path}": {"GET": "read"},
    "/api/2.0/mlflow-artifacts/mpu/create/{directory:path}": {"POST": "write"},
    "/ajax-api/2.0/mlflow-artifacts/mpu/create/{directory:path}": {"POST": "write"},
    "/api/2.0/mlflow-artifacts/mpu/complete/{directory:path}": {"POST": "write"},
    "/ajax-api/2.0/mlflow-artifacts/mpu/complete/{directory:path}": {"POST": "write"},
    "/api/2.0/mlflow-artifacts/mpu/abort/{directory:path}": {"POST": "write"},
    "/ajax-api/2.0/mlflow-artifacts/mpu/abort/{directory:path}": {"POST": "write"},
}
"""Which permission each method of each route takes."""
UI = [
    template
    for template in TABLE
    if template.startswith(("/ui", "/v1/session", "/v1/login")) or template == "/"
]
"""Those of the page."""
DIRECT = [template for template in TABLE if "/mpu/" in template or "/presigned/" in template]
STORED = [template for template in TABLE if "artifacts" in template]
"""All that touch storage."""
FILES = [template for template in TABLE if TABLE[template] is _FILES]
CASES = [(template, method) for template, methods in TABLE.items() for method in methods]
NAMES = [f"{method} {template}" for template, method in CASES]
