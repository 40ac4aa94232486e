"""Confirmed reads against sites that lie under their own names: what is told, who is convicted by which proof, and when nothing is confirmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from client_world import NUMBER, WHY
from sento_client import Code, Draft, HiddenTally, SentoClient, SentoError, Version
from sento_client.config import Limits
from sento_client.confirming.values import Confirmed, Confirming
from sento_client.results import Freshness
from sento_client.testing import Institution, Registry, Scope
from sento_proto.chain import link_over, next_link
from sento_proto.fraud import Fraud, KnownSites, verify_fraud
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement
from sento_proto.v1 import client_pb2

HEALTH = "health"
SITES = ("site-1", "site-2", "site-3")
LIAR = "site-1"


def draft(fact: str, content: str = "x", *, number: str = NUMBER, compartment: str = "") -> Draft:
    return Draft(HEALTH, "prescription", number, fact, content, None, compartment)


@pytest.fixture
def registry() -> Registry:
    """About the person at 0, 2 and 3; position 2 and 3 are two versions of one fact. Somebody else at 1 and 4."""
    registry = Registry(seed=1, limits=Limits(deadline_ms=1_000))
    for one in (
        draft("1"),
        draft("1", number="another"),
        draft("2", "old"),
        draft("2", "new"),
        draft("2", number="another"),
    ):
        registry.put(one)
    return registry


async def listed(
    client: SentoClient,
    told: Confirming,
    *,
    limit: int | None = None,
    freshness: Freshness = Freshness.LINEARIZABLE,
) -> list[Version]:
    history = client.subject_history(
        registry=HEALTH, subject=NUMBER, confirmed=told, limit=limit, freshness=freshness, **WHY
    )
    return [version async for version in history]


async def word_of(client: SentoClient) -> Confirmed:
    told = Confirming()
    await listed(client, told)
    assert told.word is not None
    return told.word


def frauds_in(directory: Path, registry: Registry) -> list[Fraud]:
    known = KnownSites.of(registry.governance)
    files = sorted((directory / "receipts").glob("fraud-*.json"))
    return [verify_fraud(file.read_bytes(), known) for file in files]


# -- all honest ---------------------------------------------------------------------------------------------------------


async def test_a_list_is_complete_up_to_the_head_that_a_quorum_signed(registry: Registry) -> None:
    async with registry.client() as client:
        told = Confirming()
        versions = await listed(client, told)
        assert [version.position for version in versions] == [3, 2, 0]
        assert told.word is not None
        assert {version.confirmed for version in versions} == {told.word}
        assert (told.word.size, told.word.head.last_position, told.word.sites) == (5, 3, SITES)
        assert told.word.head.link == link_over(reversed([version.record_hash for version in versions]))
        assert (
            told.word.words
            == "complete up to position 3 as of checkpoint size 5, by the word of site-1, site-2, site-3"
        )


async def test_what_came_after_the_checkpoint_is_given_and_called_newer(registry: Registry) -> None:
    registry.cosigned_size = 3
    async with registry.client() as client:
        told = Confirming()
        versions = await listed(client, told)
        assert [(version.position, version.confirmed is not None) for version in versions] == [
            (3, False),
            (2, True),
            (0, True),
        ]
        assert told.word is not None
        assert (told.word.size, told.word.head.last_position) == (3, 2)


async def test_of_a_person_about_whom_nothing_stands_this_is_what_is_confirmed(registry: Registry) -> None:
    async with registry.client() as client:
        told = Confirming()
        history = client.subject_history(registry=HEALTH, subject="nobody", confirmed=told, **WHY)
        assert [version async for version in history] == []
        assert told.word is not None
        assert told.word.head == NO_HEAD
        assert told.word.words.startswith("nothing stood as of checkpoint size 5")


async def test_a_list_over_several_pages_is_held_against_the_head_wherever_the_checkpoint_cuts_it(
    registry: Registry,
) -> None:
    for n in range(6):
        registry.put(draft(f"more {n}"))
    whole = [10, 9, 8, 7, 6, 5, 3, 2, 0]
    for site in registry.sites:
        site.ledger.page_max = 2
    for cosigned in range(1, 12):
        registry.cosigned_size = cosigned
        async with registry.client() as client:
            versions = await listed(client, Confirming())
            assert [version.position for version in versions] == whole
            assert [v.position for v in versions if v.confirmed] == [at for at in whole if at < cosigned]


async def test_hidden_records_are_under_the_confirmed_head_too() -> None:
    registry = Registry(
        [
            Institution("clinic-a", writes=[Scope(HEALTH, "a")]),
            Institution("clinic-b", writes=[Scope(HEALTH, "b")]),
        ],
        seed=1,
        limits=Limits(deadline_ms=1_000),
    )
    for n, clinic in enumerate("abab"):
        registry.put(draft(str(n), compartment=clinic), institution=f"clinic-{clinic}")
    async with registry.client("clinic-a") as clinic_a:
        told, hidden = Confirming(), HiddenTally()
        history = clinic_a.subject_history(
            registry=HEALTH, subject=NUMBER, confirmed=told, hidden=hidden, **WHY
        )
        assert [version.position async for version in history] == [2, 0]
        assert hidden.count == 2
        assert told.word is not None
        assert told.word.head.last_position == 3


async def test_a_records_place_in_the_confirmed_chain_and_what_superseded_it(registry: Registry) -> None:
    async with registry.client() as client:
        for position, superseded_by in ((0, None), (2, 3), (3, None)):
            version = await client.read(position, confirmed=True, **WHY)
            assert version.confirmed is not None
            assert version.confirmed.superseded_by == superseded_by
        registry.cosigned_size = 2
        assert (await client.read(3, confirmed=True, **WHY)).confirmed is None


async def test_the_versions_of_a_fact_are_confirmed_by_way_of_its_subject(registry: Registry) -> None:
    fact: dict[str, Any] = {"registry": HEALTH, "kind": "prescription", "subject": NUMBER, "fact": "2"}
    async with registry.client() as client:
        versions = [version async for version in client.history(confirmed=True, **fact, **WHY)]
        assert [(version.position, version.content) for version in versions] == [(3, b"new"), (2, b"old")]
        assert all(version.confirmed for version in versions)
        standing = await client.fact(confirmed=True, **fact, **WHY)
        assert (standing.position, standing.confirmed is not None) == (3, True)
        with pytest.raises(SentoError) as error:
            await client.fact(confirmed=True, **{**fact, "fact": "never"}, **WHY)
        assert error.value.code is Code.NOT_FOUND


async def test_what_does_not_go_with_a_confirmed_list_is_refused(registry: Registry) -> None:
    async with registry.client() as client:
        both: list[dict[str, Any]] = [{"before": 3}, {"as_of_size": 3}]
        for more in both:
            with pytest.raises(SentoError) as error:
                await anext(
                    aiter(
                        client.subject_history(registry=HEALTH, subject=NUMBER, confirmed=True, **more, **WHY)
                    )
                )
            assert error.value.code is Code.BAD_REQUEST


# -- a site that signs a false word -------------------------------------------------------------------------------------


def omits(statement: HeadStatement) -> HeadStatement:
    return statement._replace(head=NO_HEAD)


def other_link(statement: HeadStatement) -> HeadStatement:
    return statement._replace(head=statement.head._replace(link=bytes(32)))


def invents(statement: HeadStatement) -> HeadStatement:
    return statement._replace(head=Head(4, next_link(statement.head.link, b"i" * 32)))


def other_root(statement: HeadStatement) -> HeadStatement:
    return statement._replace(root=b"r" * 32)


def from_before(registry: Registry) -> Callable[[HeadStatement], HeadStatement]:
    """The head as it was when one record less stood about the person."""
    records = registry.records(HEALTH, NUMBER)[:-1]
    old = Head(records[-1].position, link_over(record.record_hash for record in records))
    return lambda statement: statement._replace(head=old)


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (omits, "head-omits"),
        (from_before, "head-omits"),
        (invents, "head-invents"),
        (other_link, "head-against-quorum"),
        (other_root, "head-root"),
    ],
)
async def test_one_false_word_convicts_its_site_and_the_honest_quorum_is_believed(
    registry: Registry, tmp_path: Path, lie: Callable[..., object], kind: str
) -> None:
    registry.site(LIAR).alter_head = lie(registry) if lie is from_before else lie  # type: ignore[assignment]
    async with registry.client(outbox=tmp_path / "outbox") as client:
        word = await word_of(client)
        assert (word.head.last_position, word.sites) == (3, ("site-2", "site-3"))
        assert [(liar.site, liar.proven) for liar in word.liars] == [(LIAR, True)]
        (fraud,) = frauds_in(tmp_path, registry)
        assert (fraud.kind, fraud.site) == (kind, LIAR)
        again = await word_of(client)
        assert again.sites == word.sites
        assert not again.liars, "it is convicted once and not asked again"
    async with registry.client(outbox=tmp_path / "outbox") as client:
        assert (await word_of(client)).sites == word.sites
        assert len(frauds_in(tmp_path, registry)) == 1


async def test_a_lie_about_a_record_that_this_institution_may_not_see_is_shown_by_the_quorum(
    tmp_path: Path,
) -> None:
    registry = Registry(
        [
            Institution("clinic-a", writes=[Scope(HEALTH, "a")]),
            Institution("clinic-b", writes=[Scope(HEALTH, "b")]),
        ],
        seed=1,
        limits=Limits(deadline_ms=1_000),
    )
    registry.put(draft("1", compartment="b"), institution="clinic-b")
    registry.site(LIAR).alter_head = omits
    async with registry.client("clinic-a", outbox=tmp_path / "outbox") as client:
        assert (await word_of(client)).head.last_position == 0
    (fraud,) = frauds_in(tmp_path, registry)
    assert (fraud.kind, fraud.by_quorum) == ("head-against-quorum", True)


async def test_with_one_liar_and_one_site_gone_nothing_is_confirmed_and_the_liar_is_convicted_all_the_same(
    registry: Registry, tmp_path: Path
) -> None:
    registry.site(LIAR).alter_head = omits
    registry.site("site-3").down = True
    async with registry.client(outbox=tmp_path / "outbox") as client:
        with pytest.raises(SentoError) as error:
            await word_of(client)
        assert error.value.code is Code.NOT_CONFIRMED
        assert "site-3: UNREACHABLE" in error.value.detail
        assert "site-1 says no record" in error.value.detail
    (fraud,) = frauds_in(tmp_path, registry)
    assert (fraud.kind, fraud.site) == ("head-omits", LIAR)


async def test_two_liars_who_say_different_things_confirm_nothing_and_are_both_convicted(
    registry: Registry, tmp_path: Path
) -> None:
    registry.site("site-1").alter_head = omits
    registry.site("site-2").alter_head = invents
    async with registry.client(outbox=tmp_path / "outbox") as client:
        with pytest.raises(SentoError, match="NOT_CONFIRMED"):
            await word_of(client)
    assert sorted((fraud.kind, fraud.site) for fraud in frauds_in(tmp_path, registry)) == [
        ("head-invents", "site-2"),
        ("head-omits", "site-1"),
    ]


@pytest.mark.parametrize("gone", ["down", "mute"])
async def test_one_site_that_does_not_answer_holds_up_nothing_and_two_leave_it_unconfirmed(
    registry: Registry, gone: str
) -> None:
    setattr(registry.site("site-2"), gone, True)
    async with registry.client() as client:
        word = await word_of(client)
        assert (word.sites, word.liars) == (("site-1", "site-3"), ())
        setattr(registry.site("site-1"), gone, True)
        told = Confirming()
        with pytest.raises(SentoError) as error:
            await listed(client, told, freshness=Freshness.LOCAL)
        assert error.value.code is Code.NOT_CONFIRMED
        assert "2 sites must say the same; site-3 says position 3" in error.value.detail


@pytest.mark.parametrize("seed", range(3))
async def test_garbage_in_place_of_a_statement_is_an_answer_that_does_not_verify(
    registry: Registry, seed: int
) -> None:
    def spoil(message: Message) -> None:
        if isinstance(message, client_pb2.HeadReply):
            data = bytearray(message.statement)
            data[(40, 100, len(data) - 10)[seed]] ^= 1
            message.statement = bytes(data) if seed else os.urandom(100)

    registry.site(LIAR).alter = spoil
    async with registry.client() as client:
        word = await word_of(client)
        assert (word.sites, word.liars) == (("site-2", "site-3"), ())


async def test_a_site_cannot_speak_in_anothers_name(registry: Registry) -> None:
    statements: dict[str, bytes] = {}

    def keep(message: Message) -> None:
        if isinstance(message, client_pb2.HeadReply):
            statements["honest"] = message.statement

    def replay(message: Message) -> None:
        if isinstance(message, client_pb2.HeadReply) and "honest" in statements:
            message.statement = statements["honest"]

    registry.site("site-1").alter = keep
    registry.site("site-2").alter = registry.site("site-3").alter = replay
    async with registry.client() as client:
        with pytest.raises(SentoError, match="NOT_CONFIRMED"):
            await word_of(client)


async def test_a_site_that_is_a_moment_behind_is_asked_again(registry: Registry) -> None:
    behind = {"site-2": 2, "site-3": 3}

    def not_yet(site: str) -> Callable[[HeadStatement], HeadStatement]:
        def alter(statement: HeadStatement) -> HeadStatement:
            if behind[site]:
                behind[site] -= 1
                raise SentoError(Code.NOT_FOUND, "no quorum checkpoint of that size is known here")
            return statement

        return alter

    for site in behind:
        registry.site(site).alter_head = not_yet(site)
    async with registry.client() as client:
        assert len((await word_of(client)).sites) >= 2


async def test_a_site_that_shows_an_old_checkpoint_does_not_hold_the_reader_there(registry: Registry) -> None:
    registry.cosigned_size = 2
    old = registry.site(LIAR).ledger.checkpoint()
    registry.cosigned_size = None

    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.CheckpointReply):
            message.checkpoint = old

    registry.site(LIAR).alter = alter
    async with registry.client() as client:
        assert (await word_of(client)).size == 5


# -- a site that gives a false list -------------------------------------------------------------------------------------


def without_newest(message: Message) -> None:
    if isinstance(message, client_pb2.ListReply) and message.records:
        del message.records[0]


def nothing(message: Message) -> None:
    if isinstance(message, client_pb2.ListReply):
        del message.records[:]


@pytest.mark.parametrize("lie", [without_newest, nothing])
async def test_a_list_that_leaves_out_the_newest_is_found_out_and_the_next_site_is_asked(
    registry: Registry, lie: Callable[[Message], None]
) -> None:
    registry.site(LIAR).alter = lie
    async with registry.client() as client:
        unconfirmed = [
            version.position
            async for version in client.subject_history(registry=HEALTH, subject=NUMBER, **WHY)
        ]
        assert unconfirmed != [3, 2, 0], "without confirmation nothing shows that newer ones exist"
    async with registry.client() as client:
        versions = await listed(client, Confirming())
        assert [version.position for version in versions] == [3, 2, 0]
        assert {version.as_of.site for version in versions} != {LIAR}


async def test_a_fact_whose_newest_version_is_kept_back_is_found_out(registry: Registry) -> None:
    fact: dict[str, Any] = {"registry": HEALTH, "kind": "prescription", "subject": NUMBER, "fact": "2"}

    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply) and len(message.records) < 3:
            without_newest(message)
            if not message.records:
                message.records.append(registry.site(LIAR).ledger.stored(2))

    registry.site(LIAR).alter = alter
    async with registry.client() as client:
        assert (await client.fact(**fact, **WHY)).position == 2
    async with registry.client() as client:
        assert (await client.fact(confirmed=True, **fact, **WHY)).position == 3
        versions = [version.position async for version in client.history(confirmed=True, **fact, **WHY)]
        assert versions == [3, 2]


async def test_all_sites_leaving_out_the_newest_give_damaged_and_no_list(registry: Registry) -> None:
    registry.everywhere.alter = without_newest
    async with registry.client() as client:
        with pytest.raises(SentoError) as error:
            await listed(client, Confirming())
        assert error.value.code is Code.DAMAGED
