"""Mutual TLS of a ministry's own service: certificates read again when their files change, and who a caller is.

gRPC asks before each handshake, so a renewed certificate needs no restart. Files that do not belong together leave the old ones in force and are reported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, cast

import grpc
import grpc.aio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from sento_client.config import TlsFiles
from sento_client.grpc_transport import read_pems
from sento_client.setup_errors import Setup, SetupError
from sento_proto.identity import Identity, parse_identity


class _Pems(NamedTuple):
    ca: bytes
    certificate: bytes
    key: bytes


def _read(tls: TlsFiles, identity: Identity) -> _Pems:
    """The files as they stand, if they can be used together and name the service. Raises SetupError TLS_INVALID, KEY_FILE_*."""
    ca, certificate, key = read_pems(tls)
    leaf = x509.load_pem_x509_certificate(certificate)
    try:
        public = serialization.load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SetupError(Setup.TLS_INVALID, f"{tls.key} is not an unencrypted PEM key") from None
    if public != leaf.public_key():
        raise SetupError(
            Setup.TLS_INVALID, f"{tls.key} is not the key of the certificate in {tls.certificate}"
        )
    if _identity_of(leaf) != identity:
        raise SetupError(Setup.TLS_INVALID, f"{tls.certificate} is not a certificate of {identity.uri}")
    return _Pems(ca, certificate, key)


class ServerCertificates:
    """The certificates in force, and credentials that follow the files. Raises SetupError when they cannot be used at start."""

    def __init__(self, tls: TlsFiles, identity: Identity, on_problem: Callable[[str], None]) -> None:
        self._tls = tls
        self._identity = identity
        self._on_problem = on_problem
        self._in_force = _read(tls, identity)
        self._stamp = self._stamp_now()
        self._handshake = threading.Lock()  # gRPC asks from threads of its own

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that demand a client certificate of the CA."""
        changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(_configuration(self._in_force), changed, True)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from now on; None while nothing changed or what is there cannot be used."""
        with self._handshake:
            try:
                now = self._stamp_now()
                if now == self._stamp:
                    return None
                self._stamp = now
                self._in_force = _read(self._tls, self._identity)
            except (OSError, SetupError) as error:
                self._on_problem(
                    f"The changed certificate files are not used, the old ones stay in force: {error}"
                )
                return None
            return _configuration(self._in_force)

    def _stamp_now(self) -> tuple[int, ...]:
        return tuple(path.stat().st_mtime_ns for path in (self._tls.ca, self._tls.certificate, self._tls.key))


def caller_of(context: grpc.aio.ServicerContext[object, object]) -> Identity | None:
    """Who calls, by the URI in the certificate that TLS verified."""
    names = context.auth_context().get("x509_subject_alternative_name", [])
    return parse_identity(name.decode("utf-8", "replace") for name in names if b"://" in name)


def _configuration(files: _Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificate)], files.ca)


def _identity_of(certificate: x509.Certificate) -> Identity | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return parse_identity(names.get_values_for_type(x509.UniformResourceIdentifier))
