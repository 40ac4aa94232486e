"""One site, whole: its real node with a real member, asked over mutual TLS by those who may ask and by those who may not.

Who calls is what the certificate's URI says and nothing else; every refusal of ours carries its stable code and words; what a caller sends wrongly, cuts
off or leaves open harms nobody else; a member that does not answer is said to be one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from live_sites import (
    AUDITOR,
    AUTHOR,
    ONE_SITE,
    OTHER_AUTHOR,
    READER,
    LiveSites,
    paused_member,
    running_sites,
)
from raw_calls import (
    PURPOSE,
    Author,
    Caller,
    Pems,
    StreamEnded,
    WriteStream,
    all_records,
    codes,
    refusal_of,
)
from sento_drill import pki
from sento_drill.waiting import until
from sento_drill.world import World
from sento_node import bounds
from sento_proto import limits
from sento_proto.errors import TABLE, Code, describe
from sento_proto.identity import Identity
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2, sync_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL, LINEARIZABLE = common_pb2.LOCAL, common_pb2.LINEARIZABLE
NOW = pki.now_utc()
HELD = pki.Validity.around(NOW)
SECOND_CA = pki.Authority("A second authority of ours", HELD)
"""Trusted by the site beside the world's own, so that tests can issue what they need."""
STRANGERS = pki.Authority("Strangers", HELD)


def trust_second_ca(world: World) -> None:
    for site in world.sites:
        bundle = site.directory / "node-ca.pem"
        bundle.write_bytes(bundle.read_bytes() + SECOND_CA.certificate_pem)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE, prepare=trust_second_ca) as running:
        yield running


def issued(
    sites: LiveSites,
    identity: Identity,
    *,
    by: pki.Authority = SECOND_CA,
    validity: pki.Validity = HELD,
) -> Caller:
    """A caller with a certificate made for this test."""
    pair = pki.issue_client(by, identity, validity)
    ca = sites.world.institution(AUTHOR).ca.read_bytes()
    return sites.with_pems(Pems(ca, pair.certificate_pem, pair.key_pem))


def ask_status(caller: Caller) -> Awaitable[Any]:
    return caller.admin.Status(admin_pb2.StatusRequest(), timeout=10)


def read(caller: Caller, **fields: Any) -> Awaitable[Any]:
    request = client_pb2.ReadRequest(**{"purpose": PURPOSE, "freshness": LOCAL, **fields})
    return caller.registry.Read(request, timeout=10)


async def stood(sites: LiveSites, author: Author, count: int = 1) -> int:
    """Write records that stand, and wait until they are flushed; the first one's position."""
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        outcomes = await stream.outcomes(author.submission(*author.records(count)))
    assert codes(outcomes) == [Code.ACCEPTED] * count
    await sites.wait_status(sites.names[0], lambda s: s.flushed_size > outcomes[-1][1], "the flush")
    return outcomes[0][1]


# Who is heard at all.


async def test_a_certificate_of_a_foreign_authority_is_refused_before_any_call(sites: LiveSites) -> None:
    async with issued(sites, Identity("author", AUTHOR), by=STRANGERS) as caller:
        refused = await refusal_of(ask_status(caller))
    assert (refused.status, refused.code) == (grpc.StatusCode.UNAVAILABLE, None)


async def test_a_caller_without_a_certificate_is_refused(sites: LiveSites) -> None:
    ca = sites.world.institution(AUTHOR).ca.read_bytes()
    async with sites.with_pems(Pems(ca, None, None)) as caller:
        assert (await refusal_of(ask_status(caller))).status is grpc.StatusCode.UNAVAILABLE


async def test_an_expired_certificate_is_refused_and_a_fresh_one_of_the_same_authority_is_not(
    sites: LiveSites,
) -> None:
    me = Identity("author", AUTHOR)
    async with issued(sites, me, validity=pki.Validity.expired(NOW)) as expired:
        assert (await refusal_of(ask_status(expired))).status is grpc.StatusCode.UNAVAILABLE
    async with issued(sites, me) as fresh:
        assert (await ask_status(fresh)).site == sites.names[0]


@pytest.mark.parametrize(
    "identity",
    [Identity("mayor", AUTHOR), Identity("author", "Iizuka City")],
    ids=["unknown-role", "not-a-name"],
)
async def test_a_certificate_whose_uri_names_nobody_of_ours_may_call_nothing(
    sites: LiveSites, identity: Identity
) -> None:
    async with issued(sites, Identity(identity.role, identity.name.replace(" ", "%20"))) as caller:
        refused = await refusal_of(ask_status(caller))
    assert (refused.status, refused.code) == (grpc.StatusCode.PERMISSION_DENIED, Code.IDENTITY_REFUSED)


