"""The genesis file: a good one decodes, and each mistake is refused with the path of its field."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from genesis_builder import build_genesis
from golden_vectors.ground import AUTHOR
from sento_proto import limits
from sento_proto.genesis import decode_genesis
from sento_proto.wire import Malformed

WORLD = build_genesis(embassies=["fr-paris"])
DOCUMENT: dict[str, Any] = json.loads(WORLD.genesis_bytes)
IDENTITY_KEY = base64.b64encode(b"\x01" + bytes(31)).decode()
GOOD_KEY = {"suite": "ed25519", "public_key": base64.b64encode(AUTHOR.public_key.data).decode()}
MISSING = object()
Path = tuple[str | int, ...]


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def changed(path: Path, value: object) -> dict[str, Any]:
    """The good document with the field at `path` replaced, or taken out."""
    document = copy.deepcopy(DOCUMENT)
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


def test_a_good_file_decodes_to_what_it_says() -> None:
    genesis = WORLD.genesis
    assert genesis.ledger_id == hashlib.sha256(WORLD.genesis_bytes).digest()
    assert genesis.voting_sites == ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
    assert genesis.receipt_set.quorum == 2
    embassy = genesis.site("fr-paris")
    assert embassy is not None
    assert not embassy.votes
    assert genesis.site("nowhere") is None
    author = genesis.authors[0]
    assert author.keys == (WORLD.author_signers[author.name].public_key,)
    assert [scope.registry for scope in author.may_write] == ["residency", "tax"]
    assert author.budget.records == author.budget.subjects == 10_000
    assert genesis.officers.threshold == 2


def test_every_byte_counts_for_the_ledger_id() -> None:
    assert decode_genesis(WORLD.genesis_bytes + b" ").ledger_id != WORLD.genesis.ledger_id


def test_a_scope_covers_its_compartment_or_any() -> None:
    hospital = next(author for author in WORLD.genesis.authors if author.name == "iizuka-hospital")
    city = next(author for author in WORLD.genesis.authors if author.name == "iizuka-city")
    assert hospital.may_write[0].covers("health", "psychiatry")
    assert hospital.may_write[0].covers("health", "")
    assert not hospital.may_write[0].covers("tax", "")
    assert city.may_write[0].covers("residency", "")
    assert not city.may_write[0].covers("residency", "protected")


def test_places_may_be_written_in_japanese() -> None:
    genesis = decode_genesis(encoded(changed(("sites", 0, "region"), "福岡県　飯塚市")))
    assert genesis.sites[0].region == "福岡県　飯塚市"


def test_a_ledger_without_officers_has_threshold_zero() -> None:
    assert build_genesis(officers=()).genesis.officers.threshold == 0


MISTAKES: list[tuple[Path, object, str]] = [
    (("format",), "sento-genesis-2", "format must be sento-genesis-1"),
    (("format",), MISSING, "format is missing"),
    (("purpose",), "play", "purpose must be one of production, training"),
    (("rules",), 0, "rules must be a whole number from 1"),
    (("rules",), True, "rules must be a whole number"),
    (("rules",), 1.0, "rules must be a whole number"),
    (("rules",), "1", "rules must be a whole number"),
    (("name",), 7, "name must be text"),
    (("name",), "two\nlines", "name must be text in one line"),
    (("name",), "\ud800", "name must be text in one line"),
    (("registries",), "tax", "registries must be a list"),
    (("registries", 0), "Tax", "registries[0] must be 1 to 32 characters"),
    (("registries", 0), None, "registries[0] must be text"),
    (("registries", 0), "tax", "registries has one entry twice"),
    (("registries", 3), "taxes", "authors[0].may_write[1].registry is not in registries"),
    (("unknown",), 1, "unknown is not known to this release"),
    (("sites",), {}, "sites must be a list"),
    (("sites", 1), "jp-ishikawa", "sites[1] must be an object"),
    (("sites", 1, "name"), "JP", "sites[1].name must be 1 to 32 characters of a-z 0-9 -"),
    (("sites", 1, "name"), "-jp", "sites[1].name must be 1 to 32"),
    (("sites", 1, "name"), "jp/ishikawa", "sites[1].name must be 1 to 32"),
    (("sites", 1, "name"), "jp-fukuoka", "sites has one entry twice"),
    (("sites", 1, "votes"), 1, "sites[1].votes must be true or false"),
    (("sites", 1, "power"), MISSING, "sites[1].power is missing"),
    (("sites", 1, "colour"), "red", "sites[1].colour is not known to this release"),
    (("sites", 1, "key", "suite"), "rsa", "sites[1].key.suite must be one of ed25519"),
    (("sites", 1, "key", "public_key"), "!", "sites[1].key.public_key must be base64"),
    (("sites", 1, "key", "public_key"), "é", "sites[1].key.public_key must be base64"),
    (("sites", 1, "key", "public_key"), "AAB=", "sites[1].key.public_key is not in its one base64 form"),
    (("sites", 1, "key", "public_key"), "AAAA", "sites[1].key.public_key: public key: an Ed25519 key has 32 bytes"),
    (("sites", 1, "key", "public_key"), IDENTITY_KEY, "sites[1].key.public_key: public key: a point of small order"),
    (("sites", 1, "key", "extra"), "", "sites[1].key.extra is not known to this release"),
    (("sites", 1, "key"), DOCUMENT["sites"][0]["key"], "keys has one entry twice"),
    (("receipt_set", "sites"), ["jp-fukuoka", "jp-tokyo"], "receipt_set.sites names a site that is not in sites"),
    (("receipt_set", "sites"), ["jp-fukuoka", "jp-fukuoka"], "receipt_set.sites has one entry twice"),
    (("receipt_set", "sites"), [], "receipt_set.quorum must be more than half"),
    (("receipt_set", "quorum"), 1, "receipt_set.quorum must be more than half"),
    (("receipt_set", "quorum"), 4, "receipt_set.quorum must be more than half"),
    (("receipt_set", "quorum"), 0, "receipt_set.quorum must be a whole number from 1"),
    (("receipt_set", "more"), 0, "receipt_set.more is not known"),
    (("officers", "threshold"), 1, "officers.threshold must be more than half"),
    (("officers", "threshold"), 4, "officers.threshold must be more than half"),
    (("officers", "people"), [], "officers.threshold must be more than half of the officers, or 0"),
    (("officers", "people", 1, "name"), "officer-one", "officers.people names one officer twice"),
    (("officers", "people", 1, "key"), DOCUMENT["authors"][0]["keys"][0], "keys has one entry twice"),
    (("officers", "people", 1, "key", "public_key"), IDENTITY_KEY, "officers.people[1].key.public_key: public key"),
    (("authors", 1, "name"), "iizuka-city", "authors has one entry twice"),
    (("authors", 0, "keys"), [GOOD_KEY, GOOD_KEY], "keys has one entry twice"),
    (("authors", 0, "keys", 0, "public_key"), "AAAA", "authors[0].keys[0].public_key: public key"),
    (("authors", 0, "may_write", 0, "registry"), "Tax", "authors[0].may_write[0].registry must be 1 to 32"),
    (("authors", 0, "may_write", 0, "registry"), "land", "authors[0].may_write[0].registry is not in registries"),
    (("authors", 0, "may_write", 1, "registry"), "residency", "authors[0].may_write has one entry twice"),
    (("authors", 0, "may_write", 0, "compartment"), "a b", "authors[0].may_write[0].compartment must be 1 to 32"),
    (("authors", 0, "may_write", 0, "compartment"), None, "authors[0].may_write[0].compartment must be text"),
    (("authors", 0, "budget_per_10000_positions", "records"), 10_001, "authors[0].budget_per_10000_positions.records must be"),
    (("authors", 0, "budget_per_10000_positions", "subjects"), -1, "authors[0].budget_per_10000_positions.subjects must be"),
    (("authors", 0, "budget_per_10000_positions", "bytes"), 1, "authors[0].budget_per_10000_positions.bytes is not known"),
    (("authors", 0, "seal_key"), "AAAA", "authors[0].seal_key must be an X-Wing public key of 1216 bytes"),
    (("readers", 0, "name"), "", "readers[0].name must be 1 to 32 characters"),
    (("readers", 0, "may_read", 0, "registry"), "land", "readers[0].may_read[0].registry is not in registries"),
    (("readers", 0, "seal_key"), "", "readers[0].seal_key must be an X-Wing public key"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"), MISTAKES, ids=[f"{path}: {m}" for path, _, m in MISTAKES]
)
def test_a_mistake_is_refused_with_the_path_of_its_field(path: Path, value: object, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_genesis(encoded(changed(path, value)))
    assert str(caught.value).startswith(f"genesis: {message}")


def every_field(value: Any, path: Path = ()) -> list[Path]:
    """Paths of all fields of all objects."""
    found: list[Path] = []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += [(*path, name), *every_field(inner, (*path, name))]
    elif isinstance(value, list):
        for index, inner in enumerate(value[:1]):
            found += every_field(inner, (*path, index))
    return found


def dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


@pytest.mark.parametrize("path", every_field(DOCUMENT), ids=dotted)
def test_each_missing_field_is_named(path: Path) -> None:
    with pytest.raises(Malformed) as caught:
        decode_genesis(encoded(changed(path, MISSING)))
    assert str(caught.value) == f"genesis: {dotted(path)} is missing"


def test_without_a_voting_site_there_is_no_ledger() -> None:
    document = copy.deepcopy(DOCUMENT)
    for site in document["sites"]:
        site["votes"] = False
    with pytest.raises(Malformed, match="no site votes"):
        decode_genesis(encoded(document))


def doubled(name: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(f'"{name}":'.encode(), f'"{name}": 1, "{name}":'.encode(), 1)


NOT_JSON: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda _: b"", "not JSON in UTF-8"),
    ("cut short", lambda data: data[:-3], "not JSON in UTF-8"),
    ("two documents", lambda data: data * 2, "not JSON in UTF-8"),
    ("not UTF-8", lambda data: data.replace(b"sento-test", b"sento-\xff"), "not JSON in UTF-8"),
    ("byte order mark", lambda data: b"\xef\xbb\xbf" + data, "not JSON in UTF-8"),
    ("a list", lambda _: b"[]", "the file must be an object"),
    ("a number", lambda _: b"1", "the file must be an object"),
    ("a number of 5,000 digits", lambda _: b"1" * 5000, "not JSON in UTF-8"),
    ("a hundred thousand brackets", lambda _: b"[" * 100_000, "not JSON in UTF-8"),
    ("a field twice", doubled("purpose"), "field 'purpose' stands twice in one object"),
    ("an inner field twice", doubled("quorum"), "field 'quorum' stands twice in one object"),
    ("over its limit", lambda data: data + b" " * limits.GENESIS_MAX_BYTES, "over 1048576 bytes"),
]


@pytest.mark.parametrize(("fault", "change", "message"), NOT_JSON, ids=[fault for fault, _, _ in NOT_JSON])
def test_what_is_not_one_json_object_is_refused(
    fault: str, change: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(Malformed) as caught:
        decode_genesis(change(WORLD.genesis_bytes))
    assert str(caught.value).startswith(f"genesis: {message}"), fault


def test_the_builder_makes_the_same_world_each_time() -> None:
    assert build_genesis().genesis_bytes == build_genesis().genesis_bytes
    assert build_genesis(name="another").ledger_id != build_genesis().ledger_id
