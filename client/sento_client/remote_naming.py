"""Names from the pseudonym service: one call for up to 500 names of a registry, over the same mutual TLS as the sites.

The service is dialled at its address and must prove its name by certificate. At its limit it says how long to wait, and the call waits if its deadline allows.
Asking twice is harmless, and nothing is written here: whoever cannot get a name has composed no record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from sento_client.composing import Ports
from sento_client.config import ServiceAddress, SiteAddress, TlsFiles
from sento_client.delivery_values import code_of
from sento_client.grpc_transport import GrpcTransport
from sento_client.known_names import KnownNames
from sento_client.naming import Asked, Named, Why
from sento_client.pseudonym_service.bounds import NAMES_AT_ONCE_MAX
from sento_client.transport import Method, ReplyT, RequestT
from sento_proto.errors import Code, SentoError
from sento_proto.identity import pseudonyms_host
from sento_proto.pseudonyms import FACT_BYTES
from sento_proto.v1 import common_pb2, pseudonyms_pb2

NAMES = Method("Pseudonyms", "Names", pseudonyms_pb2.NamesRequest, pseudonyms_pb2.NamesReply)
TAGS = Method("Pseudonyms", "Tags", pseudonyms_pb2.TagsRequest, pseudonyms_pb2.TagsReply)
DESCRIBE = Method("Pseudonyms", "Describe", pseudonyms_pb2.DescribeRequest, pseudonyms_pb2.DescribeReply)
SUBJECT_BYTES = 32
TAG_BYTES = 4
_KEY_BYTES = 32
_NOTHING = "nothing was composed or written"
_ItemT = TypeVar("_ItemT")


class RemoteNaming:
    """Asks one pseudonym service. Made and used on one running event loop. Raises SetupError when the TLS files cannot be used."""

    def __init__(self, service: ServiceAddress, tls: TlsFiles, ports: Ports) -> None:
        self._words = f"the pseudonym service {service.name} at {service.address}"
        self._host = pseudonyms_host(service.name)
        self._transport = GrpcTransport([SiteAddress(self._host, service.address)], tls)
        self._ports = ports
        self._known = KnownNames(ports.random_bytes(_KEY_BYTES))

    async def names(self, asked: Sequence[Asked], why: Why | None, timeout_ms: int) -> list[Named]:
        """One for each, in order; a call for each registry and 500 names, the calls of one registry one after the other.

        Raises SentoError; `timeout_ms` is for each call with its waiting."""
        found: dict[Asked, Named] = {}
        missing: dict[str, dict[Asked, None]] = {}
        for one in asked:
            if (known := self._known.find(one)) is not None:
                found[one] = Named(*known)
            else:
                missing.setdefault(one.registry, {})[one] = None
        for registry, wanted in missing.items():
            for piece in _pieces(wanted):
                found |= await self._ask_names(registry, piece, why, timeout_ms)
        return [found[one] for one in asked]

    async def subject(self, registry: str, identifier: str, why: Why | None, timeout_ms: int) -> bytes:
        """A person's pseudonym. Raises SentoError."""
        asked = (registry, identifier)
        if (known := self._known.find(asked)) is not None:
            return known[0]
        request = _request(registry, [(identifier, [])], why)
        reply = await self._until_allowed(NAMES, request, timeout_ms)
        (subject,) = self._subjects(reply, 1)
        self._known.keep(asked, (subject,))
        return subject

    async def tags(
        self, registry: str, tags: Sequence[tuple[str, Sequence[str]]], why: Why | None, timeout_ms: int
    ) -> list[bytes]:
        """4-byte search tags of composites (name, at least two fields), at most 500. Raises SentoError."""
        try:
            asked = [pseudonyms_pb2.TagAsked(name=name, fields=fields) for name, fields in tags]
            request = pseudonyms_pb2.TagsRequest(registry=registry, tags=asked, purpose=_purpose(why))
        except ValueError:
            raise SentoError(Code.BAD_REQUEST, "a field of a tag has a character that it may not") from None
        reply = await self._until_allowed(TAGS, request, timeout_ms)
        self._require([len(tag) for tag in reply.tags] == [TAG_BYTES] * len(tags))
        return list(reply.tags)

    async def describe(self, timeout_ms: int) -> pseudonyms_pb2.DescribeReply:
        """What the service says of itself. Raises SentoError."""
        return await self._call(DESCRIBE, pseudonyms_pb2.DescribeRequest(), timeout_ms)

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    async def _ask_names(
        self, registry: str, piece: Sequence[Asked], why: Why | None, timeout_ms: int
    ) -> dict[Asked, Named]:
        request = _request(registry, [(one.identifier, [(one.kind, one.natural_key)]) for one in piece], why)
        reply = await self._until_allowed(NAMES, request, timeout_ms)
        subjects = self._subjects(reply, len(piece))
        self._require(all([len(fact) for fact in named.facts] == [FACT_BYTES] for named in reply.names))
        named = {
            one: Named(subject, answer.facts[0])
            for one, subject, answer in zip(piece, subjects, reply.names, strict=True)
        }
        for one, names in named.items():
            self._known.keep(one, names)
        return named

    def _subjects(self, reply: pseudonyms_pb2.NamesReply, count: int) -> list[bytes]:
        subjects = [named.subject for named in reply.names]
        self._require([len(subject) for subject in subjects] == [SUBJECT_BYTES] * count)
        return subjects

    def _require(self, well_formed: bool) -> None:
        if not well_formed:
            raise SentoError(Code.INTERNAL, f"{self._words} gave an answer in another form; {_NOTHING}")

    async def _until_allowed(
        self, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """Ask, and again after the wait that the service names, within the deadline. Raises SentoError."""
        ends_ms = self._ports.steady_ms() + timeout_ms
        while True:
            reply = await self._call(method, request, max(1, ends_ms - self._ports.steady_ms()))
            assert isinstance(reply, pseudonyms_pb2.NamesReply | pseudonyms_pb2.TagsReply)
            if not reply.HasField("at_limit"):
                return reply
            limit = reply.at_limit
            if self._ports.steady_ms() + limit.wait_ms >= ends_ms:
                raise SentoError(code_of(limit.error.code), f"{limit.error.detail}; {_NOTHING}")
            await asyncio.sleep(limit.wait_ms / 1000)

    async def _call(self, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int) -> ReplyT:
        try:
            return await self._transport.call(self._host, method, request, timeout_ms)
        except SentoError as error:
            detail = error.detail.removeprefix(self._host).removeprefix(": ")
            raise SentoError(error.code, f"{self._words}: {detail}; {_NOTHING}") from None


def _request(
    registry: str, asked: Iterable[tuple[str, list[tuple[str, str]]]], why: Why | None
) -> pseudonyms_pb2.NamesRequest:
    try:
        names = [
            pseudonyms_pb2.NameAsked(
                identifier=identifier,
                facts=[pseudonyms_pb2.FactAsked(kind=kind, natural_key=key) for kind, key in facts],
            )
            for identifier, facts in asked
        ]
        return pseudonyms_pb2.NamesRequest(registry=registry, names=names, purpose=_purpose(why))
    except ValueError:
        # A surrogate has no form in UTF-8; the library's text would quote it, and it may be a person's.
        raise SentoError(Code.BAD_REQUEST, "kind, subject or fact has a character that it may not") from None


def _purpose(why: Why | None) -> common_pb2.Purpose | None:
    return None if why is None else common_pb2.Purpose(purpose=why.purpose, case_number=why.case_number)


def _pieces(wanted: Iterable[_ItemT]) -> Iterator[list[_ItemT]]:
    items = list(wanted)
    for start in range(0, len(items), NAMES_AT_ONCE_MAX):
        yield items[start : start + NAMES_AT_ONCE_MAX]
