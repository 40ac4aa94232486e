"""What a joining site does next, from its note and from what it sees of the ordering log."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from genesis_builder import SITES, build_genesis
from ledger_driver import LedgerDriver, signed_checkpoint
from sento_node.joining.deciding import (
    GAP_MAX_ENTRIES,
    AddLearner,
    Adopt,
    GiveUp,
    GoOn,
    MakeLedger,
    Promote,
    PutAway,
    Remove,
    Seen,
    SetAside,
    StartMember,
    Voting,
    Wait,
    local_step,
    member_step,
)
from sento_node.joining.note import JOIN, REPLACE_DISK, VOTE, Note, NoteDamaged, NoteFiles
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ordering.boot import (
    BOOTS_AHEAD_MAX,
    LocalDisk,
    PeerMemory,
    Raise,
    Refuse,
    Start,
    decide_boot,
    shown,
    steady,
)
from sento_node.ordering.boot import Wait as BootWait
from sento_node.ordering.etcd.members import Member
from sento_proto.checkpoint import SiteKeys

URL = "https://127.0.0.1:1"
A, B = Member(1, "a", "https://127.0.0.1:2", True), Member(2, "b", "https://127.0.0.1:3", True)
FORMER = Member(3, "here", URL, True)
FRESH = Member(9, "", URL, False)
STARTED = FRESH._replace(site="here")
VOTES = STARTED._replace(votes=True)
REPLACED = Note(REPLACE_DISK, set_aside=True, ledger_made=True, confirmed=True)
OURS = dataclasses.replace(REPLACED, member_id=9)
NEW = dataclasses.replace(REPLACED, kind=JOIN)
GIVEN = dataclasses.replace(REPLACED, kind=VOTE)
TAKING = dataclasses.replace(GIVEN, member_id=9)
START_OURS = StartMember((("a", A.peer_url), ("b", B.peer_url), ("here", URL)))


def seen(*members: Member, has_log: bool = False, **more: object) -> Seen:
    return Seen("here", URL, (A, B, *members), has_log=has_log, **more)  # type: ignore[arg-type]


def test_the_disk_is_made_ready_before_the_node_starts() -> None:
    assert local_step(Note(REPLACE_DISK, aside=4)) == SetAside(4)
    assert local_step(Note(REPLACE_DISK, aside=4, set_aside=True)) == MakeLedger()
    assert local_step(REPLACED) == GoOn()


@pytest.mark.parametrize(
    ("note", "look", "step"),
    [
        (REPLACED, seen(FORMER), Remove(3)),
        (REPLACED, seen(), AddLearner()),
        (REPLACED, seen(FRESH), Adopt(9)),
        (REPLACED, seen(STARTED), Remove(9)),
        (OURS, seen(FORMER, FRESH), Remove(3)),
        (OURS, seen(FRESH), StartMember((("a", A.peer_url), ("b", B.peer_url), ("here", URL)))),
        (OURS, seen(STARTED), Remove(9)),
        (OURS, seen(), AddLearner()),
        (
            OURS,
            seen(STARTED, has_log=True),
            StartMember((("a", A.peer_url), ("b", B.peer_url), ("here", URL))),
        ),
        (
            OURS,
            seen(STARTED, has_log=True, is_up=True),
            Wait("The ledger is copied before the member may vote."),
        ),
        (OURS, seen(STARTED, has_log=True, is_up=True, copied=True, behind=GAP_MAX_ENTRIES), Promote(9)),
        (OURS, seen(VOTES, has_log=True, is_up=True), Voting()),
        (NEW, seen(), AddLearner()),
        (NEW, seen(FRESH), Adopt(9)),
        (GIVEN, seen(), AddLearner()),
        (GIVEN, seen(FRESH), Adopt(9)),
        (GIVEN, seen(STARTED), Remove(9)),
        (TAKING, seen(STARTED, has_log=True, by_lead=True), START_OURS),
        (TAKING, seen(has_log=True, by_lead=True), PutAway()),
        (
            TAKING,
            seen(has_log=True),
            Wait("Whether this site's member was removed is asked of the lead's node."),
        ),
        (TAKING, seen(by_lead=True), AddLearner()),
    ],
    ids=[
        "the former member is removed",
        "a learner is added",
        "a learner whose number was not noted is found again",
        "a learner of a life before, whose disk is gone, is removed",
        "a former member beside ours is removed",
        "ours is started",
        "ours started and lost its disk before it voted",
        "ours was removed before it started",
        "ours is started again",
        "ours waits for the ledger",
        "ours is promoted",
        "ours votes",
        "a new site's learner is added",
        "a new site's learner is found again",
        "a learner is added for a vote",
        "a learner for a vote is found again",
        "a learner whose log is not here gives way",
        "a learner for a vote is started again",
        "a learner for a vote was removed",
        "whether it was removed only the lead can tell",
        "it was removed before it started",
    ],
)
def test_the_next_step_follows_from_what_is_there(note: Note, look: Seen, step: object) -> None:
    assert member_step(note, look) == step


@pytest.mark.parametrize(
    ("note", "look", "words"),
    [
        (OURS, seen(has_log=True), "no member of the ordering log any more"),
        (OURS, seen(VOTES), "must not start"),
        (NEW, seen(FORMER), "this site is not new"),
        (GIVEN, seen(FORMER), "does not hold its log"),
    ],
)
def test_what_no_repetition_mends_ends_the_joining_in_words(note: Note, look: Seen, words: str) -> None:
    step = member_step(note, look)
    assert isinstance(step, GiveUp)
    assert words in step.words


@pytest.mark.parametrize("behind", [None, GAP_MAX_ENTRIES + 1])
def test_a_learner_that_lacks_too_much_or_cannot_tell_is_not_promoted(behind: int | None) -> None:
    step = member_step(OURS, seen(STARTED, has_log=True, is_up=True, copied=True, behind=behind))
    assert isinstance(step, Wait)


def test_the_note_survives_and_what_lay_there_is_set_aside_once(tmp_path: Path) -> None:
    files = NoteFiles(tmp_path)
    for name in ("ledger", "ordering", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "boot-number").write_text("4")
    assert files.next_aside() == 1
    files.begin(Note(REPLACE_DISK, aside=1), b"a file")
    (tmp_path / "replaced-1").mkdir()
    (tmp_path / "ledger").rename(tmp_path / "replaced-1" / "ledger")  # killed behind the first move
    files.move_aside(1)
    assert sorted(path.name for path in (tmp_path / "replaced-1").iterdir()) == [
        "boot-number", "ledger", "ordering",
    ]  # fmt: skip
    assert files.read() == Note(REPLACE_DISK, aside=1)
    assert (tmp_path / "lost+found").exists()
    assert files.next_aside() == 0, "nothing is left to be set aside"
    files.end()
    assert files.read() is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format":"sento-joining-2"}'])
def test_a_note_that_cannot_be_read_stops_the_site(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "joining").write_bytes(data)
    with pytest.raises(NoteDamaged, match="replace-disk --anew"):
        NoteFiles(tmp_path).read()


EMPTY = LocalDisk(0, 0, member_started=False, member_has_data=False, ledger_size=0, cosigned_size=0)
OTHERS = frozenset({"a", "b"})


def test_a_new_disk_takes_a_number_above_all_that_is_remembered() -> None:
    answers = {"a": PeerMemory(7, 100), "b": PeerMemory(9, 140)}
    assert isinstance(decide_boot(EMPTY, 1, answers, OTHERS), Refuse)
    assert decide_boot(EMPTY, 1, answers, OTHERS, takes_new_number=True) == Raise(10)
    assert decide_boot(EMPTY, 10, answers, OTHERS, takes_new_number=True) == Start(10, 140)
    assert isinstance(decide_boot(EMPTY, 10, {}, OTHERS, takes_new_number=True), BootWait)


def test_a_site_without_a_member_is_not_refused_for_a_disk_that_went_back() -> None:
    rolled_back = LocalDisk(3, 9, member_started=True, member_has_data=False, ledger_size=5, cosigned_size=5)
    answers = {"a": PeerMemory(8, 20)}
    assert decide_boot(rolled_back, 4, answers, OTHERS, takes_new_number=True) == Raise(9)
    assert decide_boot(rolled_back, 9, answers, OTHERS, takes_new_number=True) == Start(9, 20)


@pytest.mark.parametrize("claim", [BOOTS_AHEAD_MAX + 100, 10**12, 2**64 - 2])
def test_one_site_that_remembers_more_boots_than_can_have_been_does_not_use_up_the_numbers(
    claim: int,
) -> None:
    false = PeerMemory(claim, 100)
    answers = {"a": false, "b": PeerMemory(9, 140)}
    assert decide_boot(EMPTY, 1, answers, OTHERS, takes_new_number=True) == Raise(10)
    assert decide_boot(EMPTY, 10, answers, OTHERS, takes_new_number=True) == Start(10, 140)
    assert isinstance(decide_boot(EMPTY, 1, {"a": false}, OTHERS, takes_new_number=True), BootWait)


def test_numbers_that_were_used_up_once_are_believed_of_two_sites() -> None:
    answers = {"a": PeerMemory(10**9, 0), "b": PeerMemory(10**9 + 3, 0)}
    assert decide_boot(EMPTY, 1, answers, OTHERS, takes_new_number=True) == Raise(10**9 + 4)


def test_a_site_that_remembers_more_with_each_announcement_is_not_heeded_twice() -> None:
    first = {"a": PeerMemory(7, 0), "b": PeerMemory(3, 0)}
    assert decide_boot(EMPTY, 1, steady(first, {}, 1), OTHERS, takes_new_number=True) == Raise(8)
    told = {"a": PeerMemory(8, 0), "b": PeerMemory(3, 0)}
    assert decide_boot(EMPTY, 8, steady(told, first, 8), OTHERS, takes_new_number=True) == Start(8, 0)


def test_an_honest_site_that_remembers_this_lifes_own_former_number_is_heard() -> None:
    first, again = {"a": PeerMemory(0, 5)}, {"a": PeerMemory(1, 5)}
    assert steady(again, first, 10) == again


def test_a_cosigned_size_is_believed_only_with_this_sites_own_cosignature_under_it() -> None:
    world = build_genesis()
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    driver.fill(3)
    own, other = SITES[0], SITES[1]
    keys = SiteKeys(world.site_keys[own])

    def believed(
        note: bytes, size: int, ledger_id: bytes = world.ledger_id, of: SiteKeys | None = keys
    ) -> int:
        return shown(PeerMemory(1, size, note), ledger_id, own, of).cosigned_size

    mine = signed_checkpoint(world, driver.state, [own, other]).note
    theirs = signed_checkpoint(world, driver.state, [other]).note
    assert believed(mine, 3) == 3
    assert believed(mine, 4) == believed(theirs, 3) == believed(b"", 3) == believed(b"no note", 3) == 0
    assert believed(mine, 3, ledger_id=bytes(32)) == believed(mine, 3, of=None) == 0
