"""Surveys judged: whose word each is, and whether it is this ledger's; the site's own signature decides, and one that nobody signed says so.

A survey made on a copy of a disk whose site's key is gone is not signed: it may be used, and whoever signs a plan that rests on it reads that. A signature that
does not verify is another matter: it was altered, or somebody else made it, and it is refused. Pure.
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
    """The survey as a witness of this ledger. Raises SentoError: MALFORMED, WRONG_LEDGER, BAD_SIGNATURE, each with the site's name."""
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
    if not opened.signatures:
        return Witness(survey, False, file.answered)
    keys = governance.site_keys_since_genesis(survey.site)
    if not word_holds(SURVEY, governance.ledger_id, opened.body, opened.signatures, keys):
        raise SentoError(
            Code.BAD_SIGNATURE,
            f"the survey of {survey.site} is not signed by a key that this site has or had: it was altered, or others made it. Leave it out",
        )
    return Witness(survey, True, file.answered)


def _signature(fields: Fields) -> Signature:
    return Signature(fields.number("suite", 0, 0xFFFF), fields.blob("data"))