# Who may call what.


def hand_over(caller: Caller) -> Awaitable[Any]:
    return caller.admin.HandOverLead(admin_pb2.HandOverLeadRequest(to_site=caller.site), timeout=10)


def peer_state(caller: Caller) -> Awaitable[Any]:
    return caller.sync.PeerState(sync_pb2.PeerStateRequest(), timeout=10)


def outcomes_of(caller: Caller, author: str) -> Awaitable[Any]:
    name = client_pb2.RecordName(author=author, record_id=bytes(16))
    return caller.registry.Outcomes(client_pb2.OutcomesRequest(records=[name]), timeout=10)


@pytest.mark.parametrize(
    ("identity", "call"),
    [
        (Identity("author", AUTHOR), hand_over),
        (Identity("reader", READER), hand_over),
        (Identity("author", AUTHOR), peer_state),
        (Identity("operator", "drill"), peer_state),
        (Identity("site", "jp-elsewhere"), peer_state),
        (Identity("operator", "drill"), lambda caller: read(caller, position=0)),
        (Identity("site", ONE_SITE.sites[0].site), lambda caller: read(caller, position=0)),
        (Identity("reader", READER), lambda caller: outcomes_of(caller, READER)),
        (Identity("author", "not-enrolled"), lambda caller: outcomes_of(caller, "not-enrolled")),
        (Identity("author", OTHER_AUTHOR), lambda caller: outcomes_of(caller, AUTHOR)),
    ],
    ids=[
        "author-hands-over",
        "reader-hands-over",
        "author-is-no-site",
        "operator-is-no-site",
        "site-of-no-genesis",
        "operator-reads-records",
        "site-reads-records",
        "reader-asks-outcomes",
        "author-not-enrolled",
        "author-asks-for-anothers-outcomes",
    ],
)
async def test_a_role_is_refused_what_is_not_its_own(
    sites: LiveSites, identity: Identity, call: Callable[[Caller], Awaitable[Any]]
) -> None:
    async with issued(sites, identity) as caller:
        refused = await refusal_of(call(caller))
    assert (refused.status, refused.code) == (grpc.StatusCode.PERMISSION_DENIED, Code.IDENTITY_REFUSED)
    assert TABLE[Code.IDENTITY_REFUSED].remedy in refused.words


async def test_a_reader_may_not_write_and_its_stream_ends_with_the_reason(sites: LiveSites) -> None:
    author = sites.author()
    async with sites.caller(READER) as caller, WriteStream(caller) as stream:
        with pytest.raises(StreamEnded) as ended:
            await stream.ask(author.submission(author.record()))
    assert ended.value.refusal is not None
    assert ended.value.refusal.code is Code.IDENTITY_REFUSED


async def test_an_author_may_not_hand_in_what_another_author_signed(sites: LiveSites) -> None:
    city = sites.author()
    async with sites.caller(OTHER_AUTHOR) as hospital, WriteStream(hospital) as stream:
        assert await stream.refused(city.submission(city.record())) is Code.IDENTITY_REFUSED


async def test_the_lead_is_handed_only_to_a_voting_site(sites: LiveSites) -> None:
    async with sites.operator() as operator:
        request = admin_pb2.HandOverLeadRequest(to_site="jp-elsewhere")
        refused = await refusal_of(operator.admin.HandOverLead(request, timeout=10))
    assert refused.code is Code.BAD_REQUEST
    assert sites.names[0] in refused.words


# What a request must carry.


def fact(caller: Caller, **fields: Any) -> Awaitable[Any]:
    given = {"purpose": PURPOSE, "freshness": LOCAL, "registry": "residency", "fact": bytes(16), **fields}
    return caller.registry.Fact(client_pb2.FactRequest(**given), timeout=10)


def subject(caller: Caller, **fields: Any) -> Awaitable[Any]:
    given = {"purpose": PURPOSE, "freshness": LOCAL, "registry": "residency", "subject": bytes(32), **fields}
    return caller.registry.Subject(client_pb2.SubjectRequest(**given), timeout=10)


async def drained(call: grpc.aio.UnaryStreamCall[Any, Any]) -> list[Any]:
    return [item async for item in call]


