"""Shares on paper and in files: what was written down is read back, and every mistake is told by its place and never by the word."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from shamir_mnemonic.share import Share

from recovery_world import LEDGER_ID, NAMES, derived, hold_ceremony
from sento_client.recovery.paper import WORDS, check_words, page, share_of_words, words_of
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.share_files import read_share, write_share
from sento_client.setup_errors import Setup, SetupError

HELD, OTHER = hold_ceremony("2027"), hold_ceremony("2028")
SHARE = HELD.shares[1]
GIVEN = words_of(SHARE)


def refused(text: str) -> tuple[Refusal, str]:
    with pytest.raises(RecoveryRefused) as error:
        share_of_words(text, [HELD.ceremony])
    details = "; ".join(error.value.details)
    assert not {word for word in text.lower().split() if len(word) > 3 and word in GIVEN} & set(
        details.split()
    )
    return error.value.code, details


@pytest.mark.parametrize("number", range(5))
def test_the_words_of_each_share_give_the_share(number: int) -> None:
    share = HELD.shares[number]
    assert share_of_words(" ".join(words_of(share)), [OTHER.ceremony, HELD.ceremony]) == share


@pytest.mark.parametrize(
    "text",
    [
        " ".join(GIVEN).upper(),
        "\n\n  ".join(GIVEN) + " \t\n",
        " ".join(word[:4] for word in GIVEN),
        "\n".join(f"{place}. {word}" for place, word in enumerate(GIVEN, start=1)),
        " ".join(f"{place:>2}) {word[:4].title()}" for place, word in enumerate(GIVEN, start=1)),
    ],
    ids=["capitals", "line ends", "four letters", "numbered", "all of it"],
)
def test_words_are_read_as_people_write_them(text: str) -> None:
    assert share_of_words(text, [HELD.ceremony]) == SHARE


def test_the_printed_page_itself_can_be_typed_in() -> None:
    text = page("Fukuoka registry", LEDGER_ID, HELD.ceremony, NAMES[1], SHARE)
    block = [line for line in text.splitlines() if line.strip()[:2].rstrip(".").isdigit()]
    assert share_of_words("\n".join(block), [HELD.ceremony]) == SHARE


def test_the_page_says_what_whoever_finds_it_needs() -> None:
    text = page("Fukuoka registry", LEDGER_ID, HELD.ceremony, NAMES[1], SHARE)
    committed = HELD.ceremony.share(2)
    assert committed is not None
    needed = (
        "SECRET", NAMES[1], "Fukuoka registry", LEDGER_ID.hex(), "2027", HELD.ceremony.ceremony_id.hex(), "3 of 5",
        "share 2", " ".join(check_words(committed.commitment)), "from-words",
    )  # fmt: skip
    assert all(part in text for part in needed)
    assert max(map(len, text.splitlines())) <= 150


def test_a_page_is_not_made_of_a_share_that_is_not_the_ceremonys() -> None:
    with pytest.raises(RecoveryRefused):
        page("Fukuoka registry", LEDGER_ID, OTHER.ceremony, NAMES[1], SHARE)


@pytest.mark.parametrize("place", [0, 1, 3, 4, 15, 29, 30, 32])
def test_one_wrong_word_is_found(place: int) -> None:
    from shamir_mnemonic.wordlist import WORDLIST

    other = WORDLIST[(WORDLIST.index(GIVEN[place]) + 1) % 1024]
    code, words = refused(" ".join([*GIVEN[:place], other, *GIVEN[place + 1 :]]))
    assert code is Refusal.WORDS_INVALID
    assert "check sum" in words


def test_two_words_that_changed_places_are_found() -> None:
    assert GIVEN[9] != GIVEN[10]
    swapped = [*GIVEN[:9], GIVEN[10], GIVEN[9], *GIVEN[11:]]
    assert refused(" ".join(swapped))[0] is Refusal.WORDS_INVALID


def test_words_that_are_in_no_list_are_told_by_their_places() -> None:
    spelt = ["qqqq", *GIVEN[1:6], GIVEN[6] + "x", *GIVEN[7:]]
    assert refused(" ".join(spelt)) == (Refusal.WORDS_INVALID, "not in the word list: word 1, 7")


@pytest.mark.parametrize("count", [0, 1, 32])
def test_missing_words_are_counted(count: int) -> None:
    assert refused(" ".join(GIVEN[:count])) == (
        Refusal.WORDS_INVALID,
        f"a share has {WORDS} words, these are {count}",
    )


def test_words_of_another_ceremony_are_refused_and_the_known_one_is_named() -> None:
    code, words = refused(" ".join(words_of(OTHER.shares[1])))
    assert code is Refusal.CEREMONY_UNKNOWN
    assert HELD.ceremony.words in words


def test_words_in_order_that_the_act_did_not_commit_to_are_a_wrong_share() -> None:
    forged = replace(SHARE, value=derived("forged"))
    code, words = refused(" ".join(words_of(forged)))
    assert code is Refusal.SHARE_WRONG
    assert "share 2" in words


def test_a_wallets_backup_is_not_taken_for_a_share() -> None:
    identifier = int.from_bytes(HELD.ceremony.ceremony_id[:2], "big") >> 1
    wallet = Share(identifier, True, 1, 0, 1, 1, 1, 3, SHARE.value)
    assert refused(wallet.mnemonic()) == (Refusal.WORDS_INVALID, "these words are a backup of something else")


def test_check_words_tell_shares_apart_and_are_not_the_words() -> None:
    said = {check_words(one.commitment) for one in (*HELD.ceremony.shares, *OTHER.ceremony.shares)}
    assert len(said) == 10
    committed = HELD.ceremony.share(2)
    assert committed is not None
    assert not set(check_words(committed.commitment)) <= set(GIVEN)


# Share files.


def test_a_share_file_is_read_back_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_share(tmp_path / "a.share", SHARE)
    assert read_share(tmp_path / "a.share") == SHARE
    assert stat.S_IMODE((tmp_path / "a.share").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_share_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_share(tmp_path / "a.share", SHARE)
    (tmp_path / "a.share").chmod(mode)
    with pytest.raises(SetupError) as error:
        read_share(tmp_path / "a.share")
    assert error.value.code is Setup.KEY_FILE_OPEN


@pytest.mark.parametrize("keep", [0, 5, 14, 30, 81])
def test_a_share_file_that_was_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.share"
    write_share(path, SHARE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecoveryRefused) as error:
        read_share(path)
    assert error.value.code is Refusal.SHARE_INVALID
