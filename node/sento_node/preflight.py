"""Before a node starts: do configuration, genesis file, keys and certificates belong together? `check-config` asks all of it and says every mistake.

What a start cannot do without is loaded by `load_genesis`, `load_signer` and `tls.read_files`, which raise at the first mistake. An expired
certificate is a mistake to a person who checks, and no reason for a site not to start: an island must be able to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from cryptography import x509

from sento_node import tls
from sento_node.config import NodeConfig, Ordering
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.places import read_epoch
from sento_node.genesis_file import read_genesis
from sento_node.joining.note import NOTE_FILE, TIE_BREAKER_FILE
from sento_node.keyfile import read_ml_dsa_44_signer, read_private, read_signer
from sento_proto.genesis import Genesis, Site
from sento_proto.identity import Identity, server_name
from sento_proto.keys import Signer


def load_genesis(config: NodeConfig) -> Genesis:
    """The genesis file, and that it fits the configuration. Raises ConfigMistake."""
    genesis = read_genesis(config.genesis)
    if config.purpose is not None and genesis.purpose != config.purpose:
        raise ConfigMistake(
            f"purpose: expected a {config.purpose} ledger, and the genesis file is of the {genesis.purpose.upper()} ledger {genesis.name}."
        )
    check_member(config, genesis.site(config.site), genesis.voting_sites)
    if not _knows_more(config.data_dir):
        _check_sites(config, {site.name for site in genesis.sites})
    return genesis


def _knows_more(data_dir: Path) -> bool:
    """Whether this disk knows more of the sites than the genesis file: a ledger with the acts since, or a bootstrap file by which it joins."""
    return any((data_dir / name).exists() for name in ("ledger", NOTE_FILE, TIE_BREAKER_FILE))


def _check_sites(config: NodeConfig, names: set[str]) -> None:
    """On a fresh disk the genesis file is all that is known. Raises ConfigMistake for another name, and for one that is left out."""
    for name in (config.site, *(peer.name for peer in config.peers)):
        if name not in names:
            raise ConfigMistake(
                f"site {name} is not in the genesis file, which names {', '.join(sorted(names))}. "
                "A site that officers enrolled since begins with `sento-node join`."
            )
    missing = names - {config.site} - {peer.name for peer in config.peers}
    if missing:
        raise ConfigMistake(f"peers lacks {', '.join(sorted(missing))}, which the genesis file names.")


def check_member(config: NodeConfig, site: Site | None, voting_sites: Collection[str]) -> None:
    """A site that votes needs its own ordering member, and the others' addresses. Raises ConfigMistake."""
    if site is None or not site.votes:
        return
    if config.ordering is None:
        raise ConfigMistake(
            f"ordering: is missing, and {config.site} votes: name its member's peer_url, ca, certificate and key. Only an embassy goes without."
        )
    for peer in config.peers:
        if peer.name in voting_sites and peer.ordering_peer_url is None:
            raise ConfigMistake(
                f"peers: ordering_peer_url of {peer.name} is missing, and {peer.name} votes: its member is reached there."
            )


def load_signer(config: NodeConfig, site: Site | None) -> Signer:
    """The site's signing key, and that it is the one that the genesis file, or an act since, names for it. Raises ConfigMistake."""
    signer = read_signer(config.signing_key)
    if site is None or signer.public_key != site.key:
        raise ConfigMistake(
            f"signing_key: {config.signing_key.name} is not the key that genesis file and acts name for {config.site}."
        )
    return signer


def load_ml_dsa_signer(config: NodeConfig, site: Site | None) -> Signer | None:
    """The site's second signer of checkpoints, if it has one. Raises ConfigMistake: without it the site's cosignatures would not count."""
    wanted = b"" if site is None else site.ml_dsa_44
    if config.ml_dsa_key is None:
        if wanted:
            raise ConfigMistake(
                f"ml_dsa_key: is missing, and genesis file or acts name an ML-DSA-44 key for {config.site}: name its file."
            )
        return None
    signer = read_ml_dsa_44_signer(config.ml_dsa_key)
    if signer.public_key.data != wanted:
        raise ConfigMistake(
            f"ml_dsa_key: {config.ml_dsa_key.name} is not the key that genesis file and acts name for {config.site}."
        )
    return signer


def mistakes(config: NodeConfig, now: datetime) -> list[str]:
    """Everything that is wrong with the files that the configuration names, as of `now` (UTC); empty when the node can start."""
    found: list[str] = []

    def attempt(check: Callable[[], object]) -> None:
        try:
            check()
        except ConfigMistake as error:
            found.append(str(error))

    attempt(lambda: load_signer(config, load_genesis(config).site(config.site)))
    attempt(lambda: load_ml_dsa_signer(config, load_genesis(config).site(config.site)))
    attempt(lambda: _check_certificate(config, now))
    ordering = config.ordering
    if ordering is not None:
        files, due = ordering, True
        if ordering.is_by_epoch:
            epoch = read_epoch(config.data_dir)
            files, due = ordering.of_epoch(epoch), bool(epoch) or _votes_by_genesis(config)
        if due:
            attempt(lambda: _check_ordering_file("ordering.ca", files.ca))
            attempt(lambda: _check_ordering_file("ordering.certificate", files.certificate))
            attempt(lambda: read_private("ordering.key", files.key))
    return found


def _votes_by_genesis(config: NodeConfig) -> bool:
    """An embassy that is prepared for a later epoch gets its certificates with that."""
    try:
        site = read_genesis(config.genesis).site(config.site)
    except ConfigMistake:
        return True
    return site is not None and site.votes


def check_member_files(ordering: Ordering) -> None:
    """What the member of one epoch needs can be read. Raises ConfigMistake at the first that cannot."""
    _check_ordering_file("ordering.ca", ordering.ca)
    _check_ordering_file("ordering.certificate", ordering.certificate)
    read_private("ordering.key", ordering.key)


def _check_certificate(config: NodeConfig, now: datetime) -> None:
    certificate = tls.certificate_of(tls.read_files(config.tls))
    wanted = Identity("site", config.site)
    named = tls.identity_of(certificate)
    if named != wanted:
        raise ConfigMistake(
            f"tls.certificate: {config.tls.certificate.name} is {named.uri if named else 'nobody'}'s, not {wanted.uri}'s."
        )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if server_name(config.site) not in names.get_values_for_type(x509.DNSName):
        raise ConfigMistake(
            f"tls.certificate: {config.tls.certificate.name} lacks the DNS name {server_name(config.site)}, by which clients know the site."
        )
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConfigMistake(
            f"tls.certificate: {config.tls.certificate.name} holds from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and today is {now:%Y-%m-%d}; issue a new one."
        )


def _check_ordering_file(field: str, path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigMistake(f"{field}: {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigMistake(f"{field}: {path} holds no PEM certificate.") from error