def changes(caller: Caller, **fields: Any) -> Awaitable[Any]:
    return drained(
        caller.registry.Changes(client_pb2.ChangesRequest(**{"purpose": PURPOSE, **fields}), timeout=10)
    )


NO_CASE = common_pb2.Purpose(purpose="drill")


@pytest.mark.parametrize(
    "call",
    [
        lambda caller: read(caller, position=0, purpose=NO_CASE),
        lambda caller: fact(caller, purpose=common_pb2.Purpose(purpose="  ", case_number="7")),
        lambda caller: subject(caller, purpose=common_pb2.Purpose()),
        lambda caller: changes(caller, purpose=NO_CASE),
    ],
    ids=["read", "fact", "subject", "changes"],
)
async def test_a_request_for_records_without_purpose_and_case_number_is_refused(
    sites: LiveSites, call: Callable[[Caller], Awaitable[Any]]
) -> None:
    async with sites.caller(AUTHOR) as caller:
        refused = await refusal_of(call(caller))
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, Code.PURPOSE_MISSING)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (read, Code.BAD_REQUEST),
        (lambda caller: read(caller, record_hash=b""), Code.BAD_REQUEST),
        (lambda caller: read(caller, record_hash=bytes(600)), Code.BAD_REQUEST),
        (lambda caller: read(caller, record=_name(AUTHOR, b"")), Code.BAD_REQUEST),
        (lambda caller: read(caller, record=_name(AUTHOR, bytes(600))), Code.BAD_REQUEST),
        (lambda caller: read(caller, record=_name("飯塚市", bytes(16))), Code.NOT_FOUND),
        (lambda caller: read(caller, record=_name("x" * 600, bytes(16))), Code.NOT_FOUND),
        (lambda caller: read(caller, record_hash=bytes(32)), Code.NOT_FOUND),
        (lambda caller: read(caller, position=2**64 - 1), Code.NOT_FOUND),
        (lambda caller: fact(caller, fact=b"short"), Code.BAD_REQUEST),
        (lambda caller: fact(caller, limit=limits.LIST_PAGE_MAX + 1), Code.BAD_REQUEST),
        (lambda caller: fact(caller, as_of_size=2**63), Code.OUT_OF_RANGE),
        (lambda caller: subject(caller, subject=bytes(31)), Code.BAD_REQUEST),
        (lambda caller: subject(caller, registry="employment"), Code.NOT_PERMITTED),
        (lambda caller: changes(caller, registry="employment"), Code.NOT_PERMITTED),
        (lambda caller: outcomes_of_bytes(caller, bytes(600)), Code.BAD_REQUEST),
        (lambda caller: proof(caller, size=2**63), Code.OUT_OF_RANGE),
        (lambda caller: proof(caller, size=1, positions=[1]), Code.OUT_OF_RANGE),
        (lambda caller: proof(caller, size=1, consistent_with_size=2), Code.OUT_OF_RANGE),
        (lambda caller: proof(caller, positions=[0] * (limits.LIST_PAGE_MAX + 1)), Code.BAD_REQUEST),
    ],
)
async def test_a_request_with_a_wrong_field_is_refused_by_name_and_the_site_lives_on(
    sites: LiveSites, call: Callable[[Caller], Awaitable[Any]], code: Code
) -> None:
    if (await sites.status()).flushed_size == 0:
        await stood(sites, sites.author())
    async with sites.caller(AUTHOR) as caller:
        assert (await refusal_of(call(caller))).code is code
        assert (await read(caller, position=0)).record.position == 0


def _name(author: str, record_id: bytes) -> client_pb2.RecordName:
    return client_pb2.RecordName(author=author, record_id=record_id)


def outcomes_of_bytes(caller: Caller, record_id: bytes) -> Awaitable[Any]:
    request = client_pb2.OutcomesRequest(records=[_name(AUTHOR, record_id)])
    return caller.registry.Outcomes(request, timeout=10)


def proof(caller: Caller, **fields: Any) -> Awaitable[Any]:
    return caller.registry.Proof(client_pb2.ProofRequest(**fields), timeout=10)


async def test_a_refusal_says_the_tables_cause_and_remedy(sites: LiveSites) -> None:
    async with sites.caller(AUTHOR) as caller:
        refused = await refusal_of(read(caller, position=0, purpose=NO_CASE))
    assert refused.words == describe(Code.PURPOSE_MISSING)


# Who may read what.


