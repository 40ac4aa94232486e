"""Making and judging bootstrap files with this computer's own view of the ledger: followed governance and a quorum's checkpoint, both verified here.

An officer signs for what the own computer sees, not for what the file says: the file's tree must be a beginning of the ledger that a quorum cosigned now, in
the epoch of now, and its receipt set, officers and threshold those that are in force there.
"""

from __future__ import annotations

from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.verifying import Verdict
from sento_proto.bootstrap import Bootstrap, SignedBootstrap, bootstrap_of, differs_from_ledger, unsigned
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError


async def make_bootstrap(client: GoverningClient) -> SignedBootstrap:
    """The file of the newest checkpoint, signed by nobody yet. Raises SentoError, SetupError."""
    followed, checkpoint = await client.newest_proven()
    governance = followed.governance
    if not governance.officers.threshold:
        raise SentoError(
            Code.TOO_FEW_OFFICERS, "this ledger has no officers, so nobody can sign a bootstrap file"
        )
    if not checkpoint.size:
        raise SentoError(
            Code.NOT_FRESH, "the ledger is empty; a bootstrap file needs a checkpoint over a record"
        )
    place = (checkpoint.epoch, checkpoint.size, checkpoint.root)
    return unsigned(bootstrap_of(governance, client.place.trust_file.genesis_bytes, place, client.wall_ms))


async def check_bootstrap(client: GoverningClient, content: Bootstrap) -> Followed:
    """Governance as of the file's size. Raises SentoError WRONG_LEDGER or NOT_PROVEN when the file is not of the ledger that this computer sees."""
    if content.ledger_id != client.place.trust_file.genesis.ledger_id:
        raise SentoError(Code.WRONG_LEDGER, f"the file is of ledger {content.ledger_id.hex()}")
    followed, newest = await client.newest_proven()
    if content.epoch != newest.epoch:
        raise SentoError(
            Code.NOT_PROVEN,
            f"the file is of epoch {content.epoch} and the ledger is in epoch {newest.epoch}: make it anew",
        )
    if content.size > newest.size:
        raise SentoError(
            Code.NOT_PROVEN,
            f"the file names size {content.size}, and the newest that a quorum cosigned is {newest.size}",
        )
    await _check_tree(client, content, newest)
    then = followed.first(content.size)
    why = differs_from_ledger(content, then.governance, content.root) or _differs_now(content, then)
    if why:
        raise SentoError(Code.NOT_PROVEN, f"the file does not say what the ledger says: {why}")
    return then


async def _check_tree(client: GoverningClient, content: Bootstrap, newest: Checkpoint) -> None:
    if content.size == newest.size:
        if content.root != newest.root:
            raise SentoError(Code.NOT_PROVEN, f"a quorum cosigned another root at size {content.size}")
        return
    older = newest._replace(size=content.size, root=content.root, signatures=())
    try:
        finding = await client.prove_older(older, newest)
    except SentoError as error:
        if error.code is not Code.DAMAGED:
            raise
        raise SentoError(
            Code.NOT_PROVEN,
            f"no site could show that the file's tree is a part of the ledger ({error.detail})",
        ) from error
    if finding.verdict is not Verdict.HOLDS:
        raise SentoError(Code.NOT_PROVEN, f"the file's tree is no part of the ledger: {finding.why}")


def _differs_now(content: Bootstrap, followed: Followed) -> str:
    """Where the file's officers and sites are not those in force at its size; "" where they are."""
    governance = followed.governance
    ours = bootstrap_of(
        governance, content.genesis_file, (content.epoch, content.size, content.root), content.made_at_ms
    )
    if content.officers != ours.officers or content.threshold != ours.threshold:
        return "other officers are in office"
    if content.receipt_set != ours.receipt_set:
        return "another receipt set is in force"
    if content.sites != ours.sites:
        return "its sites, or where they are reached, are others; make it anew"
    return "it names the ledger otherwise" if content.name != ours.name else ""
