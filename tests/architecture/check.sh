#!/usr/bin/env bash
# What must hold before a change lands, quickest first: format, lint, walls between packages, strict types, stubs as the .proto files say.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=.venv/bin

step() { printf '%-14s' "$1"; shift; if out=$("$@" 2>&1); then echo ok; else echo FAILED; printf '%s\n' "$out"; exit 1; fi; }

stubs() {
    local fresh; fresh=$(mktemp -d); trap 'rm -rf "$fresh"' RETURN
    mkdir -p "$fresh/proto" "$fresh/node"
    local plugins=(--plugin="$bin/protoc-gen-mypy" --plugin="$bin/protoc-gen-mypy_grpc")
    local tree
    for tree in proto node; do
        # shellcheck disable=SC2046  # one argument a file is meant
        "$bin/python" -m grpc_tools.protoc "${plugins[@]}" -I"$tree" --python_out="$fresh/$tree" --grpc_python_out="$fresh/$tree" \
            --mypy_out=quiet:"$fresh/$tree" --mypy_grpc_out=quiet:"$fresh/$tree" $(git ls-files "$tree/*.proto")
        (cd "$fresh/$tree" && find . -name '*_pb2*') | while read -r file; do
            cmp -s "$fresh/$tree/$file" "$tree/$file" || { echo "$tree/$file differs from its .proto: run make proto"; exit 1; }
        done
    done
}

step format "$bin/ruff" format --check -q .
step lint "$bin/ruff" check -q --output-format concise .
step walls "$bin/lint-imports"
step types "$bin/mypy" proto/sento_proto node/sento_node client/sento_client deploy/sento_drill tests
step stubs stubs
