"""Paths that no artifact may have, byte for byte as an attacker would send them; and where to."""

from __future__ import annotations

SURFACES = (
    "/v1/artifacts/",
    "/api/2.0/mlflow-artifacts/artifacts/",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/",
)

DOTS = [
    "..", "../x", "a/../x", "a/..", "%2e%2e/x", ".%2e/x", "%2E./x", "%252e%252e%252fx", "%25252e%25252e/x",
    "..%2fx", "..%5cx", "..\\x", "%5c..%5cx", "a/%5c../x", "..;/x", "..%3bx/y", "a/..;p=1/x",
    ".", "./x", "a/./x", "a/.", "%2e/x", "%252e/x", ".;/x",
]  # fmt: skip
EMPTY_SEGMENTS = [
    "/x",
    "%2Fetc/passwd",
    "//etc/passwd",
    "a//b",
    "a/%2fb",
    "a%252f%252fb",
    "%5c%5chost%5cshare",
    "a%5c",
]
CONTROLS = ["a%00b", "a%0ab", "a%0d%0aX:y", "a%1fb", "a%7fb", "%00", "a%2500b", "a%250ab"]
ENCODINGS = [
    "a%zzb",
    "a%2",
    "a%",
    "%c0%ae%c0%ae/x",
    "%c0%afx",
    "%ed%a0%80",
    "%ff",
    "%f8%88%80%80%80",
    "a%25ff",
]
TOO_LONG = ["x" * 256, "%C3%A9" * 128, "/".join(["y" * 200] * 6), "/".join(["z"] * 65)]
FOREIGN = ["file:/etc/passwd", "file:///etc/passwd", "FILE:x", "s3://bucket/x", "C:/x", "c%3a%5cx", "http:/x"]
OWN = [
    ".artifact-proxy/staging/x",
    ".artifact-proxy",
    ".ARTIFACT-PROXY/locks/x",
    "a/.artifact-proxy/x",
    ".artifact-proxy-x",
]
REFUSED = [*DOTS, *EMPTY_SEGMENTS, *CONTROLS, *ENCODINGS, *TOO_LONG, *FOREIGN, *OWN]
