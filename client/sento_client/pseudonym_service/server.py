"""The pseudonym service as a process: its parts put together, started, and stopped in order.

It refuses to start, in words, when anything is not as configured: keys, token, certificate, log, address, or an allowance for a registry without a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import grpc.aio

from sento_client.pseudonym_service.config import KeyPlace, ServiceConfig, TokenPlace
from sento_client.pseudonym_service.key_file import read_keys
from sento_client.pseudonym_service.limiting import Limiter
from sento_client.pseudonym_service.macs import KeyName, Mac, MacFailed, SoftwareMac, key_ids
from sento_client.pseudonym_service.servicer import PseudonymsServicer
from sento_client.serving.call_log import CallLog
from sento_client.serving.log_files import LogUnusable
from sento_client.serving.saying import dialled, steady_ms, wall_clock
from sento_client.serving.tls import ServerCertificates
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import SecretSource, passphrase_source
from sento_proto.genesis import decode_genesis
from sento_proto.identity import Identity
from sento_proto.limits import GRPC_MESSAGE_MAX_BYTES
from sento_proto.pseudonyms import KeyKind
from sento_proto.v1 import pseudonyms_pb2, pseudonyms_pb2_grpc
from sento_proto.wire import Malformed

STOP_GRACE_S = 5.0
_CALLS_AT_ONCE = 64
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", GRPC_MESSAGE_MAX_BYTES),
    ("grpc.max_concurrent_streams", _CALLS_AT_ONCE),
]


class CannotServe(Exception):
    """The service did not start. The text says what is in the way."""


def open_mac(config: ServiceConfig) -> Mac:
    """The keys, as configured. Raises SetupError, MacFailed."""
    if isinstance(config.keys, TokenPlace):
        try:
            from sento_client.pseudonym_service.token_mac import open_token_mac
        except ImportError:
            raise MacFailed("keys in a token need python-pkcs11; install sento[token]") from None
        return open_token_mac(config.keys)
    return SoftwareMac(read_keys(config.keys.file, passphrase_of(config.keys)))


def passphrase_of(place: KeyPlace) -> SecretSource:
    """Where the passphrase of a key file is found: nobody is asked, because a service starts by itself."""
    return passphrase_source(os.environ, place.passphrase_file)


def ledger_id_of(config: ServiceConfig) -> bytes:
    """The ledger that the keys belong to. Raises SetupError GENESIS_INVALID."""
    try:
        return decode_genesis(config.genesis.read_bytes()).ledger_id
    except OSError as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{config.genesis}: {error.strerror}") from None
    except Malformed as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{config.genesis}: {error}") from None


async def serve(config: ServiceConfig, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Serve until `stop`. `say` hears one line for each thing that operators should know. Raises SetupError, CannotServe."""
    ledger_id = ledger_id_of(config)
    certificates = ServerCertificates(config.tls, Identity("pseudonyms", config.name), say)
    async with contextlib.AsyncExitStack() as opened:
        try:
            mac = open_mac(config)
            opened.callback(mac.close)
            description = describe_service(config, ledger_id, mac)
            log = CallLog.open(config.log_directory, config.log_max_bytes, wall_clock)
            opened.push_async_callback(log.close)
            log.write_now({"event": "start", "keys": _ids_for_log(description)})
        except (LogUnusable, MacFailed) as error:
            raise CannotServe(str(error)) from None
        servicer = PseudonymsServicer(description, mac, Limiter(config.allowances), log, steady_ms, say)
        opened.callback(servicer.close)
        server = grpc.aio.server(options=_OPTIONS)
        pseudonyms_pb2_grpc.add_PseudonymsServicer_to_server(servicer, server)
        try:
            port = server.add_secure_port(config.address, certificates.credentials())
        except RuntimeError:
            raise CannotServe(f"listen.address: nothing can listen at {config.address}") from None
        await server.start()
        try:
            say(
                f"{config.name} names people of {', '.join(_registries(mac))} at {dialled(config.address, port)}"
            )
            await stop.wait()
        finally:
            await server.stop(STOP_GRACE_S)
            with contextlib.suppress(LogUnusable):
                await log.write({"event": "stop"})


def describe_service(config: ServiceConfig, ledger_id: bytes, mac: Mac) -> pseudonyms_pb2.DescribeReply:
    """What the service says of itself. Raises MacFailed; SetupError CONFIG_INVALID for an allowance without a key."""
    registries = _registries(mac)
    without = sorted({registry for _, registry in config.allowances} - set(registries))
    if without:
        raise SetupError(
            Setup.CONFIG_INVALID, *(f"allow: there is no key of registry {name}" for name in without)
        )
    ids = key_ids(mac)
    return pseudonyms_pb2.DescribeReply(
        name=config.name,
        ledger_id=ledger_id,
        keys=mac.form,
        registries=[
            pseudonyms_pb2.RegistryDescribed(
                registry=registry,
                pseudonym_key_id=ids.get(KeyName(registry, KeyKind.PSEUDONYM), b""),
                index_key_id=ids.get(KeyName(registry, KeyKind.INDEX), b""),
            )
            for registry in registries
        ],
    )


def _registries(mac: Mac) -> list[str]:
    return sorted({key.registry for key in mac.keys})


def _ids_for_log(description: pseudonyms_pb2.DescribeReply) -> dict[str, list[str]]:
    return {
        described.registry: [described.pseudonym_key_id.hex(), described.index_key_id.hex()]
        for described in description.registries
    }
