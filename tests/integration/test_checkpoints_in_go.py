"""Our checkpoints under a foreign implementation of C2SP: Go's own copy of golang.org/x/mod/sumdb/note opens the notes that our sites sign.

The toolchain carries that package for itself (cmd/vendor). The test copies it into a module of its own in a temporary directory: nothing is fetched. A note
signature (type 0x01) is verified by the package's own verifier; a cosignature (type 0x04) by a `note.Verifier` of a few lines after C2SP tlog-cosignature,
which shares nothing with our code. Go reads only lines, so this shows form, key ids and signatures to be as specified.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from genesis_builder import SITES, build_genesis
from receipts_made import TIME_S, SmallLedger
from sento_proto.checkpoint import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    encode_checkpoint,
    note_key_hash,
    sign_note,
)

pytestmark = pytest.mark.long
BUILD_TIMEOUT_S = 240
PROGRAM = """package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"sentonote/note"
)

// cosigner verifies signatures of type 0x04: eight bytes of time, then Ed25519 over a line with it and the note's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	c.time = binary.BigEndian.Uint64(sig)
	signed := "cosignature/v1\\ntime " + strconv.FormatUint(c.time, 10) + "\\n" + string(msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

// Arguments: for each key its kind ("note" or "cosignature") and the verifier's text, name+hash+base64(type || key). The note comes on standard input.
func main() {
	data, err := io.ReadAll(os.Stdin)
	check(err)
	var verifiers []note.Verifier
	for i := 1; i+1 < len(os.Args); i += 2 {
		if os.Args[i] == "note" {
			verifier, err := note.NewVerifier(os.Args[i+1])
			check(err)
			verifiers = append(verifiers, verifier)
			continue
		}
		name, rest, _ := strings.Cut(os.Args[i+1], "+")
		hash, encoded, _ := strings.Cut(rest, "+")
		raw, err := hex.DecodeString(hash)
		check(err)
		key, err := base64.StdEncoding.DecodeString(encoded)
		check(err)
		verifiers = append(verifiers, &cosigner{name: name, hash: binary.BigEndian.Uint32(raw), key: key[1:]})
	}
	opened, err := note.Open(data, note.VerifierList(verifiers...))
	check(err)
	for _, sig := range opened.Sigs {
		fmt.Println("verified", sig.Name)
	}
	for _, verifier := range verifiers {
		if c, ok := verifier.(*cosigner); ok && c.time != 0 {
			fmt.Println("time", c.name, c.time)
		}
	}
	fmt.Print(opened.Text)
}

func check(err error) {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
"""


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from the toolchain's copy of the package."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go on this computer")
    root = subprocess.run(
        [go, "env", "GOROOT"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    package = Path(root.strip()) / "src/cmd/vendor/golang.org/x/mod/sumdb/note"
    if not (package / "note.go").exists():
        pytest.skip(f"this Go toolchain has no copy of sumdb/note: {package} is missing")
    place = tmp_path_factory.mktemp("go")
    module = place / "sentonote"
    (module / "note").mkdir(parents=True)
    shutil.copy(package / "note.go", module / "note")
    (module / "go.mod").write_text("module sentonote\n\ngo 1.21\n")
    (module / "main.go").write_text(PROGRAM)
    environment = {
        **os.environ,
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(place / "cache"),
        "GOPATH": str(place / "path"),
        "GOMAXPROCS": "1",
    }
    program = place / "open-note"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."],
        cwd=module,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )
    assert built.returncode == 0, built.stderr
    return program


def open_in_go(opener: Path, data: bytes, *keys: tuple[str, str]) -> tuple[int, str]:
    """Exit code and what it printed."""
    arguments = [part for key in keys for part in key]
    done = subprocess.run([opener, *arguments], input=data, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def ledger() -> SmallLedger:
    return SmallLedger.of(build_genesis(), 9)


def key_of(ledger: SmallLedger, site: str, kind: int) -> tuple[str, str]:
    """A verifier's text as the package wants it: name+hash+base64(type || key)."""
    key = ledger.world.site_keys[site]
    hash_ = note_key_hash(site, kind, key).hex()
    encoded = base64.b64encode(bytes([kind]) + key.data).decode()
    return ("note" if kind == TYPE_ED25519 else "cosignature", f"{site}+{hash_}+{encoded}")


def signed(ledger: SmallLedger) -> bytes:
    """A checkpoint as the first site proposes it and all sites cosign it."""
    checkpoint = ledger.checkpoint()
    line = sign_note(checkpoint, SITES[0], ledger.world.site_signers[SITES[0]])
    return encode_checkpoint(checkpoint._replace(signatures=(line, *checkpoint.signatures)))


def test_the_proposers_note_signature_is_opened_by_go(opener: Path, ledger: SmallLedger) -> None:
    code, printed = open_in_go(opener, signed(ledger), key_of(ledger, SITES[0], TYPE_ED25519))
    assert (code, printed) == (0, f"verified {SITES[0]}\n{ledger.checkpoint().text.decode()}")


def test_each_sites_cosignature_and_its_time_are_opened_by_go(opener: Path, ledger: SmallLedger) -> None:
    keys = [key_of(ledger, site, TYPE_COSIGNATURE) for site in SITES]
    code, printed = open_in_go(opener, signed(ledger), *keys)
    assert code == 0, printed
    for site in SITES:
        assert f"verified {site}\n" in printed
        assert f"time {site} {TIME_S}\n" in printed


def test_go_refuses_every_kind_of_changed_byte(opener: Path, ledger: SmallLedger) -> None:
    data = signed(ledger)
    lines = data.decode().splitlines(keepends=True)
    note_key, cosigner_key = (
        key_of(ledger, SITES[0], TYPE_ED25519),
        key_of(ledger, SITES[1], TYPE_COSIGNATURE),
    )
    assert open_in_go(opener, data, note_key, cosigner_key)[0] == 0
    changed = {
        "origin": data.replace(
            lines[0].encode(),
            b"0" + lines[0].encode()[1:] if lines[0][0] != "0" else b"1" + lines[0].encode()[1:],
        ),
        "size": data.replace(lines[1].encode(), b"8\n"),
        "root": data.replace(lines[2].encode(), base64.b64encode(bytes(32)) + b"\n"),
    }
    for what, altered in changed.items():
        assert altered != data
        for key in (note_key, cosigner_key):
            code, printed = open_in_go(opener, altered, key)
            assert code == 1, f"{what}: {printed}"
            assert printed.startswith("refused:")


def test_go_refuses_a_cosignature_with_another_time(opener: Path, ledger: SmallLedger) -> None:
    early, late = ledger.checkpoint(sites=SITES[:1]), ledger.checkpoint(sites=SITES[:1], time_s=TIME_S + 1)
    moved = early.signatures[0]._replace(data=late.signatures[0].data[:8] + early.signatures[0].data[8:])
    data = encode_checkpoint(early._replace(signatures=(moved,)))
    assert open_in_go(opener, encode_checkpoint(early), key_of(ledger, SITES[0], TYPE_COSIGNATURE))[0] == 0
    assert open_in_go(opener, data, key_of(ledger, SITES[0], TYPE_COSIGNATURE))[0] == 1