async def test_a_record_is_given_out_only_to_institutions_that_may_read_its_registry(
    sites: LiveSites,
) -> None:
    position = await stood(sites, sites.author())
    async with (
        sites.caller(AUTHOR) as city,
        sites.caller(AUDITOR) as auditor,
        sites.caller(READER) as medical_team,
    ):
        for allowed in (city, auditor):
            reply = await read(allowed, position=position, freshness=LINEARIZABLE)
            assert (reply.record.position, len(reply.record.payload) > 0) == (position, True)
        assert (await refusal_of(read(medical_team, position=position))).code is Code.NOT_PERMITTED
        assert position not in await all_records(medical_team)


async def test_a_record_asked_for_by_header_alone_comes_without_its_payload(sites: LiveSites) -> None:
    position = await stood(sites, sites.author())
    async with sites.caller(AUDITOR) as auditor:
        reply = await read(auditor, position=position, header_only=True)
    assert (reply.record.payload, len(reply.record.payload_hash)) == (b"", 32)


# Bounds.


async def test_a_message_over_the_bound_is_refused_and_another_stream_goes_on(sites: LiveSites) -> None:
    author = sites.author()
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        await stream.outcomes(author.submission(author.record()))
        async with WriteStream(caller) as other:
            with pytest.raises(StreamEnded) as ended:
                await other.ask(bytes(limits.GRPC_MESSAGE_MAX_BYTES + 1))
        assert ended.value.refusal is not None
        assert ended.value.refusal.status is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert codes(await stream.outcomes(author.submission(author.record()))) == [Code.ACCEPTED]


async def test_a_deadline_shorter_than_the_answer_ends_the_call_at_the_deadline(sites: LiveSites) -> None:
    async with paused_member(sites), sites.caller(AUTHOR) as caller:
        started = time.monotonic()
        request = client_pb2.ReadRequest(purpose=PURPOSE, freshness=LINEARIZABLE, position=0)
        refused = await refusal_of(caller.registry.Read(request, timeout=0.4))
        took_s = time.monotonic() - started
    # the caller's own clock ends the call, or the site, which knows the same deadline, is a moment quicker
    assert refused.status is grpc.StatusCode.DEADLINE_EXCEEDED or refused.code is Code.NOT_FRESH
    assert took_s < bounds.LINEARIZABLE_TIMEOUT_MS / 1000


async def test_one_stream_has_a_bounded_number_of_submissions_in_flight_and_all_are_answered(
    sites: LiveSites,
) -> None:
    author = sites.author()
    submissions = [author.submission(author.record()) for _ in range(bounds.WRITE_STREAM_IN_FLIGHT_MAX + 100)]
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        async with paused_member(sites):
            sending = [asyncio.create_task(stream.send(submission)) for submission in submissions]
            queued = await sites.wait_status(
                sites.names[0],
                lambda status: status.queued_records > bounds.WRITE_STREAM_IN_FLIGHT_MAX // 2,
                "submissions wait",
            )
            assert queued.queued_records <= bounds.WRITE_STREAM_IN_FLIGHT_MAX
        answers = [await (await task) for task in sending]
        assert len(answers) == len(submissions)
        for submission, answer in zip(submissions, answers, strict=True):
            if answer.HasField(
                "error"
            ):  # told NO_ORDERING while the member was paused: the same ids are asked again
                assert answer.error.code == Code.NO_ORDERING
                assert codes(await stream.outcomes(submission)) in ([Code.KNOWN], [Code.ACCEPTED])


async def test_a_stream_cut_in_the_middle_loses_and_doubles_nothing(sites: LiveSites) -> None:
    author = sites.author()
    submissions = [author.submission(*author.records(3)) for _ in range(40)]
    async with sites.caller(AUTHOR) as caller:
        cut = WriteStream(caller)
        for submission in submissions:
            await cut.send(submission)
        await cut.close()
        async with WriteStream(caller) as stream:
            again = [await stream.outcomes(submission) for submission in submissions]
    positions = [position for outcomes in again for _, position in outcomes]
    assert {code for outcomes in again for code in codes(outcomes)} <= {Code.ACCEPTED, Code.KNOWN}
    assert len(set(positions)) == len(positions) == 120


# A member that does not answer.


