"""`sento return` from the list to the last word, against a site that has orphans: conflicts stay with people, twice changes nothing, the counts add up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from governing_port import GovernedLedger, officer_at
from orphaned_site import OrphanedSite
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.transport import Method, ReplyT, RequestT
from sento_node.service.orphan_service import OrphanService
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

SITE = "jp-fukuoka"


class OrphansSite(GovernedLedger):
    """A transport whose site answers from what it set aside. `breaks_after`: the stream breaks behind so many answers, once; `repeats`: each orphan
    is listed twice."""

    def __init__(self, site: OrphanedSite) -> None:
        super().__init__(site.world)
        self.service = OrphanService(site.node)
        self.breaks_after: int | None = None
        self.repeats = False

    async def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        match request:
            case admin_pb2.OrphansRequest():
                async for orphan in self.service.orphans(request):
                    yield cast("ReplyT", orphan)
                    if self.repeats:
                        yield cast("ReplyT", orphan)
            case admin_pb2.ReadmitRequest():
                async for answer in self.service.readmit(request):
                    if self.breaks_after == 0:
                        self.breaks_after = None
                        raise SentoError(Code.UNREACHABLE, "the stream broke")
                    if self.breaks_after is not None:
                        self.breaks_after -= 1
                    yield cast("ReplyT", answer)
            case _:
                raise SentoError(Code.IDENTITY_REFUSED)

    async def close(self) -> None:
        """Nothing."""


class Desk:
    """An operator's computer."""

    def __init__(self, directory: Path, site: OrphanedSite) -> None:
        self.directory = directory
        self.site = site
        self.transport = OrphansSite(site)
        self.file = directory / "orphans.json"

    def _client(self, _path: Path) -> GoverningClient:
        return officer_at(self.transport, self.directory / "desk", "operator", bytes(32))

    def run(self, *arguments: str, code: int = 0) -> Result:
        app = App(open_governing=self._client)
        result = CliRunner().invoke(main, ["return", *arguments], obj=app)
        assert result.exit_code == code, result.output
        return result

    def told(self, *arguments: str, code: int = 0) -> dict[str, object]:
        app = App(open_governing=self._client)
        result = CliRunner().invoke(main, ["--json", "return", *arguments], obj=app)
        assert result.exit_code == code, result.output
        value = json.loads(result.output)
        assert sum(value["counts"].values()) == value["records"]
        return cast("dict[str, object]", value)

    def list_orphans(self) -> dict[str, object]:
        return self.told("orphans", "--site", SITE, "--epoch", "0", "--out", str(self.file), code=5)

    def readmit(self, *more: str, code: int = 5) -> dict[str, object]:
        return self.told("readmit", str(self.file), "--site", SITE, "--yes", *more, code=code)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    site = OrphanedSite(tmp_path / "data")
    yield Desk(tmp_path, site)
    site.close()


def counts(value: dict[str, object]) -> dict[str, int]:
    return {place: count for place, count in cast("dict[str, int]", value["counts"]).items() if count}


def test_listed_reviewed_readmitted_and_the_rest_stays_with_people(desk: Desk) -> None:
    before = {"to offer": 4, "conflict": 2, "together": 1, "cannot": 1}
    assert counts(desk.list_orphans()) == before
    shown = desk.told("show", str(desk.file), code=5)
    listed = cast("list[dict[str, object]]", shown["listed"])
    conflict = next(one for one in listed if one["record"] == desk.site.late.record_hash.hex())
    assert conflict["against"] == desk.site.plan.parent.size + 1, (
        "where the version stands that was written since"
    )
    assert conflict["position"] is not None, "and where this one stood"
    after = desk.readmit()
    assert counts(after) == {"stands": 4, "conflict": 2, "together": 1, "cannot": 1}
    for record in (*desk.site.lawful, *desk.site.chain):
        assert desk.site.position(record) is not None
    for record in (desk.site.late, *desk.site.together, desk.site.half):
        assert desk.site.position(record) is None


def test_readmitting_twice_offers_nothing_and_changes_nothing(desk: Desk) -> None:
    desk.list_orphans()
    first = desk.readmit()
    size, offered = desk.site.store.tip.size, len(desk.site.offered)
    assert counts(desk.readmit()) == counts(first)
    assert (desk.site.store.tip.size, len(desk.site.offered)) == (size, offered)


def test_a_second_operator_with_the_same_list_hears_known(desk: Desk) -> None:
    desk.list_orphans()
    copy = desk.file.read_bytes()
    desk.readmit()
    size = desk.site.store.tip.size
    desk.file.write_bytes(copy)
    assert counts(desk.readmit())["stands"] == 4
    assert desk.site.store.tip.size == size


def test_interrupted_in_the_middle_the_same_command_goes_on(desk: Desk) -> None:
    desk.list_orphans()
    desk.transport.breaks_after = 3
    desk.run("readmit", str(desk.file), "--site", SITE, "--yes", code=3)
    shown = desk.told("show", str(desk.file), code=5)
    assert counts(shown)["stands"] == 3
    assert counts(desk.readmit())["stands"] == 4


def test_what_is_left_out_is_not_offered(desk: Desk) -> None:
    desk.list_orphans()
    after = desk.readmit("--leave-out", desk.site.lawful[0].record_hash.hex())
    assert counts(after) == {
        "stands": 2,
        "left out": 1,
        "together": 2,
        "conflict": 2,
        "cannot": 1,
    }
    assert all(desk.site.position(one) is None for one in desk.site.lawful)


def test_a_conflict_that_is_taken_is_judged_by_the_ledger_and_stays_on_the_list(desk: Desk) -> None:
    desk.list_orphans()
    after = desk.readmit("--take", desk.site.together[0].record_hash.hex())
    assert counts(after) == {"stands": 5, "refused": 1, "conflict": 1, "cannot": 1}
    assert desk.site.position(desk.site.together[1]) is not None


def test_a_site_that_lists_a_record_twice_is_not_believed_and_no_file_is_written(desk: Desk) -> None:
    desk.transport.repeats = True
    told = desk.run("orphans", "--site", SITE, "--epoch", "0", "--out", str(desk.file), code=1)
    assert "DAMAGED" in told.output
    assert "listed twice" in told.output
    assert not desk.file.exists()


def test_people_read_counts_and_reasons(desk: Desk) -> None:
    desk.list_orphans()
    shown = desk.run("show", str(desk.file), code=5).output
    assert "8 records that jp-fukuoka set aside with epoch 0" in shown
    assert "its fact has another version at position" in shown
    assert "kaga-city" in shown


def test_a_file_is_not_written_over_and_another_site_s_list_is_refused(desk: Desk) -> None:
    desk.list_orphans()
    again = desk.run("orphans", "--site", SITE, "--epoch", "0", "--out", str(desk.file), code=2)
    assert "there already" in again.output
    other = desk.run("readmit", str(desk.file), "--site", "jp-ishikawa", "--yes", code=2)
    assert "name that site" in other.output


def test_without_a_terminal_nothing_is_offered_unless_somebody_says_yes(desk: Desk) -> None:
    desk.list_orphans()
    refused = desk.run("readmit", str(desk.file), "--site", SITE, code=2)
    assert "--yes" in refused.output
    assert desk.site.offered == []


def test_an_epoch_that_has_not_ended_there_is_refused_in_words(desk: Desk) -> None:
    refused = desk.run("orphans", "--site", SITE, "--epoch", "1", "--out", str(desk.file), code=1)
    assert "has not ended at this site" in refused.output
    assert not desk.file.exists()
