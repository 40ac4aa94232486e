"""Changes of officers' acts as JSON, for tests: each by the word that it has in an act, with sensible values where a test does not care."""

from __future__ import annotations

from collections.abc import Sequence

from genesis_builder import base64_of, build_genesis, ed25519, key_json
from ledger_driver import LedgerDriver
from sento_client.testing.world import derived
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.errors import Code
from sento_proto.governance.acts import CHANGES
from sento_proto.governance.state import delayed_case
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.keys import Signer
from sento_proto.strict_json import Fields

Change = dict[str, object]
Pair = tuple[str, str]


def governed(rules: int = 2, **build: object) -> LedgerDriver:
    """A ledger in memory that officers govern."""
    world = build_genesis(rules=rules, **build)  # type: ignore[arg-type]
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


def restarted(driver: LedgerDriver) -> LedgerDriver:
    """The same ledger in its next life, from what was flushed."""
    driver.flush()
    assert isinstance(driver.store, MemoryStore)
    return LedgerDriver(driver.world, driver.store.crash())


def assert_unfit(driver: LedgerDriver, change: Change, why: str) -> None:
    """The change is refused with its place, its name and its reason, when judged and when ordered, and changes nothing."""
    before, size = driver.governance, driver.state.size
    judged = driver.judged(change)
    assert (judged.code, why in judged.why) == (Code.ACT_REFUSED, True), judged.why
    assert judged.why.startswith((f"Change 1 ({change['do']})", "act: changes[0]")), judged.why
    assert driver.act(change) is Code.ACT_REFUSED
    assert (driver.governance, driver.state.size) == (before, size)


def case_id(value: Change | str) -> str:
    """A test case by its change, or by the beginning of its reason."""
    return str(value["do"]) if isinstance(value, dict) else value[:30]


def words(driver: LedgerDriver, change: Change) -> str:
    """What people are told of a change."""
    name = CHANGES[str(change["do"])]
    return name.read(Fields({k: v for k, v in change.items() if k != "do"}, "", "act")).words(
        driver.governance
    )


def scopes(*pairs: Pair) -> list[dict[str, str]]:
    """(registry, compartment) pairs."""
    return [{"registry": registry, "compartment": compartment} for registry, compartment in pairs]


def seal_key(name: str) -> str:
    """An X-Wing public key of this name, in base64."""
    return base64_of(xwing_public(derived("seal of", name, size=XWING_SECRET_BYTES)))


def budget(records: int = 10_000, subjects: int = 10_000) -> dict[str, int]:
    """A budget."""
    return {"records": records, "subjects": subjects}


def enrol_author(name: str, *keys: Signer, may: Sequence[Pair] = (("residency", ""),)) -> Change:
    """A new author, by default with one Ed25519 key of its name."""
    author = {
        "name": name,
        "keys": [key_json(key) for key in keys or (ed25519(name),)],
        "may_write": scopes(*may),
        "budget_per_10000_positions": budget(),
        "seal_key": seal_key(name),
    }
    return {"do": "enrol-author", **author}


def enrol_key(author: str, key: Signer) -> Change:
    """A further key."""
    return {"do": "enrol-key", "author": author, "key": key_json(key)}


def one_key(do: str, author: str, key: Signer, **more: object) -> Change:
    """retire-key, close-key or revoke-key."""
    return {"do": do, "author": author, "key_id": key.public_key.key_id.hex(), **more}


def permit(institution: str, may: str, *pairs: Pair) -> Change:
    """May from now on."""
    return {"do": "permit", "institution": institution, "may": may, "scopes": scopes(*pairs)}


def withdraw(institution: str, may: str, *pairs: Pair) -> Change:
    """May no longer."""
    return {**permit(institution, may, *pairs), "do": "withdraw"}


def set_budget(author: str, records: int, subjects: int) -> Change:
    """Another budget."""
    return {
        "do": "set-budget",
        "author": author,
        "budget_per_10000_positions": budget(records, subjects),
    }


def grant_budget(author: str, records: int, subjects: int) -> Change:
    """So much more in this window."""
    return {"do": "grant-budget", "author": author, "more": budget(records, subjects)}


def set_policy(author: str, on: bool) -> Change:
    """Whether ML-DSA-65 must sign too."""
    return {"do": "set-policy", "author": author, "ml_dsa_65": on}


def enrol_reader(name: str, *pairs: Pair, see: Sequence[Pair] = ()) -> Change:
    """A new reader."""
    change: Change = {
        "do": "enrol-reader",
        "name": name,
        "may_read": scopes(*pairs),
        "seal_key": seal_key(name),
    }
    return {**change, "may_see": scopes(*see)} if see else change


def revoke_reader(name: str) -> Change:
    """Reads nothing any more."""
    return {"do": "revoke-reader", "name": name}


def replace_seal_key(institution: str, name: str) -> Change:
    """Its keys are sealed to another key."""
    return {"do": "replace-seal-key", "institution": institution, "seal_key": seal_key(name)}


