"""Surveys judged: whose word each is, and whether it is this ledger's; the site's own signature decides, and one that nobody signed says so.

A survey made on a copy of a disk whose site's key is gone is not signed: it may be used, and whoever signs a plan that rests on it reads that. A signature that
does not verify is another matter: it was altered, or somebody else made it, and it is refused. So is one that contradicts itself: a site may be broken, or
lie, and what it says of its own log is nobody else's to prove. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_client.recovering.collected import SurveyFile
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.keys import Signature
from sento_proto.site_word import word_holds
from sento_proto.strict_json import Fields, load
from sento_proto.survey import SURVEY, Survey, decode_survey
from sento_proto.wire import Malformed

_SIGNATURES_MAX = 2


class Opened(NamedTuple):
    """A survey out of its envelope. `signatures`: none where nobody signed."""

    survey: Survey
    body: bytes
    signatures: tuple[Signature, ...]


class Witness(NamedTuple):
    """A judged survey: `signed` by its site, and `answered` by the running site itself."""

    survey: Survey
    signed: bool
    answered: bool

    @property
    def site(self) -> str:
        """Who says it."""
        return self.survey.site


def open_survey(data: bytes) -> Opened:
    """The survey in an envelope, form only. Raises Malformed."""
    if len(data) > SURVEY.max_bytes:
        raise Malformed(f"survey: over {SURVEY.max_bytes} bytes")
    fields = load(data, "survey")
    fields.choice("format", (SURVEY.format,))
    site, body = fields.institution("site"), fields.blob("body")
    signatures = fields.objects("signatures", _signature)
    fields.end()
    if len(signatures) > _SIGNATURES_MAX:
        raise Malformed(f"survey: over {_SIGNATURES_MAX} signatures")
    survey = decode_survey(body)
    if survey.site != site:
        raise Malformed(f"survey: the envelope is of {site}, what is in it of {survey.site}")
    return Opened(survey, body, signatures)


def judge_survey(file: SurveyFile, governance: Governance) -> Witness:
    """The survey as a witness of this ledger. Raises SentoError, each with the site's name: MALFORMED (also where it contradicts itself), WRONG_LEDGER,
    BAD_SIGNATURE."""
    try:
        opened = open_survey(file.data)
    except Malformed as error:
        raise SentoError(Code.MALFORMED, f"{error}: leave this survey out, or have it made anew") from None
    survey = opened.survey
    if survey.ledger_id != governance.ledger_id:
        raise SentoError(
            Code.WRONG_LEDGER,
            f"the survey of {survey.site} is of ledger {survey.ledger_id.hex()[:16]}, this is {governance.ledger_id.hex()[:16]}: leave it out",
        )
    if (why := contradiction(survey)) is not None:
        raise SentoError(
            Code.MALFORMED,
            f"the survey of {survey.site} contradicts itself: {why}. Leave it out, and have it made anew on a copy of that disk",
        )
    if not opened.signatures:
        return Witness(survey, False, file.answered)
    keys = governance.site_keys_since_genesis(survey.site)
    if not word_holds(SURVEY, governance.ledger_id, opened.body, opened.signatures, keys):
        raise SentoError(
            Code.BAD_SIGNATURE,
            f"the survey of {survey.site} is not signed by a key that this site has or had: it was altered, or others made it. Leave it out",
        )
    return Witness(survey, True, file.answered)


def contradiction(survey: Survey) -> str | None:
    """What of a survey cannot be true whatever the disk holds; None where it may be. More records than the ledger has come from blocks of a log alone."""
    tip, extended, tail = survey.tip, survey.extended, survey.tail
    blocks = 0 if tail is None else tail.blocks
    added = extended.block - tip.block
    if extended.size < tip.size or added < 0:
        return "its ledger is longer than the same with its log"
    if extended.size == tip.size and extended.root != tip.root:
        return "one size has two roots"
    if blocks != added:
        return f"its log holds {blocks} blocks behind the ledger, and {added} are said to follow"
    if not added and extended != tip:
        return "records are said to follow, and no block that they came in"
    if tail is not None and tail.uncommitted > blocks:
        return "more blocks are not known to be committed than there are"
    return None


def _signature(fields: Fields) -> Signature:
    return Signature(fields.number("suite", 0, 0xFFFF), fields.blob("data"))
