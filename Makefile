# Swath. `make fly` and `make test` work on a fresh clone; everything else builds on the environment that they make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := $(wildcard bindings/csrc/*.c bindings/csrc/*.h bindings/csrc/decl/*.h) bindings/build.py setup.py pyproject.toml
PACKAGES := bindings hal payload_models flight ground_test

.PHONY: help fly test bench lint check aarch64 sanitize threads valgrind python310 wheel fuzz soak campaign clean

# Which target `make fuzz` runs (all if empty), how many inputs it gives (empty: what is told in tests/fuzz/targets.py),
# and how many pieces at a time
FUZZ_RUNS ?=
FUZZ_JOBS ?= 1
FUZZ_TARGET ?=

help:
	@echo "make fly        set up, and fly the demonstration mission on real imagery (results under out/fly/)"
	@echo "make test       set up, and run the tests"
	@echo "make lint       ruff and mypy --strict"
	@echo "make check      the import rule, the C core under ASan, UBSan, TSan and valgrind, Python 3.10, the wheel"
	@echo "make aarch64    the C core and the kernels' tests on an emulated ARM core"
	@echo "make fuzz       every decoder under libFuzzer (FUZZ_TARGET=name for one); goes on where it stopped"
	@echo "make soak       a million frames of the executive, each accounted for (33 minutes); goes on where it stopped"
	@echo "make campaign   the long proofs whole, of which the tests replay a share; goes on where it stopped"
	@echo "make bench      side-by-side measurements"
	@echo "make clean      remove what was built"

$(READY): $(SOURCES) .ci/prerequisites
	@PYTHON="$(PYTHON)" sh .ci/prerequisites
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once)" && $(BIN)/python -m pip install -qq --disable-pip-version-check "setuptools>=70" wheel "cffi>=2.0"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation -e '.[cpu,ground,test]'
	@$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

fly: $(READY)
	@$(BIN)/swath-ground fly --out out/fly

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: $(READY)
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory sanitize valgrind wheel python310

sanitize: $(READY)
	PYTHON=$(BIN)/python bash tests/bindings/sanitize.sh

threads: $(READY)
	bash tests/bindings/sanitize.sh threads

valgrind: $(READY)
	PYTHON=$(BIN)/python bash tests/bindings/valgrind.sh

python310: wheel
	PYTHON=$(BIN)/python bash .ci/python310

wheel: $(READY)
	$(BIN)/python .ci/check_wheel.py

aarch64: $(READY)
	PYTHON=$(BIN)/python bash .ci/aarch64

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz run --jobs $(FUZZ_JOBS) $(addprefix --executions ,$(FUZZ_RUNS)) $(addprefix --target ,$(FUZZ_TARGET))
	$(BIN)/python -m tests.fuzz python
	$(BIN)/python -m tests.fuzz report

soak: $(READY)
	$(BIN)/python -m benchmarks executive --soak --report docs/soak-report.md

campaign: fuzz soak

bench: $(READY)
	$(BIN)/python -m benchmarks pixels --json

clean:
	rm -rf build dist *.egg-info out .venv .venv-310 .venv-peers .aarch64 .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests -name '__pycache__' -prune -exec rm -rf {} +
	rm -f bindings/_swath.c bindings/_swath*.so