def add_registry(registry: str) -> Change:
    """A new registry."""
    return {"do": "add-registry", "registry": registry}


def start_key_epoch(registry: str, key_epoch: int, previous: str = "accepted") -> Change:
    """New keys."""
    return {"do": "start-key-epoch", "registry": registry, "key_epoch": key_epoch, "previous": previous}


def close_key_epoch(registry: str, key_epoch: int) -> Change:
    """No late records of old keys."""
    return {"do": "close-key-epoch", "registry": registry, "key_epoch": key_epoch}


def enrol_site(name: str, key: Signer) -> Change:
    """A new site."""
    place = dict.fromkeys(
        ("country", "region", "hazard_zone", "power", "carrier", "provider", "legal_basis"), "somewhere"
    )
    return {"do": "enrol-site", "site": {"name": name, "key": key_json(key), "votes": True, **place}}


def retire_site(name: str) -> Change:
    """No site any more."""
    return {"do": "retire-site", "name": name}


def rotate_site_key(name: str, key: Signer) -> Change:
    """Signs with another key."""
    return {"do": "rotate-site-key", "name": name, "key": key_json(key)}


def set_receipt_set(sites: Sequence[str], quorum: int) -> Change:
    """Whose cosignatures count."""
    return {"do": "set-receipt-set", "sites": list(sites), "quorum": quorum}


def enrol_officer(name: str, key: Signer, deputy: tuple[str, Signer] | None = None) -> Change:
    """Takes office."""
    officer: Change = {"name": name, "key": key_json(key)}
    if deputy is not None:
        officer["deputy"] = {"name": deputy[0], "key": key_json(deputy[1])}
    return {"do": "enrol-officer", "officer": officer}


def retire_officer(name: str) -> Change:
    """Leaves office."""
    return {"do": "retire-officer", "name": name}


def set_deputy(officer: str, deputy: tuple[str, Signer] | None) -> Change:
    """Who deputises."""
    change: Change = {"do": "set-deputy", "officer": officer}
    return change if deputy is None else {**change, "deputy": {"name": deputy[0], "key": key_json(deputy[1])}}


def set_threshold(threshold: int) -> Change:
    """How many act together."""
    return {"do": "set-threshold", "threshold": threshold}


def erase(*records: bytes, legal_basis: str = "Article 1") -> Change:
    """Payloads to be destroyed."""
    return {"do": "erase", "records": [record.hex() for record in records], "legal_basis": legal_basis}


def erase_subject(registry: str, subject: bytes, **fields: object) -> Change:
    """All payloads about a subject to be destroyed."""
    change: Change = {
        "do": "erase-subject",
        "registry": registry,
        "subject": subject.hex(),
        "legal_basis": "health act, article 12",
        "wait": "30 days",
    }
    return {**change, **fields}


def carry_out_erasure(order: int) -> Change:
    """Destroyed for ever."""
    return {"do": "carry-out-erasure", "order": order}


def withdraw_erasure(order: int) -> Change:
    """Given out again."""
    return {"do": "withdraw-erasure", "order": order}


def delay_read_log(
    name: str, *cases: str, registries: Sequence[str] = ("health",), **fields: object
) -> Change:
    """An investigation."""
    salt = derived("salt", name, size=16)
    change: Change = {
        "do": "delay-read-log",
        "name": name,
        "registries": list(registries),
        "salt": salt.hex(),
        "cases": [delayed_case(salt, case).hex() for case in cases],
    }
    return {**change, **fields}


def release_read_log(name: str) -> Change:
    """The end of one."""
    return {"do": "release-read-log", "name": name}


def require_key_agent(registry: str, compartment: str, agent: str) -> Change:
    """Keys are the agent's."""
    return {"do": "require-key-agent", "registry": registry, "compartment": compartment, "agent": agent}


def end_key_agent(registry: str, compartment: str) -> Change:
    """Keys are the readers' again."""
    return {"do": "end-key-agent", "registry": registry, "compartment": compartment}


def set_rules(rules: int) -> Change:
    """Other rules."""
    return {"do": "set-rules", "rules": rules}


def set_recovery_key(name: str, officers: Sequence[str], threshold: int, **fields: object) -> Change:
    """A recovery key whose shares these officers hold."""
    shares = [
        {"index": index, "officer": officer, "commitment": derived("share", officer).hex()}
        for index, officer in enumerate(officers, 1)
    ]
    change: Change = {
        "do": "set-recovery-key",
        "name": name,
        "public_key": seal_key(f"recovery {name}"),
        "threshold": threshold,
        "ceremony": derived("ceremony", name, size=16).hex(),
        "shares": shares,
    }
    return {**change, **fields}


def unlock(recovery_key: str, officers: Sequence[str], **fields: object) -> Change:
    """Keys of health, key epoch 1, are opened."""
    change: Change = {
        "do": "unlock",
        "registries": ["health"],
        "key_epochs": [1],
        "recovery_key": recovery_key,
        "officers": list(officers),
        "reason": "the hospital burnt down",
    }
    return {**change, **fields}
