"""Making a service's keys and sealing them, as an order of steps that loses nothing: sealed first, kept second, told last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sento_client.pseudonym_service.config import KeyPlace, ServiceConfig, TokenPlace, load_service_config
from sento_client.pseudonym_service.key_file import REGISTRY_NAME, Keys, make_keys, read_keys, write_keys
from sento_client.pseudonym_service.macs import KeyName, MacFailed, SoftwareMac, key_ids
from sento_client.pseudonym_service.recovery_seals import read_recovery_public, same_keys, seals_text
from sento_client.pseudonym_service.server import ledger_id_of, passphrase_of
from sento_client.signers.passphrases import PASSPHRASE_VARIABLE


class Refused(Exception):
    """What was asked for cannot be done; nothing was changed. The text says why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, and where it is."""

    place: str
    ids: dict[KeyName, bytes]
    seals: Path | None

    def words(self) -> str:
        """For people."""
        sealed = (
            f"Their seals are in {self.seals}: take the file to the ceremony."
            if self.seals is not None
            else "They are not sealed to a recovery key yet: a fire would lose everybody's name for good."
        )
        return f"{len(self.ids)} keys were made and are in {self.place}. {sealed}"

    def value(self) -> dict[str, object]:
        """For programs."""
        keys = [
            {"registry": name.registry, "kind": name.kind.word, "key_id": key_id.hex()}
            for name, key_id in self.ids.items()
        ]
        return {"place": self.place, "keys": keys, "seals": None if self.seals is None else str(self.seals)}


def make_service_keys(
    service: Path, registries: Sequence[str], recovery: Path | None, out: Path | None
) -> Made:
    """Make, seal, keep. Raises SetupError, Refused, MacFailed; then no key is in use, and a file of seals may be left, of keys that nobody has."""
    config = load_service_config(service)
    wrong = [name for name in registries if not REGISTRY_NAME.fullmatch(name)]
    if wrong or len(set(registries)) != len(registries):
        raise Refused("each registry is named once, by 1 to 32 characters of a-z 0-9 / -")
    _refuse_doubles(config, registries)
    keys = make_keys(registries, os.urandom)
    if recovery is not None and out is not None:
        _write_new(out, seals_text(keys, ledger_id_of(config), read_recovery_public(recovery)))
    place = _keep(config, keys)
    return Made(place, key_ids(SoftwareMac(keys)), out)


def seal_service_keys(service: Path, recovery: Path, out: Path) -> int:
    """Seal the keys of a key file; returns how many. Raises SetupError, Refused."""
    config = load_service_config(service)
    if isinstance(config.keys, TokenPlace):
        raise Refused(
            f"the keys are in token {config.keys.label}, which gives none out. They were to be sealed when they were made "
            "(sento pseudonyms keys make --to); if that was not done, nobody can be found again without this token"
        )
    keys = read_keys(config.keys.file, passphrase_of(config.keys))
    _write_new(out, seals_text(keys, ledger_id_of(config), read_recovery_public(recovery)))
    return len(keys)


def _keep(config: ServiceConfig, keys: Keys) -> str:
    if isinstance(config.keys, TokenPlace):
        from sento_client.pseudonym_service.token_mac import import_keys, open_token_mac

        import_keys(config.keys, keys)
        mac = open_token_mac(config.keys)
        try:
            held = {name: key_id for name, key_id in key_ids(mac).items() if name in keys}
        finally:
            mac.close()
        if not same_keys(keys, held):
            raise MacFailed(
                f"token {config.keys.label} computes other names with the keys that it was given; do not use it"
            )
        return f"token {config.keys.label}"
    there = _in_file(config.keys)
    write_keys(config.keys.file, {**there, **keys}, _passphrase_to_write(config.keys))
    return str(config.keys.file)


def _refuse_doubles(config: ServiceConfig, registries: Sequence[str]) -> None:
    """A token refuses by itself what it has already."""
    if isinstance(config.keys, TokenPlace):
        return
    double = sorted({name.registry for name in _in_file(config.keys)} & set(registries))
    if double:
        raise Refused(
            f"{config.keys.file} has keys of {', '.join(double)} already, and they can never be replaced"
        )


def _in_file(place: KeyPlace) -> dict[KeyName, bytes]:
    return read_keys(place.file, passphrase_of(place)) if place.file.exists() else {}


def _passphrase_to_write(place: KeyPlace) -> bytes | None:
    """The file is encrypted when a passphrase is set, in a file or in the environment."""
    if place.passphrase_file is None and PASSPHRASE_VARIABLE not in os.environ:
        return None
    return passphrase_of(place).get(str(place.file))


def _write_new(path: Path, text: str) -> None:
    """A new file, flushed. Raises Refused when one is there: it may be the only copy of another year's seals."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise Refused(f"{path} is there already") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror})") from None
