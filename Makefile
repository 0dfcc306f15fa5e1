# `make demo` and `make test` need Python 3.11 or newer and make: each sets up its own environment.
PYTHON ?= python3
DATA ?=
DEMO_ARGS = $(if $(DATA),--data $(DATA))
# one thread a test process: two busy OpenMP runtimes on the same cores spin against each other
TEST_ENV = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
JOBS ?= 2
PARALLEL = -n $(JOBS) --dist worksteal
ENVIRONMENTS = .venv .venv-oldest .venv-oldest-torch .venv-distributed

.PHONY: demo test test-oldest test-oldest-torch test-distributed coverage mutants lint types docs doc-links hashes bench \
  clean

demo: .venv/installed
	.venv/bin/python examples/quickstart.py $(DEMO_ARGS)

test: .venv/installed
	$(TEST_ENV) .venv/bin/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-oldest: .venv-oldest/installed
	$(TEST_ENV) .venv-oldest/bin/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# on Linux pip brings CUDA with this torch, 5.5 GB, unless PIP_EXTRA_INDEX_URL names the index of those without
test-oldest-torch: .venv-oldest-torch/installed
	$(TEST_ENV) .venv-oldest-torch/bin/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# Spark needs a JDK
test-distributed: .venv-distributed/installed
	$(TEST_ENV) .venv-distributed/bin/python -m pytest $(PYTEST_ARGS) tests/test_engines.py

coverage: .venv/installed
	.venv/bin/python -m pip install -q -c constraints/tested.txt pytest-cov
	$(TEST_ENV) .venv/bin/python -m pytest $(PARALLEL) --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

mutants: .venv/installed
	$(TEST_ENV) .venv/bin/python benchmarks/mutants.py $(MUTANTS_ARGS)

lint: .venv/installed
	.venv/bin/python -m pip install -q -c constraints/tested.txt ruff codespell
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/codespell

types: .venv/installed
	.venv/bin/python -m pip install -q -c constraints/tested.txt mypy
	.venv/bin/mypy

docs: .venv/installed
	.venv/bin/python -m pip install -q -c constraints/tested.txt -e '.[docs]'
	OMP_NUM_THREADS=1 .venv/bin/python -m sphinx -b html -W --keep-going docs docs/_build/html

# links to other sites, which may fail for reasons of theirs
doc-links: docs
	.venv/bin/python -m sphinx -b linkcheck docs docs/_build/linkcheck

# the versions of constraints/tested.txt and what they bring, with the checksums of all files; torch has its own index
hashes:
	echo torch | uv pip compile -q pyproject.toml constraints/ci.in --extra test -c constraints/tested.txt --excludes - \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o constraints/hashes.txt

constraints/oldest-torch.txt: constraints/tested.txt
	sed -e '1s/.*/# The versions of tested.txt with the lowest torch, which `make test-oldest-torch` runs with./' \
	  -e 's/^torch==.*/torch==2.6.0/' $< > $@

bench: .venv/installed
	.venv/bin/python benchmarks/speed.py $(BENCH_ARGS)

.venv/installed .venv-distributed/installed: CONSTRAINTS = constraints/tested.txt
.venv-oldest/installed: CONSTRAINTS = constraints/oldest.txt
.venv-oldest-torch/installed: CONSTRAINTS = constraints/oldest-torch.txt
.venv-distributed/installed: ENGINES = "dask[distributed]" optuna pyspark "ray[train]"
.venv/installed .venv-distributed/installed: constraints/tested.txt
.venv-oldest/installed: constraints/oldest.txt
.venv-oldest-torch/installed: constraints/oldest-torch.txt

$(ENVIRONMENTS:=/installed): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "skvae needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.11 ..."; exit 1; }
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS) -e '.[test]' $(ENGINES)
	touch $@

clean:
	rm -rf $(ENVIRONMENTS) benchmarks/.envs build dist demo-output docs/_build docs/generated docs/auto_examples docs/api.rst
