"""The bootstrap file: what it says, who signed it, and every way in which it is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from acts import governed, retire_officer, set_receipt_set
from genesis_builder import OFFICERS, SITES, ed25519
from ledger_driver import LedgerDriver
from sento_node.condition import Condition
from sento_node.epochs.here import EpochHere
from sento_node.joining.note import JOIN, Note, NoteFiles
from sento_node.joining.running import Joining
from sento_node.joining.starting import Begun
from sento_node.ledger.replay import governance_of
from sento_node.service.node_state import NodeState
from sento_proto.bootstrap import (
    NotSigned,
    SignedBootstrap,
    bootstrap_of,
    check_signed,
    decode_bootstrap,
    differs_from_ledger,
    encode_bootstrap,
    others_in_office,
    sign_bootstrap,
    signers_of,
    unsigned,
)
from sento_proto.errors import Code
from sento_proto.wire import Malformed

MADE_AT_MS = 1_792_000_000_000


def driven() -> LedgerDriver:
    driver = governed(rules=5, deputies={"officer-one": "deputy-one"})
    driver.announce(SITES[0], [5])
    driver.flush()
    return driver


def file_of(driver: LedgerDriver) -> SignedBootstrap:
    place = (0, driver.state.size, driver.state.frontier.root())
    return unsigned(bootstrap_of(driver.governance, driver.world.genesis_bytes, place, MADE_AT_MS))


def signed_by(driver: LedgerDriver, *names: str) -> SignedBootstrap:
    signed = file_of(driver)
    for name in names:
        signed = sign_bootstrap(signed, driver.world.officer_signers[name])
    return signed


def body_with(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with its body changed and its signatures left."""
    value = json.loads(data)
    body = json.loads(base64.b64decode(value["body"]))
    change(body)
    value["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(value).encode()


def test_a_file_comes_back_as_it_was_written_and_names_who_signed() -> None:
    driver = driven()
    signed = signed_by(driver, "deputy-one", "officer-two")
    again = decode_bootstrap(encode_bootstrap(signed))
    assert again == signed
    assert check_signed(again) == ("officer-one", "officer-two")
    assert again.content.genesis.ledger_id == driver.world.ledger_id
    site = again.content.site(SITES[0])
    assert site is not None
    assert (site.votes, site.ledger) == (True, True)


def test_one_signature_too_few_does_not_count() -> None:
    signed = signed_by(driven(), "officer-one")
    assert signers_of(signed) == ("officer-one",)
    with pytest.raises(NotSigned, match="1 officers signed the file and 2 are needed"):
        check_signed(signed)


def test_an_officer_and_the_deputy_count_once() -> None:
    driver = driven()
    signed = signed_by(driver, "officer-one")
    with pytest.raises(NotSigned, match="count once"):
        sign_bootstrap(signed, driver.world.officer_signers["deputy-one"])
    twice = signed._replace(signatures=signed.signatures * 2)
    with pytest.raises(NotSigned, match="stands twice"):
        check_signed(decode_bootstrap(encode_bootstrap(twice)))


def test_somebody_who_is_not_in_office_signs_nothing() -> None:
    driver = driven()
    with pytest.raises(NotSigned, match="nobody who is in office"):
        sign_bootstrap(file_of(driver), ed25519("a stranger"))
    good = signed_by(driver, *OFFICERS[:2])
    alien = good.signatures[0]._replace(officer_key_id=b"x" * 16)
    with pytest.raises(NotSigned, match="not in office"):
        check_signed(good._replace(signatures=(alien, good.signatures[1])))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(size=body["size"] + 1),
        lambda body: body.update(epoch=1),
        lambda body: body.update(root="00" * 32),
        lambda body: body.update(made_at_ms=0),
        lambda body: body["sites"][0].update(address="10.0.0.66:7101"),
        lambda body: body["receipt_set"].update(quorum=3),
    ],
    ids=["size", "epoch", "root", "time", "address", "quorum"],
)
def test_a_file_that_was_altered_behind_the_signatures_does_not_verify(
    change: Callable[[dict[str, Any]], object],
) -> None:
    data = encode_bootstrap(signed_by(driven(), *OFFICERS[:2]))
    with pytest.raises(NotSigned, match="does not verify: the file was altered"):
        check_signed(decode_bootstrap(body_with(data, change)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda body: body.update(genesis=base64.b64encode(b"{}").decode()), "genesis is not the file"),
        (lambda body: body.update(ledger_id="00" * 32), "genesis is not the file"),
        (lambda body: body.update(threshold=1), "more than half of the officers"),
        (lambda body: body.update(more=1), "not known to this release"),
        (lambda body: body.pop("root"), "root is missing"),
        (lambda body: body.update(size=0), "size must be"),
        (lambda body: body["receipt_set"].update(quorum=1), "not a majority"),
        (lambda body: body["officers"].append(body["officers"][0]), "one entry twice"),
        (lambda body: body["sites"].append(body["sites"][0]), "one entry twice"),
        (lambda body: body["officers"][0].update(keys=[]), "must be the officer's"),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_whoever_signed(
    change: Callable[[dict[str, Any]], object], why: str
) -> None:
    data = encode_bootstrap(signed_by(driven(), *OFFICERS[:2]))
    with pytest.raises(Malformed, match=why):
        decode_bootstrap(body_with(data, change))


def test_a_file_cut_at_any_of_many_places_is_no_file() -> None:
    data = encode_bootstrap(signed_by(driven(), *OFFICERS[:2]))
    for end in range(0, len(data) - 2, 97):
        with pytest.raises(Malformed):
            decode_bootstrap(data[:end])


def test_a_file_is_compared_with_the_ledger_that_was_copied() -> None:
    driver = driven()
    content = file_of(driver).content
    root = driver.state.frontier.root()
    assert differs_from_ledger(content, driver.governance, root) == ""
    assert "another root" in differs_from_ledger(content, driver.governance, bytes(32))
    other = governed(rules=5, name="another")
    assert "another ledger" in differs_from_ledger(content, other.governance, root)
    stranger = content.officers[0]._replace(keys=(ed25519("stranger").public_key,))
    forged = content._replace(officers=(stranger, *content.officers[1:]))
    assert "never in office" in differs_from_ledger(forged, driver.governance, root)


def test_a_receipt_set_that_changed_later_does_not_make_an_older_file_false() -> None:
    driver = driven()
    content, root = file_of(driver).content, driver.state.frontier.root()
    for site in SITES[1:]:
        driver.announce(site, [5])
    assert driver.act(set_receipt_set(SITES[:2], 2)) is Code.ACCEPTED
    assert differs_from_ledger(content, driver.governance, root) == ""
    now = content._replace(size=driver.state.size)
    assert "receipt set" in differs_from_ledger(now, driver.governance, root)


def test_officers_who_left_cannot_sign_a_file_of_today_with_the_keys_they_kept() -> None:
    driver = driven()
    then = file_of(driver).content
    size = driver.state.size
    assert driver.act(retire_officer(OFFICERS[2])) is Code.ACCEPTED
    driver.flush()
    now = file_of(driver).content
    forged = now._replace(officers=then.officers, threshold=then.threshold)
    root = driver.state.frontier.root()
    assert differs_from_ledger(forged, driver.governance, root) == "", "they were in office once"
    genesis, store = driver.world.genesis, driver.store
    assert "other officers" in others_in_office(forged, governance_of(genesis, store, size=forged.size))
    assert others_in_office(now, governance_of(genesis, store, size=now.size)) == ""
    assert others_in_office(then, governance_of(genesis, store, size=size)) == "", "they were then"


def test_a_joining_site_asks_who_was_in_office_at_the_files_size(tmp_path: Path) -> None:
    driver = driven()
    then = file_of(driver).content
    assert driver.act(retire_officer(OFFICERS[2])) is Code.ACCEPTED
    driver.flush()
    now = file_of(driver).content
    for content, why in [(now, ""), (now._replace(officers=then.officers), "other officers were in office")]:
        begun = Begun(NoteFiles(tmp_path), Note(JOIN), unsigned(content))
        world = SimpleNamespace(
            config=SimpleNamespace(site=SITES[1], data_dir=tmp_path),
            epoch=EpochHere(),
            condition=Condition(),
            store=driver.store,
            genesis=driver.world.genesis,
            governance=driver.governance,
        )
        joining = Joining(begun, cast("NodeState", world), "", {})
        assert why in joining.unproven()
        assert bool(why) == bool(joining.unproven())
