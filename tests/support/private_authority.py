"""Certificates that nobody trusts by themselves."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class PrivateAuthority:
    """A certificate authority that nobody trusts by themselves."""

    ca_file: Path
    tls: ssl.SSLContext
    """Of a server with a certificate for 127.0.0.1 and localhost."""


def private_authority(directory: Path) -> PrivateAuthority:
    """A new authority, with its certificate in the directory's ca.pem."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    return PrivateAuthority(ca_file, tls)
