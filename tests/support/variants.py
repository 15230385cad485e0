"""Settings that could change which routes there are, and what anybody may do without a credential."""

from __future__ import annotations

VARIED: dict[str, str | bool] = {
    "static_prefix": "/team/ml",
    "root_path": "/shown/at",
    "cors_allowed_origins": "https://app.example.com",
    "accel_redirect": "/_files",
    "read_only": True,
}
"""All of them that a local root can have."""
