# gatefleet: the few commands. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AGAIN := { echo "=== once more, only what failed ==="; $(BIN)/pytest --last-failed --last-failed-no-failures none; }
# A real browser, and a camera's server that others wrote.
BROWSER := chromium chromium-driver python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly
DURATION ?=
JSON ?=

.DEFAULT_GOAL := help
.PHONY: help venv check test test-peers demo asyncapi lock fmt bench bench-crypto bench-devices bench-families bench-faults fuzz clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gatefleet needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh .ci/packages python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(VENV)/.done ## .venv from the lock, and nothing else

check: venv ## format, lint, types, import contracts, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 3 --hypothesis-profile=quick -m "not real and not slow"

test: venv ## everything, with the real programs (installs their Debian packages when it may)
	@sh .ci/packages mosquitto postgresql strace socat mbpoll openssl $(BROWSER)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# What fails is tried once more, alone and loudly: a busy machine breaks timings, a bug breaks twice.
	$(BIN)/pytest -n 2 -m "not real and not slow" || $(AGAIN)
	$(BIN)/pytest -n 2 --dist loadfile -m "real or slow" || $(AGAIN)

test-peers: venv ## the devices against larger programs that others wrote (gpsd, Kamailio, SIPp, Net-SNMP)
	@sh .ci/packages gpsd gpsd-clients kamailio sip-tester snmp snmpd $(BROWSER)
	$(BIN)/pytest -m real tests/real/test_gb28181_peers.py tests/real/test_live_browser.py tests/real/test_onvif_peer.py tests/real/test_snmp_peer.py tests/simulators/test_nmea0183.py tests/simulators/test_instrument.py

fmt: venv ## format and sort in place
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: venv ## every measurement, side by side with the limits of this machine
	@sh .ci/packages mosquitto postgresql
	$(BIN)/python bench/all.py $(if $(JSON),--json $(JSON))

bench-crypto: venv ## SM2, SM3, SM4 against what the documents ask
	$(BIN)/python bench/crypto.py

bench-devices: venv ## 5,000 locators; 189 cameras; 42 plate cameras with barriers, each on one daemon
	$(BIN)/python -m bench.devices $(if $(JSON),--json $(JSON))

bench-families: venv ## each family of devices lies, hangs and dies in turn: what the others feel (26 minutes)
	$(BIN)/python -m bench.families $(if $(JSON),--json $(JSON))

fuzz: venv ## broken input for every parser, ten minutes; SECONDS=60 for less
	$(BIN)/python bench/fuzz.py $(if $(SECONDS),--seconds $(SECONDS))

bench-faults: venv ## 100,000 events through a bad network and thirty SIGKILLs
	@sh .ci/packages mosquitto postgresql
	$(BIN)/python bench/faults.py $(if $(JSON),--json $(JSON))

demo: venv ## the reference site, live; DURATION=60 JSON=out.json: no terminal, faults, reconciliation
	$(BIN)/gatefleet demo $(if $(DURATION),--duration $(DURATION)) $(if $(JSON),--report $(JSON))

asyncapi: venv ## docs/asyncapi.yaml from the messages themselves
	$(BIN)/python .ci/asyncapi.py

lock: venv ## resolve the dependencies again
	$(BIN)/pip install --quiet uv && $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --extra edge --extra central --extra sim --extra video --extra dev pyproject.toml -o requirements.lock

clean: ## remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
