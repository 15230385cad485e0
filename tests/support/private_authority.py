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
    certificate_file: Path
    key_file: Path
    tls: ssl.SSLContext
    """Of a server with that certificate, which is for 127.0.0.1 and localhost."""


def private_authority(directory: Path) -> PrivateAuthority:
    """A new authority, with its certificate in the directory's ca.pem and its server's beside it."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.configure_cert(tls)
    certificate_file, key_file = directory / "tls.crt", directory / "tls.key"
    key_file.write_bytes(certificate.private_key_pem.bytes())
    certificate_file.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return PrivateAuthority(ca_file, certificate_file, key_file, tls)
