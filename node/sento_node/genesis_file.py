"""The ledger's genesis file, read by itself: the scrub's child begins for every round and loads nothing of a node's configuration and network."""

from __future__ import annotations

from pathlib import Path

from sento_node.config_mistake import ConfigMistake
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.wire import Malformed


def read_genesis(path: Path) -> Genesis:
    """The genesis file. Raises ConfigMistake."""
    try:
        return decode_genesis(path.read_bytes())
    except OSError as error:
        raise ConfigMistake(f"genesis: {path} cannot be read ({error.strerror}).") from error
    except Malformed as error:
        raise ConfigMistake(f"genesis: {path} is not usable ({error}).") from error
