# Few commands, the same names everywhere. Each sets up what it needs: virtual environment, packages, etcd.
SHELL := /bin/bash
PY := .venv/bin/python
STAY ?= 0
SEEDS ?= 0:200
SEED ?=
# A node, a member's reader and every command are processes: each would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE
PROTO := proto/sento_proto/v1/*.proto
PROTOC = $(PY) -m grpc_tools.protoc --plugin=.venv/bin/protoc-gen-mypy --plugin=.venv/bin/protoc-gen-mypy_grpc
STUBS = --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1)

.PHONY: setup demo test check proto sim soak bench bench-proofs bench-sync bench-courier story-keys malice long
setup: ; @deploy/setup.sh
demo: setup ; @$(PY) -m sento_drill.cli demo $(if $(filter 1,$(STAY)),--stay)
test: setup ; $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder
check: setup ; @tests/architecture/check.sh
proto: setup
	$(PROTOC) -Iproto $(call STUBS,proto) $(PROTO)
	$(PROTOC) -Inode $(call STUBS,node) node/sento_node/ordering/etcd/api/etcd.proto
sim: setup ; $(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))
story-keys: setup ; @$(PY) -m sento_drill.cli story-keys --directory .story
long: setup ; SENTO_LONG=1 $(PY) -m pytest -q -m long
malice: setup ; SENTO_LONG=1 SENTO_MALICE_TABLE=1 $(PY) -m pytest -q tests/faults/test_malice_to_*.py
soak: setup ; $(PY) -m sento_drill.cli soak
bench: setup ; $(PY) -m sento_drill.cli bench
bench-proofs: setup ; $(PY) -m sento_drill.cli bench-proofs
bench-sync: setup ; $(PY) -m sento_drill.cli bench-sync
bench-courier: setup ; $(PY) -m sento_drill.cli bench-courier
