"""The command `sento-node`: run a site, verify its disk, check its configuration and its etcd.

Exit codes: 0 well; 1 the node stopped itself, or verification found something; 2 the configuration or the call is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

EXIT_MISTAKE = 2
_CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("node.toml"),
    show_default=True,
    envvar="SENTO_NODE_CONFIG",
    help="The site's configuration.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sento")
def main() -> None:
    """Run one site of a Sento ledger.

    A site needs a node.toml, the ledger's genesis file, its signing key, and certificates; `sento-drill world` makes all of
    them for a development ledger. Then:

        sento-node check-config --config sites/jp-fukuoka/node.toml

        sento-node run --config sites/jp-fukuoka/node.toml
    """
    # gRPC's fork handlers are for programs that fork and go on in Python; the member's process is exec'ed at once. It looks here when it is imported.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@main.command()
@_CONFIG
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def run(config_path: Path, log_level: str) -> None:
    """Run the site until SIGTERM or SIGINT; both stop it in order, the lead handed on first."""
    from sento_node.serving_command import serve

    serve(config_path, log_level)


@main.command("join")
@_CONFIG
@click.option(
    "--bootstrap",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file that the officers signed (sento bootstrap).",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: progress as one JSON object a line.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
)
def join(config_path: Path, bootstrap: Path, as_json: bool, log_level: str) -> None:
    """Begin a new site from nothing: copy the ledger, become a member of the ordering log if it votes, then serve.

    The officers have enrolled the site and signed a bootstrap file. Nothing is answered before the copied ledger has the root that the file names, cosigned
    by the receipt set. A kill at any moment is gone on with by the same command, or by `sento-node run`.

        sento-node join --config sites/lu-betzdorf/node.toml --bootstrap lu-betzdorf.sento-bootstrap
    """
    from sento_node import joining_command
    from sento_node.serving_command import begin, serve

    begin(config_path, lambda config: joining_command.begin_join(config, bootstrap))
    serve(config_path, log_level, shown=True, as_json=as_json)


@main.command("replace-disk")
@_CONFIG
@click.option(
    "--bootstrap",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="The file that the officers signed; for a site that the genesis file does not name it is needed.",
)
@click.option(
    "--anew", is_flag=True, help="Begin again, also where a joining is under way: its data are set aside too."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: progress as one JSON object a line.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
)
def replace_disk(
    config_path: Path, bootstrap: Path | None, anew: bool, as_json: bool, log_level: str
) -> None:
    """Begin a known site on a new disk, or in place of what its disk holds, which is set aside as replaced-<n>.

    The former ordering member is removed, a new one added without a vote, the ledger copied and proven, the member promoted; then the site serves. The former
    member must not run anywhere. A kill at any moment is gone on with by the same command, or by `sento-node run`.

        sento-node replace-disk --config sites/jp-fukuoka/node.toml
    """
    from sento_node import joining_command
    from sento_node.serving_command import begin, serve

    begin(config_path, lambda config: joining_command.begin_replace(config, bootstrap, anew=anew))
    serve(config_path, log_level, shown=True, as_json=as_json)


@main.command("check-config")
@_CONFIG
def check_config(config_path: Path) -> None:
    """Read the configuration and every file that it names, and say every mistake."""
    from datetime import UTC, datetime

    from sento_node.config import load_config
    from sento_node.config_mistake import ConfigMistake
    from sento_node.preflight import load_genesis, mistakes

    try:
        config = load_config(config_path)
    except ConfigMistake as error:
        click.echo(f"sento-node: {error}", err=True)
        sys.exit(EXIT_MISTAKE)
    found = mistakes(config, datetime.now(UTC))
    if found:
        click.echo("\n".join(f"sento-node: {mistake}" for mistake in found), err=True)
        sys.exit(EXIT_MISTAKE)
    genesis = load_genesis(config)
    click.echo(
        f"{config.site} of ledger {genesis.name} ({genesis.purpose}), {genesis.ledger_id.hex()}: the configuration is usable."
    )


@main.command("verify")
@_CONFIG
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="A copy to verify instead.")
@click.option(
    "--genesis", type=click.Path(path_type=Path), default=None, help="With --data-dir: no node.toml."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object a line.")
@click.option(
    "--progress/--no-progress", default=None, help="A progress bar; without it, on a terminal only."
)
def verify(
    config_path: Path, data_dir: Path | None, genesis: Path | None, as_json: bool, progress: bool | None
) -> None:
    """Derive everything on a stopped site's disk anew: what is wrong, missing or erased, in order of position."""
    from sento_node import verify_command

    shown = sys.stderr.isatty() if progress is None else progress
    sys.exit(verify_command.verify(config_path, data_dir, genesis, as_json=as_json, progress=shown))


