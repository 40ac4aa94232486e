"""Opening a sealed extract without any site: what is not proven is not shown, what has ended stays ended, and no use is missing from the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extracts_made import HOUR_MS, ExtractMaker
from sento_client import Code, Ports, SentoClient, SentoError, Setup, SetupError
from sento_client.extracts import opening
from sento_client.extracts.names import open_names, seal_names
from sento_client.extracts.use_log import Use, UseLog, opened_log
from sento_client.testing import Institution, Registry
from sento_proto.extract import decode_extract, release_record_id, use_record_id
from sento_proto.seal import XWingOpener
from sento_proto.sealing import CannotOpen

CITY, CLINIC, OTHER = "iizuka-city", "shelter-clinic", "other-clinic"
PERSON, NEIGHBOUR, STRANGER = "900000000115", "900000000123", "900000000131"
MADE_MS = 1_767_312_000_000


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ms = MADE_MS + HOUR_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def registry(clock: SetClock) -> Registry:
    registry = Registry(
        [
            Institution(CITY, writes=["health"]),
            Institution(CLINIC, reads=["health"]),
            Institution(OTHER, reads=["health"]),
        ],
        rules=2,
        ports=Ports(wall_ms=clock),
    )
    async with registry.client(CITY) as sento:
        for who, text in ((PERSON, b"allergy: penicillin"), (NEIGHBOUR, b"none")):
            await sento.write(registry="health", kind="health/note", subject=who, fact="one", content=text)
        await sento.write(
            registry="health", kind="health/note", subject=PERSON, fact="two", content=b"insulin"
        )
    return registry


@pytest.fixture
def made(registry: Registry) -> ExtractMaker:
    return ExtractMaker(registry, CLINIC, made_at_ms=MADE_MS)


@pytest.fixture
def clinic(registry: Registry, tmp_path: Path) -> SentoClient:
    return registry.client(CLINIC, outbox=tmp_path / "outbox")


@pytest.fixture(autouse=True)
def _no_site(registry: Registry) -> None:
    """Nothing here asks anybody."""
    registry.everywhere.down = True


def show(client: SentoClient, data: bytes, who: str = PERSON, case_number: str = "2026-7") -> opening.Shown:
    return client.open_extract(data, who, purpose="treatment", case_number=case_number)


def refusal(client: SentoClient, data: bytes, who: str = PERSON) -> Code:
    with pytest.raises(SentoError) as refused:
        show(client, data, who)
    return refused.value.code


def uses(client: SentoClient) -> list[Use]:
    with opened_log(client.extracts_directory) as log:
        return log.waiting


# What is shown.


def test_a_persons_records_are_opened_with_the_seal_key_alone_and_say_as_of_when(
    clinic: SentoClient, made: ExtractMaker
) -> None:
    shown = show(clinic, made.make([PERSON, NEIGHBOUR]))
    assert [version.content for version in shown.versions] == [b"insulin", b"allergy: penicillin"]
    assert all(version.findings.ok for version in shown.versions)
    assert (shown.header.site, shown.age_ms) == ("site-1", 2 * HOUR_MS)
    assert {version.as_of.site for version in shown.versions} == {"site-1"}


def test_the_use_says_of_whom_why_and_when(clinic: SentoClient, made: ExtractMaker) -> None:
    data = made.make([PERSON])
    show(clinic, data)
    (use,) = uses(clinic)
    assert (use.purpose, use.case_number, use.records) == ("treatment", "2026-7", 2)
    assert (use.opened_at_ms, use.extract_id) == (
        MADE_MS + HOUR_MS,
        decode_extract(data).header.extract_id,
    )
    assert PERSON not in (clinic.extracts_directory / "calls-000000000001.jsonl").read_text()


def test_a_person_whom_it_was_not_made_for_is_not_found_and_nothing_is_logged(
    clinic: SentoClient, made: ExtractMaker
) -> None:
    assert refusal(clinic, made.make([PERSON]), STRANGER) is Code.NOT_FOUND
    assert uses(clinic) == []


def test_without_a_case_number_nothing_is_shown(clinic: SentoClient, made: ExtractMaker) -> None:
    with pytest.raises(SentoError) as refused:
        show(clinic, made.make([PERSON]), case_number=" ")
    assert refused.value.code is Code.PURPOSE_MISSING
    assert uses(clinic) == []


# What is not believed.


def test_any_altered_byte_shows_nothing(clinic: SentoClient, made: ExtractMaker) -> None:
    data = made.make([PERSON])
    for place in range(0, len(data), max(1, len(data) // 60)):
        altered = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        assert refusal(clinic, altered) in (Code.DAMAGED, Code.NOT_PERMITTED), place
    for cut in (0, 1, 100, len(data) - 1):
        assert refusal(clinic, data[:cut]) is Code.DAMAGED
    assert refusal(clinic, data + b"\0") is Code.DAMAGED
    assert uses(clinic) == []


def test_extract_under_another_sites_name_is_refused(clinic: SentoClient, made: ExtractMaker) -> None:
    made.signed_by = "site-2"
    assert refusal(clinic, made.make([PERSON])) is Code.DAMAGED


@pytest.mark.parametrize("place", [0, -1])
def test_site_that_leaves_out_a_record_from_a_chain_is_found_out_except_at_its_newest_end(
    clinic: SentoClient, made: ExtractMaker, place: int
) -> None:
    made.leave_out = place
    data = made.make([PERSON])
    if place == 0:
        assert refusal(clinic, data) is Code.DAMAGED
    else:  # only the site's word says that nothing newer stands, as of its checkpoint
        assert len(show(clinic, data).versions) == 1


def test_checkpoint_without_a_quorum_is_refused(
    registry: Registry, clinic: SentoClient, made: ExtractMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = registry._ledger.checkpoint(["site-1"])
    monkeypatch.setattr(registry._ledger, "checkpoint", lambda: note)
    assert refusal(clinic, made.make([PERSON])) is Code.DAMAGED


def test_extract_for_another_reader_is_refused_whoever_it_is_sealed_to(
    clinic: SentoClient, made: ExtractMaker
) -> None:
    made.reader = OTHER
    assert refusal(clinic, made.make([PERSON])) is Code.NOT_PERMITTED
    made.sealed_to = CLINIC
    assert refusal(clinic, made.make([PERSON])) is Code.NOT_PERMITTED
    assert uses(clinic) == []


# Time.


def test_ended_extract_opens_no_more(clinic: SentoClient, made: ExtractMaker, clock: SetClock) -> None:
    data = made.make([PERSON])
    clock.now_ms = MADE_MS + 24 * HOUR_MS - 1
    show(clinic, data)
    clock.now_ms += 1
    assert refusal(clinic, data) is Code.EXTRACT_ENDED


def test_clock_that_is_set_back_opens_nothing_that_has_ended(
    clinic: SentoClient, made: ExtractMaker, clock: SetClock
) -> None:
    data = made.make([PERSON])
    newer = ExtractMaker(made.registry, CLINIC, made_at_ms=MADE_MS + 20 * HOUR_MS).make([PERSON])
    clock.now_ms = MADE_MS + 25 * HOUR_MS
    show(clinic, newer)
    clock.now_ms = MADE_MS + HOUR_MS
    assert refusal(clinic, data) is Code.EXTRACT_ENDED
    shown = show(clinic, newer)
    assert shown.clock_behind_ms == 24 * HOUR_MS
    assert [use.opened_at_ms for use in uses(clinic)] == [MADE_MS + 25 * HOUR_MS] * 2


def test_clock_before_the_extract_was_made_counts_as_then(
    clinic: SentoClient, made: ExtractMaker, clock: SetClock
) -> None:
    clock.now_ms = MADE_MS - 40 * HOUR_MS
    assert show(clinic, made.make([PERSON])).now_ms == MADE_MS


# The log.


def test_killed_between_log_and_showing_leaves_the_use_in_the_log(
    clinic: SentoClient, made: ExtractMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(opening, "_versions", die)
    with pytest.raises(Killed):
        show(clinic, made.make([PERSON]))
    assert len(uses(clinic)) == 1


def test_a_log_that_cannot_be_written_shows_nothing(
    clinic: SentoClient, made: ExtractMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SetupError(Setup.EXTRACTS_UNUSABLE, "no room")

    shown: list[object] = []

    def versions(*_: object) -> tuple[()]:
        shown.append(1)
        return ()

    monkeypatch.setattr(opening, "_versions", versions)
    monkeypatch.setattr(UseLog, "opened", fail)
    with pytest.raises(SetupError):
        show(clinic, made.make([PERSON]))
    assert shown == []


def test_line_cut_by_a_power_loss_is_cut_off_and_an_altered_one_stops_everything(
    clinic: SentoClient, made: ExtractMaker
) -> None:
    data = made.make([PERSON])
    for _ in range(3):
        show(clinic, data)
    path = clinic.extracts_directory / "calls-000000000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert len(uses(clinic)) == 2
    lines = path.read_bytes().splitlines()
    value = json.loads(lines[0])
    value["opened"]["purpose"] = "something else"
    path.write_bytes(b"\n".join([json.dumps(value).encode(), *lines[1:], b""]))
    with pytest.raises(SetupError) as refused:
        show(clinic, data)
    assert refused.value.code is Setup.EXTRACTS_UNUSABLE


def test_what_was_reported_waits_no_more_also_for_the_next_program(
    clinic: SentoClient, made: ExtractMaker
) -> None:
    data = made.make([PERSON])
    show(clinic, data)
    show(clinic, data)
    with opened_log(clinic.extracts_directory) as log:
        first = log.waiting[0]
        log.reported([first.use_id], MADE_MS)
    assert len(uses(clinic)) == 1
    assert first not in uses(clinic)


# Small parts.


def test_ids_follow_from_extract_reader_and_what_happened() -> None:
    extract_id = bytes.fromhex("019b7b2f2c0070008000000000000001")
    base = use_record_id(extract_id, CLINIC, bytes(16))
    others = {
        use_record_id(extract_id, OTHER, bytes(16)),
        use_record_id(extract_id, CLINIC, b"1" * 16),
        use_record_id(extract_id[:-1] + b"2", CLINIC, bytes(16)),
        release_record_id(extract_id, CLINIC, bytes(16)),
    }
    assert base not in others
    assert len(others) == 4
    assert base[:6] == extract_id[:6]


def test_names_open_for_their_own_key_and_extract_alone() -> None:
    own, other = XWingOpener(bytes(96)), XWingOpener(bytes([1]) * 96)
    names = {PERSON: bytes([7]) * 32}
    data = seal_names(names, bytes(16), own.public_key, bytes(range(32)))
    assert open_names(data, bytes(16), own) == names
    assert PERSON.encode() not in data
    for extract_id, opener in ((b"1" * 16, own), (bytes(16), other)):
        with pytest.raises(CannotOpen):
            open_names(data, extract_id, opener)


def test_extract_says_nothing_of_a_person_in_clear(made: ExtractMaker) -> None:
    data = made.make([PERSON])
    pseudonym = made.registry._cabinet.pseudonym("health", PERSON)
    for word in (PERSON.encode(), pseudonym, pseudonym.hex().encode(), b'2026-7"', b"insulin"):
        assert word not in data
