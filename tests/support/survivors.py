"""Survivors of a lost majority for tests: surveys signed with real keys over a small ledger, and a collection of them, with nothing behind them on any disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from genesis_builder import TestWorld, build_genesis
from receipts_made import TIME_S, SmallLedger
from sento_client.recovering.collected import Collected, Known, Silent, SurveyFile
from sento_client.recovering.planning import Wishes
from sento_proto.checkpoint import SiteSigners, encode_checkpoint
from sento_proto.header import ZERO32
from sento_proto.merkle import root_of
from sento_proto.site_word import sign_word
from sento_proto.survey import SURVEY, Contact, LogTail, Survey, Tree, encode_survey, unsigned_survey_file

VOTING = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
EMBASSY, SECOND = "se-uppsala", "ca-ottawa"
URLS = ((SECOND, "https://ca.example:2380"), (EMBASSY, "https://se.example:2380"))
NOW_MS = TIME_S * 1000 + 600_000
RECORDS = 40


def world_with_embassies(**build: object) -> TestWorld:
    """Three voting sites and two embassies; receipts need two of the voting ones."""
    given: dict[str, object] = {"embassies": (EMBASSY, SECOND), "rules": 5, **build}
    return build_genesis(**given)  # type: ignore[arg-type]  # each caller names arguments of their own types


class Ruins:
    """What stands of one ledger. A block holds one record, so that block numbers are sizes."""

    def __init__(self, world: TestWorld | None = None, records: int = RECORDS) -> None:
        self.world = world or world_with_embassies()
        self.ledger = SmallLedger.of(self.world, records)

    def tree(self, size: int) -> Tree:
        """The ledger's first `size` records."""
        return Tree(size, root_of(self.ledger.hashes[:size]), size)

    def survey(
        self,
        site: str,
        size: int,
        *,
        agreed: int | None = None,
        tail: int | None = None,
        uncommitted: int = 0,
        log_end: tuple[int, int] = (2, 100),
        **fields: object,
    ) -> Survey:
        """A survey of `site` with `size` records on disk and, as a voter, `tail` more in its log."""
        note = b"" if agreed is None else encode_checkpoint(self.ledger.checkpoint(agreed, sites=VOTING[:2]))
        survey = Survey(
            ledger_id=self.world.ledger_id,
            site=site,
            epoch=0,
            made_at_ms=NOW_MS - 5_000,
            tip=self.tree(size),
            extended=self.tree(size + (tail or 0)),
            agreed=None if agreed is None else self.tree(agreed),
            agreed_note=note,
            agreed_at_s=TIME_S if agreed else 0,
            last_record_ms=TIME_S * 1000 + 2_000,
            last_act=ZERO32,
            cosigned_size=agreed or 0,
            tail=None if tail is None else LogTail(tail, uncommitted, *log_end, ""),
        )
        return replace(survey, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types

    def file(self, survey: Survey, *, answered: bool = True, signed: bool = True) -> SurveyFile:
        """The survey as it comes, signed by its site or by nobody."""
        if not signed:
            return SurveyFile(answered, unsigned_survey_file(survey))
        body = encode_survey(survey)
        signers = SiteSigners(self.world.site_signers[survey.site])
        return SurveyFile(answered, sign_word(SURVEY, survey.ledger_id, survey.site, body, signers))

    def collected(self, *surveys: Survey, known: Sequence[Known] = (), **fields: object) -> Collected:
        """These surveys, answered, with every voting site silent that is not among them."""
        there = {survey.site for survey in surveys}
        silent = tuple(Silent(site, NOW_MS - 4_000, "UNREACHABLE") for site in VOTING if site not in there)
        files = tuple(self.file(survey) for survey in surveys)
        collected = Collected(self.world.ledger_id, NOW_MS - 3_000, files, silent, known=tuple(known))
        return replace(collected, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types

    def receipt(self, position: int, author: str = "iizuka-city", **fields: object) -> Known:
        """A record that somebody holds a receipt of; behind the ledger's end one of that place's own."""
        inside = position < len(self.ledger.records)
        record_hash = self.ledger.hashes[position] if inside else position.to_bytes(32, "big")
        known = Known(record_hash, position.to_bytes(16, "big"), author, "residency", 0, position)
        return known._replace(**fields)  # type: ignore[arg-type]  # each caller names fields of its own types


def contacts(**last_ms: int) -> tuple[Contact, ...]:
    """Sites that are not reached, with when they were last heard; names with _ for -."""
    return tuple(Contact(name.replace("_", "-"), False, at_ms) for name, at_ms in last_ms.items())


def wishes(**fields: object) -> Wishes:
    """What officers say where the two embassies survive."""
    plain = Wishes("Cabinet decision 31", NOW_MS, ordering=URLS)
    return replace(plain, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types


def altered(file: SurveyFile, change: Mapping[str, object]) -> SurveyFile:
    """The file with other values in what was signed, under the old signatures."""
    envelope = json.loads(file.data)
    body = json.loads(base64.b64decode(envelope["body"]))
    envelope["body"] = base64.b64encode(json.dumps({**body, **change}).encode()).decode()
    return SurveyFile(file.answered, json.dumps(envelope).encode())
