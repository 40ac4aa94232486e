"""Small ledgers that meet every outcome of each rules number, as blocks in hex and what became of them: made once, applied by every later release.

`tests/golden/ledger_rules_*.json` hold the genesis, each block as the ordering log gave it, and after each block: its refusal, every outcome, the tree's
size and root; from rules 2 on the digest of the governance behind it too; `epoch` stands at the first block of a new epoch's log. A release that decides
one of them differently has changed rules that ledgers stand under, which is never allowed: it needs a number of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass

from epoch_story import raising_to_5, under_rules_5
from genesis_builder import SITES, TestWorld, build_genesis, make_act, make_block, make_submission
from governed_story import raising, raising_to_4, story_world, under_rules_2, under_rules_3, under_rules_4
from ledger_driver import LedgerDriver
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE, BlockResult
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.submission import group_value

Blocks = Iterator[tuple[list[bytes], bytes | None]]


def _blocks(driver: LedgerDriver, world: TestWorld, stranger: TestWorld) -> Blocks:
    """(submissions, or whole block bytes) in order."""
    first = driver.record("a", content=b"first version")
    yield [make_submission(world, "iizuka-city", [first, driver.record("b")])], None
    second = driver.record("a", previous=first.record_hash)
    yield [make_submission(world, "iizuka-city", [second, first])], None
    reused = driver.record("c", record_id=first.header.record_id)
    stale = [driver.record("a", previous=first.record_hash), driver.record("a")]
    missing = driver.record("d", previous=bytes([7]) * 32)
    yield [make_submission(world, "iizuka-city", [reused, *stale, missing, driver.record("e")])], None
    elsewhere = driver.record("f", registry="health")
    closed = driver.record("g", compartment="protected")
    yield (
        [make_submission(world, "iizuka-city", [elsewhere]), make_submission(world, "iizuka-city", [closed])],
        None,
    )
    ids = [world.numbers.record_id() for _ in range(2)]
    whole = [driver.record(f"h{at}", record_id=ids[at], group=group_value(ids)) for at in range(2)]
    others = [world.numbers.record_id() for _ in range(2)]
    broken = [
        driver.record("i", record_id=others[0], group=group_value(others)),
        driver.record("a", record_id=others[1], group=group_value(others)),
    ]
    yield [make_submission(world, "iizuka-city", [whole[0], driver.record("j"), whole[1], *broken])], None
    yield (
        [
            make_submission(
                world, "kaga-city", [driver.record(f"k{at}", author="kaga-city") for at in range(4)]
            )
        ],
        None,
    )
    good = make_submission(world, "iizuka-city", [driver.record("l")])
    unsigned = good[:-1] + bytes([good[-1] ^ 1])
    unknown = make_submission(
        stranger, "otsuchi-town", [LedgerDriver(stranger, driver.store).record("m", author="otsuchi-town")]
    )
    unknown = unknown[:1] + world.ledger_id + unknown[33:]
    foreign = make_submission(
        stranger, "otsuchi-town", [LedgerDriver(stranger, driver.store).record("n", author="otsuchi-town")]
    )
    act = make_act(world, b'{"act": "none"}', epoch=driver.state.epoch)
    yield [unsigned, unknown, foreign, good[:-1], act, good], None
    seq = driver.seq + 1
    yield [], make_block(world, SITES[0], [], seq, epoch=driver.state.epoch)[:-1]
    yield [], make_block(world, SITES[0], [good], seq + 2, epoch=driver.state.epoch)
    yield [], make_block(world, SITES[0], [], seq + 2, epoch=driver.state.epoch + 1)


def golden_world() -> TestWorld:
    """The world of the golden ledger: kaga-city's budget is used up within it."""
    return build_genesis(name="golden-rules-1", budgets={"kaga-city": (3, 10)})


def result_value(result: BlockResult) -> dict[str, object]:
    """What became of a block, as JSON."""
    return {
        "refusal": result.refusal.name if result.refusal else None,
        "submissions": [
            submission.refusal.name
            if submission.refusal
            else [
                outcome.code.name
                if outcome.position == NOWHERE
                else f"{outcome.code.name} {outcome.position}"
                for outcome in submission.outcomes
            ]
            for submission in result.submissions
        ],
        "size": result.size_after,
        "root": result.root.hex(),
        "links": [item.link.hex() for item in result.standing],
    }