async def test_a_member_that_does_not_answer_costs_no_ordering_and_not_fresh_and_never_local_reads(
    sites: LiveSites,
) -> None:
    author = sites.author()
    position = await stood(sites, author)
    submission = author.submission(author.record())
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        async with paused_member(sites):
            code = await stream.refused(submission)
            fresh = await refusal_of(read(caller, position=position, freshness=LINEARIZABLE))
            local = await read(caller, position=position)
            said = await sites.wait_state(sites.names[0], "no-majority")
        assert (code, fresh.code) == (Code.NO_ORDERING, Code.NOT_FRESH)
        assert local.record.position == position
        assert 0 < local.as_of.confirmed_at_ms < said.now_ms
        assert "LOCAL" in said.explanation
        assert codes(await stream.outcomes(submission)) in ([Code.KNOWN], [Code.ACCEPTED])


# Certificates.


def node_certificate(sites: LiveSites) -> pki.KeyPair:
    directory = sites.files(sites.names[0]).directory
    return pki.KeyPair((directory / "node.pem").read_bytes(), (directory / "node.key").read_bytes())


def replace_node_certificate(sites: LiveSites, pair: pki.KeyPair) -> None:
    directory = sites.files(sites.names[0]).directory
    for name, data in (("node.pem", pair.certificate_pem), ("node.key", pair.key_pem)):
        draft = directory / f"{name}.new"
        draft.touch(mode=0o600)
        draft.write_bytes(data)
        draft.replace(directory / name)


@pytest.fixture
def certificate_put_back(sites: LiveSites) -> Iterator[None]:
    before = node_certificate(sites)
    yield
    replace_node_certificate(sites, before)


@pytest.mark.usefixtures("certificate_put_back")
async def test_a_renewed_certificate_is_shown_at_the_next_handshake_and_a_broken_one_never(
    sites: LiveSites,
) -> None:
    site = sites.names[0]
    client = pki.issue_client(SECOND_CA, Identity("author", AUTHOR), HELD)
    by_second_ca = Pems(SECOND_CA.certificate_pem, client.certificate_pem, client.key_pem)
    async with sites.caller(AUTHOR) as old_connection:
        await ask_status(old_connection)
        async with sites.with_pems(by_second_ca) as early:
            assert (await refusal_of(ask_status(early))).status is grpc.StatusCode.UNAVAILABLE

        replace_node_certificate(sites, pki.issue_site(SECOND_CA, site, pki.Validity.around(NOW, days=7)))
        async with sites.with_pems(by_second_ca) as renewed:
            status = await ask_status(renewed)
        assert abs(status.certificate_expires_at_s - NOW.timestamp() - 7 * 86_400) < 2
        assert (await ask_status(old_connection)).site == site

        one, other = (pki.issue_site(SECOND_CA, site, HELD) for _ in range(2))
        replace_node_certificate(sites, pki.KeyPair(one.certificate_pem, other.key_pem))
        async with sites.with_pems(by_second_ca) as still:
            status = await ask_status(still)
    assert abs(status.certificate_expires_at_s - NOW.timestamp() - 7 * 86_400) < 2
    assert "the old ones stay in force" in sites.log(site)


# For programs that look on.


@pytest.mark.parametrize("service", ["", "sento.v1.Registry", "sento.v1.Admin", "sento.v1.Sync"])
async def test_health_says_serving_for_the_node_and_each_service(sites: LiveSites, service: str) -> None:
    async with sites.operator() as operator:

        async def healthy() -> bool:
            reply = await operator.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

        await until(healthy, deadline_s=30, what="health does not say serving")


async def test_reflection_lists_the_services(sites: LiveSites) -> None:
    async with sites.operator() as operator:
        stub = reflection_pb2_grpc.ServerReflectionStub(operator.channel)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10
        )
        async for reply in call:
            names = {service.name for service in reply.list_services_response.service}
    assert {"sento.v1.Registry", "sento.v1.Admin", "sento.v1.Sync", "grpc.health.v1.Health"} <= names


async def test_the_status_table_agrees_with_itself(sites: LiveSites) -> None:
    await stood(sites, sites.author())
    status = await sites.wait_status(
        sites.names[0], lambda s: s.quorum_size == s.flushed_size, "a checkpoint over everything"
    )
    assert status.ledger_id == sites.world.genesis.ledger_id
    assert (status.is_lead, status.lead_site, status.boot_number) == (True, sites.names[0], 1)
    assert status.applied_size == status.flushed_size
    assert status.confirmed_at_ms <= status.now_ms
    assert (list(status.alarms), status.ordering_version.split()[0]) == ([], "etcd")
