"""What the server says of a request that it refuses."""

from __future__ import annotations

import httpx

BAD = (400, "INVALID_PARAMETER_VALUE")
MISSING = (404, "RESOURCE_DOES_NOT_EXIST")
CONFLICT = (409, "RESOURCE_ALREADY_EXISTS")


def told(refused: httpx.Response) -> tuple[int, str]:
    said = refused.json()
    if "x-request-id" in refused.headers:  # nginx's own refusals have none
        assert said.pop("request_id") == refused.headers["x-request-id"]
    assert said.keys() == {"error_code", "message"}
    return refused.status_code, said["error_code"]