@main.command("rebuild")
@_CONFIG
@click.option(
    "--reason",
    default="An operator asked for a new ledger.",
    show_default=True,
    help="One sentence, for status and log.",
)
@click.option("--from-nothing", is_flag=True, help="Keep nothing of the old ledger, not even what verifies.")
def rebuild(config_path: Path, reason: str, from_nothing: bool) -> None:
    """Ask a stopped site to make its ledger anew from the other sites when it starts.

    A site does so by itself when its ledger is lost, damaged, old, or not what a quorum cosigned; this is for when people know more than it does. Nothing
    is changed now. At the next start what is on disk is examined and set aside as damaged-<n>, what verifies up to the last agreed size is kept, and the
    rest is copied from other sites, proven. The ordering member is not touched.

        sento-node rebuild --config sites/jp-fukuoka/node.toml --reason "The disk controller was replaced."
    """
    from sento_node import rebuild_command

    sys.exit(rebuild_command.ask(config_path, reason, from_nothing=from_nothing))


_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="A stopped site's data directory, or a copy of one.",
)
_GENESIS = click.option(
    "--genesis", type=click.Path(path_type=Path), required=True, help="The ledger's genesis file."
)
_AS_OF = click.option("--as-of", required=True, help="The moment, like 2027-03-01T01:59:00+09:00.")


@main.command("restore")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="From a stopped site's data directory, or a copy of one.",
)
@click.option(
    "--from",
    "backup",
    type=click.Path(path_type=Path),
    default=None,
    help="From a directory that sento backup wrote.",
)
@_GENESIS
@click.option(
    "--as-of", default=None, help="The moment, like 2027-03-01T01:59:00+09:00; default: the newest."
)
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new directory."
)
@click.option(
    "--key", type=click.Path(path_type=Path), default=None, help="With --from: opens sealed volumes."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--progress/--no-progress", default=None, help="A progress bar; without it, on a terminal only."
)
def restore(
    data_dir: Path | None,
    backup: Path | None,
    genesis: Path,
    as_of: str | None,
    into: Path,
    key: Path | None,
    as_json: bool,
    progress: bool | None,
) -> None:
    """Make a new ledger directory that holds exactly the state at a moment, to be looked at.

    It is the largest state that a quorum had cosigned at or before that moment. What it comes from is not changed. From volumes alone no site is needed: every
    chunk is proven, what orders destroyed stays away, damaged and missing volumes are named (exit code 4), and the same command goes on after a kill.

        sento-node restore --from /srv/backup --genesis genesis.json --into looked-at

        sento-node restore --data-dir copy --genesis genesis.json --as-of 2027-03-01T01:59:00+09:00 --into looked-at
    """
    from sento_node import epoch_commands

    shown = sys.stderr.isatty() if progress is None else progress
    sys.exit(
        epoch_commands.restore((data_dir, backup), genesis, as_of, into, key, as_json=as_json, progress=shown)
    )


@main.command("inspect")
@_CONFIG
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The restored ledger's directory, or a copy of a site's data directory.",
)
@click.option("--listen", default=None, help="host:port; default: the address in node.toml.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
)
def inspect(config_path: Path, data_dir: Path, listen: str | None, log_level: str) -> None:
    """Serve a restored or copied ledger to be read, LOCAL only: it orders nothing, cosigns nothing, and refuses writes.

    Certificates and keys are those of the site's node.toml; its own data directory is not touched, and the site may run meanwhile if --listen names another
    port. Releases of payloads are recorded into the spool in --data-dir, as a site that is cut off does.

        sento-node inspect --config sites/jp-fukuoka/node.toml --data-dir looked-at --listen 127.0.0.1:7199

        sento --config inspect.toml read --position 12 --local
    """
    from sento_node import inspect_command

    sys.exit(inspect_command.inspect(config_path, data_dir, listen, log_level))


