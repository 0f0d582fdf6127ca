# `make lab` opens the lab, `make demo` runs its loop headless, `make test` runs all that must pass.
PYTHON ?= python3
BIN := .venv/bin
RUN_DEPS := .venv/.run
DEV_DEPS := .venv/.dev

.PHONY: lab demo everything test check compiled bench gpu gpu-check fuzz format clean

lab: $(RUN_DEPS)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/vitlab; else $(BIN)/vitlab demo --profile smoke; fi

demo: $(RUN_DEPS)
	$(BIN)/vitlab demo

# Every MVP of the example plan at profile smoke, in a lab of its own: each must end with figures
# and a conclusion in the roadmap.
EVERYTHING := build/everything
MVPS := 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0
everything: $(RUN_DEPS)
	rm -rf $(EVERYTHING)
	$(BIN)/vitlab init $(EVERYTHING)
	cd $(EVERYTHING) && for mvp in $(MVPS); do \
		$(CURDIR)/$(BIN)/vitlab run $$mvp --profile smoke --wait && \
		$(CURDIR)/$(BIN)/vitlab sync $$mvp --yes && \
		ls roadmaps/img/mvp_$${mvp}_*_smoke.png && \
		grep -q "^| MVP-$$mvp |.*(smoke)" roadmaps/vit_roadmap.md || exit 1; done

# Processes of one thread, one more than cores, as many tests wait for the jobs they start. Whoever
# is done takes over from the others.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
test: $(DEV_DEPS)
	$(MAKE) --no-print-directory -j 2 check compiled
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(DEV_DEPS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Rewrites the tests' asserts once, which each worker would do for itself, while mypy is at work on
# another core. What cannot be collected is told by the run.
compiled: $(DEV_DEPS)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -q > /dev/null || true

bench: $(DEV_DEPS)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group bench
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

# One table of what a GPU does with our networks and with others, in at most eight minutes; with the Python
# of the environment, which has the torch of this machine's driver.
gpu:
	PYTHONPATH=. $(PYTHON) benchmarks/gpu.py --out build/gpu

# Proves the trainer's CUDA paths on a machine that has a GPU; with the same Python.
gpu-check:
	PYTHONPATH=. $(PYTHON) benchmarks/gpu_check.py

# Ten minutes of documents broken at random; `make fuzz MINUTES=1` for one.
MINUTES ?= 10
fuzz: $(DEV_DEPS)
	$(BIN)/python -m tests.docs.fuzz $(MINUTES)

format: $(DEV_DEPS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# pip 25.1 is the first that reads dependency groups.
.venv/.pip:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(RUN_DEPS): .venv/.pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(DEV_DEPS): .venv/.pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	@touch $@ $(RUN_DEPS)
