# make demo: install into .venv and run the whole way on a synthetic study. make test: install and run all tests.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
# processes that run the tests, each on a core; 0: none but pytest's own
WORKERS ?= 2
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
export MPLBACKEND = Agg
export QT_QPA_PLATFORM = offscreen

# what an earlier demo left, and nothing else that OUT may name
remove_demo = @if [ -e "$(OUT)/.made-by-cvl-demo" ]; then rm -rf "$(OUT)"; fi

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed
	$(call remove_demo)
	$(VENV)/bin/cvl demo -o "$(OUT)"

test: $(VENV)/.test-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(VENV)/.test-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# figures of the README and docs; takes some minutes, wants an idle machine
bench: $(VENV)/.test-installed
	$(PIP) install --quiet -r requirements-bench.txt
	$(VENV)/bin/python bench/run_all.py $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or later is needed; say which with: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv "$(VENV)" || \
		{ rm -rf "$(VENV)"; echo "On Debian and Ubuntu install python3-venv first: sudo apt install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet -e .
	@touch $@

$(VENV)/.test-installed: pyproject.toml requirements-test.txt | $(VENV)/bin/python
	$(PIP) install --quiet -r requirements-test.txt
	$(PIP) install --quiet -e .
	@touch $@ $(VENV)/.installed

clean:
	$(call remove_demo)
	rm -rf "$(VENV)" artefacts .pytest_cache .ruff_cache .hypothesis
