# Two commands on a fresh machine with Python 3.11 or newer: `make atlas` and `make test`. Each sets itself up.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready

.PHONY: help atlas app test lint docs clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

atlas: $(READY)  ## simulate three dates and map them: maps/atlas.html
	$(RUN) run_pipeline.py --demo

app: $(READY)  ## the app on what lies in tiles/, on the demo where nothing does
	@ls tiles/*/run.json >/dev/null 2>&1 || $(RUN) run_pipeline.py --demo
	$(RUN) -m pipeline serve

test: $(READY)  ## the whole test suite
	$(RUN) -m pytest

lint: $(READY)  ## style, types, floors
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	@awk 'length > 120 {print FILENAME ":" FNR ": longer than 120 characters"; long = 1} END {exit long}' pipeline/*/static/*.js pipeline/*/static/core/*.js pipeline/*/static/parts/*.js
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

docs: $(READY)  ## docs/ as pages in build/docs; a warning is an error
	$(RUN) docs/make_reference.py
	$(RUN) -m mkdocs --quiet build --strict

clean:  ## outputs of the demo, not the environment
	rm -rf demo-scenes maps/atlas.html tiles/eurosat-resnet50

$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
