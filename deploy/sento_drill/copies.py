"""Two stages of the demonstration about copies: a site's disk is lost and replaced, and an embassy that no cable reaches is filled from a suitcase.

Both while offices write. What the embassy lacks after the suitcase comes by link, as soon as there is one.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sento_drill.cluster import SERVING
from sento_drill.config_files import DATA_DIR
from sento_drill.courier import Courier
from sento_drill.places import TW_TAIPEI
from sento_drill.ports import free_ports
from sento_drill.processes import REPLACE_DISK
from sento_drill.rehearsal import Rehearsal
from sento_drill.verdict import Verdict
from sento_drill.waiting import until

FAR = TW_TAIPEI.site
"""The embassy that is filled by courier: it is not started with the others."""
LISTENS_DEADLINE_S = 60.0
EVENTS_PER_S = 20.0
"""Copying takes processors as well, and on a small machine all five sites share them. An ordinary day of a town of 126,000 has 69 events; the design peak of a
whole country's residence registers is 25 to 50 a second."""
_BEFORE_THE_LOSS = 50
ACCESS_KEYS = "access-keys.json"


async def replace_a_disk(drill: Rehearsal, verdict: Verdict) -> None:
    """Take a voting site's process and disk away, and let one command bring it back as a voting site with all records."""
    lead = await drill.cluster.lead_site()
    site = next(name for name in reversed(drill.world.genesis.voting_sites) if name != lead)
    drill.stage(f"{site} is killed and its disk is gone: sento-node replace-disk, while the offices write")
    await drill.wait_acknowledged(_BEFORE_THE_LOSS, time.monotonic())
    await asyncio.to_thread(drill.cluster.kill_site, site)
    await asyncio.to_thread(_lose_disk, drill.world.sites_directory / site / DATA_DIR)
    started_s = time.monotonic()
    drill.cluster.start(site, REPLACE_DISK)
    size = await drill.cluster.wait_caught_up(site)
    verdict.disk_replaced_s = time.monotonic() - started_s
    drill.display.say(
        f"{site} serves and votes again with {size:,} records {verdict.disk_replaced_s:.2f} s after the command"
    )


def _lose_disk(data_dir: Path) -> None:
    """All is gone but what a backup has, beside the site's signing key: the keys of its access records, which no other site holds."""
    keys = (data_dir / ACCESS_KEYS).read_bytes()
    shutil.rmtree(data_dir)
    data_dir.mkdir(mode=0o700)
    put_back = data_dir / ACCESS_KEYS
    put_back.touch(mode=0o600)
    put_back.write_bytes(keys)


async def bring_by_courier(drill: Rehearsal, verdict: Verdict) -> None:
    """Fill the far embassy from volumes while it reaches nobody; then give it a link, and wait until it has the rest."""
    directory = drill.world.directory / "suitcase"
    await asyncio.to_thread(directory.mkdir, mode=0o700)
    courier = Courier(drill.world, directory, volume_size="5MB")
    drill.stage("a courier's volumes from live sites, sealed and signed, proven before they leave")
    made_s = await courier.export()
    await courier.fetch_trust()
    proven_s = await courier.verify()
    number, size_bytes = courier.volumes()
    drill.display.say(
        f"{number} volumes, {size_bytes / 2**20:.1f} MiB: made in {made_s:.1f} s, proven in {proven_s:.1f} s"
    )
    drill.stage(f"{FAR} starts empty and reaches no other site; the suitcase arrives")
    with _without_link(drill.world.sites_directory / FAR / "node.toml"):
        drill.cluster.start(FAR)
        await _until_it_listens(drill)
        verdict.courier_import_s = await courier.bring(FAR)
        status = await drill.cluster.status(FAR)
        size = 0 if status is None else status.flushed_size
        drill.display.say(f"{FAR} holds {size:,} proven records after {verdict.courier_import_s:.2f} s")
        await asyncio.to_thread(drill.cluster.processes[FAR].stop)
    drill.stage(f"{FAR} has a link again: the rest comes over it")
    started_s = time.monotonic()
    drill.cluster.start(FAR)
    goal = await drill.cluster.wait_caught_up(FAR)
    drill.display.say(
        f"{goal - size:,} more records within {time.monotonic() - started_s:.2f} s of its start"
    )


async def _until_it_listens(drill: Rehearsal) -> None:
    async def listens() -> bool:
        status = await drill.cluster.status(FAR)
        assert status is None or status.state != SERVING or not status.flushed_size, "it reaches nobody"
        return status is not None

    await until(listens, deadline_s=LISTENS_DEADLINE_S, what=f"{FAR} does not listen")


@contextmanager
def _without_link(config: Path) -> Iterator[None]:
    """While inside, the site's configuration names other sites where nobody listens: what a cut cable looks like from there."""
    text = config.read_text(encoding="utf-8")
    head, *peers = text.split("[[peers]]")
    nobody = free_ports(len(peers))
    cut = [
        "\n".join(
            f'address = "{ports.address}"' if line.startswith("address") else line
            for line in peer.splitlines()
        )
        for peer, ports in zip(peers, nobody, strict=True)
    ]
    config.write_text("[[peers]]".join([head, *cut]) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        config.write_text(text, encoding="utf-8")
