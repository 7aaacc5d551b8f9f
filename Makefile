# One command to run, one to test; both make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

SEEDS ?= 1000
MINUTES ?= 10
JOBS ?= 2

.PHONY: run test bench scale chaos simulate mutate fuzz described pictures check lint types imports lock runtime-lock audit \
	binary deb deploy clean

run: $(STAMP)  ## leadenrich demo: sandbox vendors, 25 leads, then the daemon stays up
	@$(BIN)/leadenrich demo

test: $(STAMP)  ## every test, JOBS=2 files at a time; needs redis-server on PATH or the wheel in requirements.lock
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

simulate: $(STAMP)  ## SEEDS=1000 worlds of MINUTES=10 that fail by seed; SEED=n tells one of them step by step
	@PYTHONPATH=tests PYTHONHASHSEED=0 $(BIN)/python -m simulation --minutes $(MINUTES) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

chaos: $(STAMP)  ## kills, storms and a soak in figures, docs/reliability.md; ONLY=kills,soak SEED=7 MINUTES=30 QUICK=1
	@PYTHONPATH=tests $(BIN)/python -m chaos $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED)) $(if $(QUICK),--quick) \
		$(if $(filter-out file,$(origin MINUTES)),--minutes $(MINUTES))

bench: $(STAMP)  ## speed and cost in figures, docs/performance.md; ONLY=drain,ingest QUICK=1 OURS=1 PAGE=1 LOG=warning PEERS=folder
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(OURS),--ours) \
		$(if $(PAGE),--page) $(if $(LOG),--log-level $(LOG))

scale: $(STAMP)  ## what many leads a second need, docs/scale.md; in a second; MEASURE=1 measures a lead's bill first
	@PYTHONPATH=tests $(BIN)/python -m scale $(if $(MEASURE),--measure)

mutate: $(STAMP)  ## small faults in queue, signature and errors: do the tests notice? MOST=150 of each part, SEED=1; ONLY=claim.lua; ALL=1
	@PYTHONPATH=tests $(BIN)/python -m mutation --seed $(or $(SEED),1) --most $(if $(ALL)$(ONLY),0,$(or $(MOST),150)) $(if $(ONLY),--only $(ONLY))

# atheris stands beside the environment, for it is no part of the program, and has no wheel for every Python.
fuzz: $(STAMP)  ## SECONDS=60 a parser: looks for bytes it cannot bear, and keeps them in tests/fuzz/corpus; ONLY=cursor,config
	@test -d $(VENV)/fuzz/atheris || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --target $(VENV)/fuzz 'atheris==3.0.0' || true
	@PYTHONPATH=tests:$(VENV)/fuzz $(BIN)/python -m fuzz --seen $(VENV)/fuzz/seen --seconds $(or $(SECONDS),60) $(if $(ONLY),--only $(ONLY))

pictures: $(STAMP)  ## docs/pictures again, of the demo in Chromium: a minute
	@PYTHONPATH=tests $(BIN)/python -m browser.pictures

check: $(STAMP) lint types imports test

described: $(STAMP)  ## EXAMPLES=200 requests an operation, made up from /openapi.json: is every answer as it says? SEED=7
	@PYTHONPATH=tests $(BIN)/python -m described --examples $(or $(EXAMPLES),200) $(if $(SEED),--seed $(SEED))

lint: $(STAMP)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "leadenrich needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "Making the environment in $(VENV) (once, about half a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q leadenrich
	@touch $@

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock: $(STAMP)  ## requirements.lock again, from pyproject.toml, and of it what a VM needs
	@$(COMPILE) --upgrade --all-extras --group test --group check pyproject.toml -o requirements.lock
	@$(MAKE) --no-print-directory runtime-lock

# The same versions without what tests and checks. hatchling builds the program where it is installed: pip must not fetch
# one of its own that nobody locked.
runtime-lock: $(STAMP)  ## requirements-runtime.lock, out of requirements.lock; and the same with what builds a package
	@echo hatchling | $(COMPILE) --constraint requirements.lock --extra uvloop pyproject.toml - -o requirements-runtime.lock
	@echo hatchling | $(COMPILE) --constraint requirements.lock --extra uvloop --group package pyproject.toml - -o packaging/requirements.lock

deploy: $(STAMP)  ## docs/deploy.md word for word in a Debian made for it, booted where it can be; root, mmdebstrap, systemd-nspawn
	@PYTHONPATH=tests $(BIN)/python -m deploy

# In an environment of its own, for it is no part of the program. It must reach the network: a green audit that looked
# nothing up proves nothing, and audit_report.py fails it.
audit: $(STAMP)  ## known holes of every locked version; the version floors are among `make test`
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'
	@$(VENV)/audit/bin/pip-audit --disable-pip --require-hashes -r requirements.lock --format json --progress-spinner off \
		| $(BIN)/python tests/audit_report.py requirements.lock

# Built by Debian's Python, whose libpython is shared and whose security fixes are Debian's. The glibc of this machine is the
# oldest that the result runs on: build on Debian 12.
BUILD_PYTHON ?= /usr/bin/python3
REVISION ?= 1
BUILDER := $(VENV)/package
BUILDER_STAMP := $(BUILDER)/.stamp
BUILT := build/pyinstaller
binary deb: export PYTHONHASHSEED = 0
binary deb: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

binary: $(STAMP) $(BUILDER_STAMP)  ## dist/leadenrich, the program as one file, which is then tried: size, start, demo, serve, socket
	@$(BUILDER)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	@$(BUILDER)/bin/pyinstaller --log-level ERROR --clean --noconfirm --distpath $(BUILT) --workpath build/work packaging/leadenrich.spec
	@install -D -m 755 $(BUILT)/leadenrich dist/leadenrich
	@PYTHONPATH=tests $(BIN)/python -m smoke dist/leadenrich --one-file

deb: binary  ## dist/leadenrich_VERSION-REVISION_amd64.deb, which is then tried: lintian, and its life in a Debian without Python; REVISION=1
	@set -e; package=$$($(BUILDER)/bin/python packaging/build_deb.py --folder $(BUILT)/folder --work build/deb --to dist --revision $(REVISION)); \
	if command -v lintian >/dev/null; then lintian --allow-root --fail-on error,warning $$package; else echo "skipped: lintian is not installed"; fi; \
	PYTHONPATH=tests $(BIN)/python -m smoke.debian dist/leadenrich $$package --base build/debian-12.tar; \
	echo "$$package"

$(BUILDER_STAMP): packaging/requirements.lock
	@$(BUILD_PYTHON) -c 'import ctypes, ensurepip, sysconfig; ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' 2>/dev/null || { \
		echo "make binary needs a Python with venv and a shared libpython: apt-get install python3-venv libpython3.11"; exit 1; }
	@$(BUILD_PYTHON) -m venv $(BUILDER)
	@$(BUILDER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r packaging/requirements.lock
	@touch $@

clean:
	@rm -rf build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