@main.command("plan-epoch")
@_DATA_DIR
@_GENESIS
@_AS_OF
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The plan's file."
)
@click.option("--legal-basis", required=True, help="By what right, in one line.")
@click.option(
    "--reason", type=click.Choice(["restore", "recover", "relocate"]), default="restore", show_default=True
)
@click.option(
    "--leave-out", multiple=True, help="AUTHOR[:REGISTRY][@FROM..TO]: later records that do not come back."
)
@click.option("--nothing-again", is_flag=True, help="No later record comes back.")
@click.option("--voting", multiple=True, help="A site that votes; without any: as at the fork.")
@click.option("--receipt-site", multiple=True, help="A site of the receipt set; without any: as at the fork.")
@click.option("--quorum", type=int, default=0, help="Of the receipt set; default: more than half.")
def plan_epoch(
    data_dir: Path, genesis: Path, as_of: str, out: Path, legal_basis: str, reason: str,
    leave_out: tuple[str, ...], nothing_again: bool, voting: tuple[str, ...], receipt_site: tuple[str, ...], quorum: int,
) -> None:  # fmt: skip
    """Make the plan of a new epoch that goes on from the state at a moment, with later lawful records taken over again.

    The plan is one file that people read; officers sign it with `sento restore sign`, and each stopped site carries it out.

        sento-node plan-epoch --data-dir copy --genesis genesis.json --as-of 2027-03-01T01:59:00+09:00 \\
            --legal-basis "Decision 12/2027" --leave-out iizuka-city:residency --out plan.json
    """
    from sento_node import epoch_commands

    sites = (voting, receipt_site, quorum)
    sys.exit(
        epoch_commands.plan(
            data_dir,
            genesis,
            as_of,
            out,
            (reason, legal_basis),
            sites,
            leave_out,
            nothing_again=nothing_again,
        )
    )


@main.command("begin-epoch")
@_CONFIG
@click.option(
    "--plan", "plan_path", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
    help="The plan that officers signed.",
)  # fmt: skip
def begin_epoch(config_path: Path, plan_path: Path) -> None:
    """Carry a signed plan out at this stopped site; the next `run` takes part in the new epoch.

    The ledger is cut back to the plan's fork and verified; the whole ledger as it was is set aside as epoch-<n>-orphans and never removed. Safe to repeat, and
    after a kill at any moment the same command, or `run`, goes on.

        sento-node begin-epoch --config sites/jp-fukuoka/node.toml --plan plan.json
    """
    from sento_node import epoch_commands

    sys.exit(epoch_commands.begin_epoch(config_path, plan_path))


@main.command("survey")
@_CONFIG
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="A copy of a site's data directory instead; nobody signs then.",
)
@click.option(
    "--genesis", type=click.Path(path_type=Path), default=None, help="With --data-dir: the genesis file."
)
@click.option("--site", default="", help="With --data-dir: whose copy it is.")
def survey(config_path: Path, out: Path, data_dir: Path | None, genesis: Path | None, site: str) -> None:
    """Write down what a stopped site holds, its ordering log's last blocks too, for `sento recover collect`.

    It reads the ledger and the write-ahead log of the site's own etcd member and changes neither. A running site answers `sento recover collect` by itself.

        sento-node survey --config sites/jp-fukuoka/node.toml --out fukuoka.survey

        sento-node survey --data-dir copy --genesis genesis.json --site jp-fukuoka --out fukuoka.survey
    """
    from sento_node import survey_command

    sys.exit(survey_command.survey(config_path, out, data_dir, genesis, site))


@main.command("check-etcd")
@click.option("--path", default=None, help="An etcd to look at instead of the one on PATH.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check_etcd(path: str | None, as_json: bool) -> None:
    """Find an etcd that the ordering log can use, or say how to get one."""
    from sento_node.ordering.etcd.version import EtcdUnusable, find_etcd

    try:
        found = find_etcd(path)
    except EtcdUnusable as error:
        click.echo(
            json.dumps({"usable": False, "why": str(error)}) if as_json else f"sento-node: {error}",
            err=not as_json,
        )
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"usable": True, "path": str(found.path), "version": str(found.version)}))
    else:
        click.echo(f"etcd {found.version} at {found.path}")


if __name__ == "__main__":
    main()
