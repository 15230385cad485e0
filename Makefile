# make run, make test, make check: each sets up what it needs. See README.md.

PYTHON ?= python3
RUN := .venv
DEV := .venv-dev

.PHONY: run test check lint types layers coverage format fuzz chaos sbom audit lock bench screenshots clean

run: $(RUN)/installed
	$(RUN)/bin/artifact-proxy $(ARGS)

# In the order of their names, as the files with the fewest tests, which come last else, are the longest.
TESTS := pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(DEV)/installed
	$(DEV)/bin/$(TESTS)

check: lint types layers test

lint: $(DEV)/installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .

types: $(DEV)/installed
	$(DEV)/bin/mypy

layers: $(DEV)/installed
	$(DEV)/bin/lint-imports

# The tests once more, a quarter slower, for the lines and branches that none of them reaches.
coverage: $(DEV)/installed
	$(DEV)/bin/coverage erase
	$(DEV)/bin/coverage run -m $(TESTS)
	$(DEV)/bin/coverage combine --quiet
	$(DEV)/bin/coverage report

format: $(DEV)/installed
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

# As the tests do for seconds, but for an hour or so.
fuzz: $(DEV)/installed
	FUZZ=long $(DEV)/bin/python -m pytest -n 2 --timeout 7200 tests/fuzz

# Kills servers under load for minutes, and checks all that they have answered; see tests/chaos/__main__.py.
chaos: $(DEV)/installed
	$(DEV)/bin/python -m tests.chaos $(ARGS)

# What the server is made of, with hashes, in the words of CycloneDX.
sbom: $(DEV)/installed
	mkdir -p build
	$(DEV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.cdx.json requirements.lock

# Known vulnerabilities of the same, as far as they can be had; ARGS="-s osv" asks another service.
audit: $(DEV)/installed
	scripts/audit $(DEV)/bin/pip-audit $(ARGS)

# Speed and memory, beside MLflow's own server, nginx, and S3 without a proxy; ARGS="--list" names the rows.
bench: $(DEV)/installed
	$(DEV)/bin/python -m benchmarks $(ARGS)

# The pictures of the page in the documents.
screenshots: $(DEV)/installed
	$(DEV)/bin/python -m tests.browser docs/screenshots

# For all platforms and every supported Python at once, with hashes and without a registry's address.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade

# The server's own dependencies, then what builds it, then what tests it.
lock: $(DEV)/installed
	$(DEV)/bin/$(LOCK) pyproject.toml --extra s3 --extra otel --output-file requirements.lock
	$(DEV)/bin/$(LOCK) --group build --constraint requirements.lock --output-file requirements-build.lock
	$(DEV)/bin/$(LOCK) pyproject.toml --extra s3 --extra otel --group dev --constraint requirements.lock \
		--constraint requirements-build.lock --output-file requirements-dev.lock

$(RUN)/installed: requirements.lock requirements-build.lock
$(DEV)/installed: requirements-dev.lock

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11) and \
	"Python 3.11 or newer is needed; name one: make PYTHON=python3.12")

$(RUN)/installed $(DEV)/installed: pyproject.toml
	@$(PYTHON) -c '$(NEW_ENOUGH)'
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes $(addprefix -r ,$(filter %.lock,$^))
	$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(RUN) $(DEV) build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
