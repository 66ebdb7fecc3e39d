# Every command for this repository; each sets up .venv first. `make PYTHON=python3.13 run` names
# another Python for a new .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.requirements

run: $(READY)
	@$(BIN)/python -m helpers run

test: $(READY)
	@$(BIN)/python -m pytest -n auto

# .jupyter turns off what JupyterLab would ask the internet: its news and its extensions.
lab: $(READY)
	JUPYTER_CONFIG_PATH=$(CURDIR)/.jupyter $(BIN)/python \
		-c "import helpers.runs, jupyterlab.labapp as lab; lab.main()" notebooks

bench: $(READY)
	@$(BIN)/python -m tests.bench

notebooks: $(READY)
	$(BIN)/python tests/notebooks/store.py

site: $(READY)
	$(BIN)/python -m helpers.site build/site

REVEAL := tests/browser/node_modules/reveal.js
slides: $(READY) $(REVEAL)
	$(BIN)/python -m helpers.site build/slides $(REVEAL)

$(REVEAL):
	@command -v npm >/dev/null || { echo "Slides need reveal.js: install Node, npm brings it." >&2; exit 1; }
	npm ci --silent --prefix tests/browser

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)
	echo '-e .[test]' | $(BIN)/uv pip compile - --quiet --universal --python-version 3.10 \
		--no-header --no-annotate -o requirements.txt

clean:
	rm -rf build .pytest_cache .ruff_cache .mypy_cache *.egg-info

# uv installs several times faster than pip, and compiled bytecode makes each kernel start faster.
# uv does not read pip's configuration, so where that names the only registry, pip takes over.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 10) <= sys.version_info < (3, 14) or sys.exit( \
		"Python 3.10 to 3.13 is needed: name one, as in make PYTHON=python3.13 run")'
	@echo "Setting up .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.PHONY: run test lab bench notebooks site slides format lock clean
