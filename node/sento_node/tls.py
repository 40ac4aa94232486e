"""Mutual TLS of the node's gRPC: certificates read again when their files change, and who a caller is.

The server asks its files before each handshake, so a renewed certificate needs no restart; the CA file too. Files that do not belong together, or are not
what they should be, leave the old certificates in force and are reported once. Channels to other sites are made anew when the files have changed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from sento_node.config import Tls
from sento_node.config_mistake import ConfigMistake
from sento_node.keyfile import read_private
from sento_proto.identity import Identity, parse_identity


class TlsFiles(NamedTuple):
    """The three files' bytes."""

    ca: bytes
    certificate: bytes
    key: bytes


def read_files(tls: Tls) -> TlsFiles:
    """The files as they stand, if they can be used together. Raises ConfigMistake that names the field and what is wrong with its file."""
    try:
        ca, certificate = tls.ca.read_bytes(), tls.certificate.read_bytes()
    except OSError as error:
        raise ConfigMistake(f"tls: {error.filename} cannot be read ({error.strerror}).") from error
    files = TlsFiles(ca, certificate, read_private("tls.key", tls.key))
    _check(tls, files)
    return files


def _check(tls: Tls, files: TlsFiles) -> None:
    try:
        x509.load_pem_x509_certificates(files.ca)
    except ValueError as error:
        raise ConfigMistake(f"tls.ca: {tls.ca} holds no PEM certificate.") from error
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate)
    except ValueError as error:
        raise ConfigMistake(f"tls.certificate: {tls.certificate} holds no PEM certificate.") from error
    try:
        key = serialization.load_pem_private_key(files.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigMistake(f"tls.key: {tls.key} is not an unencrypted PEM key.") from error
    if key.public_key() != certificate.public_key():
        raise ConfigMistake(f"tls.key: {tls.key} is not the key of the certificate in {tls.certificate}.")


def stamp(tls: Tls) -> tuple[int, ...]:
    """Changes when one of the files changes. Raises OSError."""
    return tuple(Path(path).stat().st_mtime_ns for path in (tls.ca, tls.certificate, tls.key))


class ServerCertificates:
    """The server's certificates: those in force, and credentials that follow the files. Raises ConfigMistake when they cannot be used at start."""

    def __init__(self, tls: Tls, on_problem: Callable[[str], None]) -> None:
        self._tls = tls
        self._on_problem = on_problem
        self._in_force = read_files(tls)
        self._stamp = stamp(tls)
        self._handshake = threading.Lock()  # gRPC asks from threads of its own

    @property
    def expires_at_s(self) -> int:
        """When the certificate in force ends, seconds since 1970."""
        return int(certificate_of(self._in_force).not_valid_after_utc.timestamp())

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that demand a client certificate of the CA."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._in_force),
            cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed),
            True,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from now on; None while nothing changed or what is there cannot be used."""
        with self._handshake:
            try:
                now = stamp(self._tls)
                if now == self._stamp:
                    return None
                self._stamp = now
                self._in_force = read_files(self._tls)
            except (OSError, ConfigMistake) as error:
                self._on_problem(
                    f"The changed certificate files are not used, the old ones stay in force: {error}"
                )
                return None
            return _configuration(self._in_force)


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificate)], files.ca)


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials for dialling another site."""
    return grpc.ssl_channel_credentials(files.ca, files.key, files.certificate)


def certificate_of(files: TlsFiles) -> x509.Certificate:
    """The leaf among the files."""
    return x509.load_pem_x509_certificate(files.certificate)


def identity_of(certificate: x509.Certificate) -> Identity | None:
    """Whom a certificate names, as callers of this node will be judged."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return parse_identity(names.get_values_for_type(x509.UniformResourceIdentifier))


def caller_of(context: grpc.aio.ServicerContext[object, object]) -> Identity | None:
    """Who calls, by the URI in the certificate that TLS verified."""
    names = context.auth_context().get("x509_subject_alternative_name", [])
    uris = [name.decode("utf-8", "replace") for name in names if b"://" in name]
    return parse_identity(uris)


def certificate_end_s(context: grpc.aio.ServicerContext[object, object]) -> int | None:
    """The last second at which the caller's certificate holds, since 1970; None for a caller without one.

    TLS asks for it at the handshake alone, and a connection may last longer than the certificate."""
    certificates = list(context.auth_context().get("x509_pem_cert", []))
    return _end_s(bytes(certificates[0])) if certificates else None


@functools.lru_cache(maxsize=1024)
def _end_s(certificate_pem: bytes) -> int:
    return int(x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc.timestamp())
