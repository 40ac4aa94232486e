"""Mutual TLS of the node's gRPC: certificates read again when their files change, and who a caller is.

The server asks its files before each handshake, so a renewed certificate needs no restart; the CA file too. A broken file leaves the old
certificates in force and is reported. Channels to other sites are made anew when the files have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from cryptography import x509

from sento_node.config import Tls
from sento_proto.identity import Identity, parse_identity


class TlsFiles(NamedTuple):
    """The three files' bytes."""

    ca: bytes
    certificate: bytes
    key: bytes


def read_files(tls: Tls) -> TlsFiles:
    """The files as they stand. Raises OSError."""
    return TlsFiles(*(Path(path).read_bytes() for path in (tls.ca, tls.certificate, tls.key)))


def stamp(tls: Tls) -> tuple[int, ...]:
    """Changes when one of the files changes. Raises OSError."""
    return tuple(Path(path).stat().st_mtime_ns for path in (tls.ca, tls.certificate, tls.key))


def _server_config(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificate)], files.ca)


def server_credentials(tls: Tls, on_problem: Callable[[str], None]) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate of the CA, and follow the files. Raises OSError when they cannot be read at start."""
    last = stamp(tls)
    first = _server_config(read_files(tls))

    def fetch() -> grpc.ServerCertificateConfiguration | None:  # None: no change
        nonlocal last
        try:
            now = stamp(tls)
            if now == last:
                return None
            files = read_files(tls)
            x509.load_pem_x509_certificate(files.certificate)
        except (OSError, ValueError) as error:
            on_problem(
                f"The changed certificate files cannot be read ({type(error).__name__}); the old ones stay in force."
            )
            return None
        last = now
        return _server_config(files)

    return grpc.dynamic_ssl_server_credentials(
        first, cast("Callable[[], grpc.ServerCertificateConfiguration]", fetch), True
    )


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials for dialling another site."""
    return grpc.ssl_channel_credentials(files.ca, files.key, files.certificate)


def expires_at_s(certificate_pem: bytes) -> int:
    """When the certificate ends, seconds since 1970."""
    return int(x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc.timestamp())


def caller_of(context: grpc.aio.ServicerContext[object, object]) -> Identity | None:
    """Who calls, by the URI in the certificate that TLS verified."""
    names = context.auth_context().get("x509_subject_alternative_name", [])
    uris = [name.decode("utf-8", "replace") for name in names if b"://" in name]
    return parse_identity(uris)
