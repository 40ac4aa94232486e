"""`sento erasure`: how far the sites are with what officers ordered to be destroyed, and their signed certificates."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.show import time_text
from sento_client.client import SentoClient
from sento_client.erasures import Certificate, SiteErasures, ask_erasures, judge_certificate, volumes_left
from sento_client.governing.place import open_place
from sento_client.setup_errors import SetupError
from sento_proto.erasure_certificate import CERTIFICATE_MAX_BYTES, ErasureCertificate, volume_object
from sento_proto.governance.state import Governance

TIMEOUT_S = 10.0
_TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 300),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="For each site; all are asked at the same time.",
)


@click.group(short_help="See what was erased, where, and who signs for it.")
def erasure() -> None:
    """See how far erasure orders are carried out, and keep the sites' certificates.

    Officers order (sento govern propose ... erase), and after the waiting period carry out by a second act (carry-out-erasure). From there each site destroys
    the payloads on its own disks and in its ordering log, and signs a certificate. A certificate names the volumes and backups that still hold a
    payload: they are outside of every site, and people destroy them.

    \b
    Examples:
        sento erasure status
        sento erasure certificates --out certificates
        sento erasure verify certificates/jp-fukuoka-order-118.json
    """


@erasure.command("status")
@_TIMEOUT
@pass_app
def status(app: App, timeout_s: float) -> None:
    """Say for each order which sites have destroyed its payloads, which have not yet, and which volumes still hold them.

    Ends with 0 when every site answered and has certified every order, with 5 when something is left to be done, with 4 when a certificate does not
    verify, with 3 when no site answers.
    """
    governance, answers = _asked(app, timeout_s)
    orders = [order for _, order in sorted(governance.erasure_orders.items())]
    held = _holding(answers)
    left = volumes_left(held)
    value = {
        "orders": [
            {
                "order": order.position,
                "legal_basis": order.legal_basis,
                "wait": order.wait,
                "carried_out": order.carried_out_at,
                "withdrawn": order.withdrawn_at,
                "certified_by": sorted(one.site for one in held if one.order == order.position),
                "pending_at": [answer.site for answer in answers if order.position in answer.pending],
            }
            for order in orders
        ],
        "sites": [
            {
                "site": answer.site,
                "trouble": answer.trouble,
                "refused": [one.why for one in answer.certificates if one.why],
            }
            for answer in answers
        ],
        "volumes": [{"site": site, **volume_object(volume)} for site, volume in left],
    }

    def people(console: Console) -> None:
        console.print(f"{len(orders)} erasure orders, {len(left)} volumes that still hold an erased payload.")
        if orders:
            console.print(_orders_table(governance, answers, held), soft_wrap=False)
        for answer in answers:
            if answer.trouble:
                console.print(f"{answer.site} does not answer: {answer.trouble}", markup=False)
            for one in answer.certificates:
                if one.why:
                    console.print(f"{answer.site}: a certificate does not hold: {one.why}", markup=False)
        for site, volume in left:
            console.print(
                f"Volume {volume.number} ({volume.kind}, {volume.size} records, told to {site}) is to be destroyed; then: "
                f"sento volumes destroyed {volume.number}",
                markup=False,
            )

    app.show(value, people)
    carried_out = {order.position for order in orders if order.carried_out_at is not None}
    sys.exit(_exit_of(answers, carried_out, bool(left)))


@erasure.command("certificates")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A directory; it is made if it is not there.",
)
@_TIMEOUT
@pass_app
def certificates(app: App, out: Path, timeout_s: float) -> None:
    """Fetch every site's certificates, verify them, and keep each in a file of its own: <site>-order-<position>.json.

    What does not verify is not written, and the command ends with 4. A newer certificate of the same site and order replaces the file: it has another list of
    volumes. With a silent site the command ends with 5.
    """
    _, answers = _asked(app, timeout_s)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for answer in answers:
        for one in answer.certificates:
            if one.content is not None and not one.why:
                path = out / f"{answer.site}-order-{one.content.order}.json"
                path.write_bytes(one.data)
                written.append(path)
    refused = [(answer.site, one.why) for answer in answers for one in answer.certificates if one.why]
    silent = [answer.site for answer in answers if answer.trouble]
    value = {
        "written": [str(path) for path in written],
        "refused": [{"site": site, "why": why} for site, why in refused],
        "silent": silent,
    }

    def people(console: Console) -> None:
        for path in written:
            console.print(str(path), markup=False)
        for site, why in refused:
            console.print(f"{site} gave a certificate that does not hold: {why}", markup=False)
        if silent:
            console.print(f"No answer from {', '.join(silent)}.", markup=False)

    app.show(value, people)
    if refused:
        sys.exit(Exit.NOT_VERIFIED)
    if silent:
        sys.exit(Exit.UNREACHABLE if len(silent) == len(answers) else Exit.DEGRADED)


@erasure.command("verify")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@pass_app
def verify(app: App, files: tuple[Path, ...]) -> None:
    """Verify certificates without asking a site: by the genesis file and the acts in trust.json beside this configuration.

    Ends with 0 when all hold, with 4 when one does not. That something is gone cannot be proven: a certificate makes the site that signed it answer for it.
    """
    try:
        governance = open_place(app.config).trust_file.read().governance
    except SetupError as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    judged = [(path, judge_certificate(_read(path), governance)) for path in files]
    value = [{"file": str(path), "holds": not one.why, "why": one.why, **_value(one)} for path, one in judged]

    def people(console: Console) -> None:
        for path, one in judged:
            console.print(f"{path}: {_words(one)}", markup=False)

    app.show(value, people)
    if any(one.why for _, one in judged):
        sys.exit(Exit.NOT_VERIFIED)


def _asked(app: App, timeout_s: float) -> tuple[Governance, list[SiteErasures]]:
    async def work(sento: SentoClient) -> tuple[Governance, list[SiteErasures]]:
        governance = await sento.governance()
        return governance, await ask_erasures(sento, governance, timeout_ms=int(timeout_s * 1000))

    return app.run(work)


def _holding(answers: list[SiteErasures]) -> list[ErasureCertificate]:
    return [
        one.content
        for answer in answers
        for one in answer.certificates
        if one.content is not None and not one.why
    ]


def _exit_of(answers: list[SiteErasures], carried_out: set[int], volumes: bool) -> Exit:
    if any(one.why for answer in answers for one in answer.certificates):
        return Exit.NOT_VERIFIED
    if all(answer.trouble for answer in answers):
        return Exit.UNREACHABLE
    certified = [
        {one.content.order for one in answer.certificates if one.content is not None} for answer in answers
    ]
    done = all(carried_out <= orders for orders in certified)
    return Exit.OK if done and not volumes else Exit.DEGRADED


def _orders_table(
    governance: Governance, answers: list[SiteErasures], held: list[ErasureCertificate]
) -> Table:
    table = Table(
        "order",
        "carried out",
        *(answer.site for answer in answers),
        "legal basis",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    certified = {(one.site, one.order): one for one in held}
    for position, order in sorted(governance.erasure_orders.items()):
        carried = "withdrawn" if order.withdrawn_at is not None else str(order.carried_out_at or "not yet")
        cells = [_cell(answer, certified.get((answer.site, position)), position) for answer in answers]
        table.add_row(str(position), carried, *cells, order.legal_basis)
    return table


def _cell(answer: SiteErasures, certificate: ErasureCertificate | None, order: int) -> str:
    if answer.trouble:
        return "no answer"
    if certificate is not None:
        return f"destroyed {certificate.payloads_destroyed}"
    return "pending" if order in answer.pending else "-"


def _words(one: Certificate) -> str:
    content = one.content
    if one.why or content is None:
        return f"does not hold: {one.why}"
    volumes = ", ".join(volume.number for volume in content.volumes) or "none"
    return (
        f"holds: {content.site} destroyed {content.payloads_destroyed} payloads of order {content.order} by "
        f"{time_text(content.time_s * 1000)}; volumes that still hold one: {volumes}"
    )


def _value(one: Certificate) -> dict[str, object]:
    content = one.content
    if content is None:
        return {}
    return {
        "site": content.site,
        "order": content.order,
        "carried_out": content.carried_out,
        "payloads_destroyed": content.payloads_destroyed,
        "segments_rewritten": content.segments_rewritten,
        "ordering_log": content.ordering_log,
        "volumes": [volume_object(volume) for volume in content.volumes],
        "time_s": content.time_s,
    }


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(CERTIFICATE_MAX_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