def make_golden_ledger() -> str:
    """The file's text."""
    world = golden_world()
    stranger = build_genesis(name="stranger", authors={"otsuchi-town": (("residency", ""),)})
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    blocks = []
    for submissions, data in _blocks(driver, world, stranger):
        whole = data or make_block(world, SITES[0], submissions, driver.seq + 1, epoch=driver.state.epoch)
        result = driver.order(submissions, whole)
        blocks.append(
            {"lane": result.lane, "seq": result.seq, "block": whole.hex(), "then": result_value(result)}
        )
    document = {"rules": 1, "genesis": world.genesis_bytes.decode(), "blocks": blocks}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def make_governed_ledger(
    name: str, rules: int, *parts: Callable[[LedgerDriver], Iterator[list[bytes]]]
) -> str:
    """The text of a file whose blocks are these parts of the story of a governed ledger."""
    world = story_world(name, rules)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    blocks: list[dict[str, object]] = []
    epoch = driver.state.epoch
    for part in parts:
        for submissions in part(driver):
            whole = make_block(world, SITES[0], submissions, driver.seq + 1, epoch=driver.state.epoch)
            result = driver.order(submissions, whole)
            then = {**result_value(result), "governance": governance_digest(driver.governance)}
            begins = {} if driver.state.epoch == epoch else {"epoch": driver.state.epoch}
            epoch = driver.state.epoch
            blocks.append(
                {"lane": result.lane, "seq": result.seq, **begins, "block": whole.hex(), "then": then}
            )
    document = {"rules": rules, "genesis": world.genesis_bytes.decode(), "blocks": blocks}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


GOLDEN_LEDGERS: Mapping[str, Callable[[], str]] = {
    "ledger_rules_1": make_golden_ledger,
    "ledger_rules_2": lambda: make_governed_ledger("golden-rules-2", 2, under_rules_2),
    "ledger_rules_3": lambda: make_governed_ledger("golden-rules-3", 3, under_rules_2, under_rules_3),
    "ledger_rules_2_to_3": lambda: make_governed_ledger(
        "golden-rules-2-to-3", 2, under_rules_2, raising, under_rules_3
    ),
    "ledger_rules_4": lambda: make_governed_ledger(
        "golden-rules-4", 4, under_rules_2, under_rules_3, under_rules_4
    ),
    "ledger_rules_3_to_4": lambda: make_governed_ledger(
        "golden-rules-3-to-4", 3, under_rules_2, under_rules_3, raising_to_4, under_rules_4
    ),
    "ledger_rules_5": lambda: make_governed_ledger(
        "golden-rules-5", 5, under_rules_2, under_rules_3, under_rules_4, under_rules_5
    ),
    "ledger_rules_4_to_5": lambda: make_governed_ledger(
        "golden-rules-4-to-5", 4, under_rules_2, under_rules_3, under_rules_4, raising_to_5, under_rules_5
    ),
}
"""File name without ending -> what makes its text."""


KEPT_LATER = {"erasure_orders": 4}
"""Fields that say in more words what acts under older rules said too, with the rules number whose release first kept them."""


AS_EVER = (("ledger", True), ("address", ""), ("ordering_url", ""))
"""What every site was before a release could say otherwise: left out, as if it still could not."""


def governance_digest(governance: Governance) -> str:
    """SHA-256 over everything that a governance says, in hex. What is empty is left out: a later release may know more of which a ledger says nothing.

    So is what a later release keeps of the same acts, while their rules are in force: the files of those rules were made without."""
    said = _said(
        {
            one.name: getattr(governance, one.name)
            for one in fields(governance)
            if one.compare and governance.rules >= KEPT_LATER.get(one.name, 0)
        }
    )
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    """As JSON without order where there is none."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(_plain(inner)) for inner in value)
    if is_dataclass(value):
        named = {one.name: getattr(value, one.name) for one in fields(value) if one.compare}
        return _said({name: inner for name, inner in named.items() if (name, inner) not in AS_EVER})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _said(value._asdict())
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value


def _said(named: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in named.items() if value not in (None, b"", (), {}, False)}


EVERY_GOVERNED_OUTCOME = {
    Code.ACCEPTED, Code.KNOWN, Code.STALE, Code.PREDECESSOR_MISSING, Code.NOT_PERMITTED, Code.HELD, Code.UNKNOWN_AUTHOR, Code.BAD_SIGNATURE,
    Code.WRONG_LEDGER, Code.MALFORMED, Code.KEY_ENDED, Code.ACT_REFUSED, Code.KEY_EPOCH_CLOSED, Code.NOT_AN_OFFICER, Code.TOO_FEW_OFFICERS,
    Code.RULES_NOT_ANNOUNCED,
}  # fmt: skip
"""From rules 2 on, beside those of rules 1."""
EVERY_OUTCOME = {
    Code.ACCEPTED, Code.KNOWN, Code.RECORD_ID_REUSED, Code.STALE, Code.GROUP_REFUSED, Code.PREDECESSOR_MISSING, Code.NOT_PERMITTED,
    Code.HELD, Code.UNKNOWN_AUTHOR, Code.BAD_SIGNATURE, Code.WRONG_LEDGER, Code.MALFORMED,
}  # fmt: skip
