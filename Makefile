# What a developer does here; `make help` lists it. Each virtual environment holds the project as it is
# built with its own switches (see setup.py), and is brought up to date when a source has changed.

PYTHON ?= python3
ARGS ?=
SOURCES := setup.py pyproject.toml _fasttrace_pytest.py $(wildcard src/*) \
  $(shell find fasttrace -name '*.py*' ! -name _version.py ! -path '*/__pycache__/*')
PYTEST = bin/python -m pytest $(ARGS)
SANITIZERS = $(shell gcc -print-file-name=libasan.so) $(shell gcc -print-file-name=libubsan.so)
SANITIZED = LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4 PYTHONMALLOC=malloc \
  $(CURDIR)/.venv-sanitize

.NOTPARALLEL:
.PHONY: help demo test test-all test-others lint bench bench-compare bench-opentracing bench-propagation \
  bench-encoders bench-memory bench-delivered bench-profiles bench-latency bench-pauses bench-threads \
  bench-service bench-all bench-sampling bench-web bench-gate debug \
  sanitize memcheck soak portable cross-check clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/built  ## trace a small service, send its traces to a test agent, print what arrived
	.venv/bin/fasttrace demo

# The tests run in tests/: in the root, the sources would hide the installed package.
test: .venv/built  ## run the test suite on the default Python
	cd tests && $(CURDIR)/.venv/$(PYTEST)

test-all:  ## run the suite in full size, then on every other Python of this machine
	FASTTRACE_TEST_FULL=1 $(MAKE) test
	$(MAKE) test-others

test-others: .venv-dev/built  ## run the suite on CPython 3.10, 3.12 and 3.13
	.venv-dev/bin/nox -s python-3.10 python-3.12 python-3.13 -- $(ARGS)

lint: .venv-dev/built  ## check style and types; the environment's build had C warnings as errors
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	PATH="$(CURDIR)/.venv-dev/bin:$$PATH" cython-lint src  # it calls pycodestyle
	cd tests && ../.venv-dev/bin/stubtest fasttrace._span --allowlist stubtest.txt --ignore-unused-allowlist

bench: .venv-bench/built  ## measure fasttrace alone, with pyperf
	.venv-bench/bin/python benchmarks/bench.py $(ARGS)

bench-compare: .venv-bench/built  ## measure fasttrace, its peers and the CPython floor in turns
	.venv-bench/bin/python benchmarks/compare.py $(ARGS)

bench-opentracing: .venv-bench/built  ## measure the OpenTracing face, the native API and ddtrace 2.21 in turns
	.venv-bench/bin/python benchmarks/bench_opentracing.py $(ARGS)

bench-encoders: .venv-bench/built  ## measure what encoding alone costs, with ddtrace's and general encoders
	.venv-bench/bin/python benchmarks/encoders.py $(ARGS)

bench-memory: .venv-bench/built  ## measure the memory of a finished span, with its peers
	.venv-bench/bin/python benchmarks/memory.py $(ARGS)

bench-delivered: .venv-bench/built  ## measure a span with its sending, all threads, with its peers
	.venv-bench/bin/python benchmarks/delivered.py $(ARGS)

bench-profiles: .venv-bench/built  ## measure what a configuration as in production adds to a span
	.venv-bench/bin/python benchmarks/profiles.py $(ARGS)

bench-latency: .venv-bench/built  ## measure what a traced request waits longer, with its peers
	.venv-bench/bin/python benchmarks/latency.py $(ARGS)

bench-pauses: .venv-bench/built  ## measure how long a flush holds the interpreter's lock
	.venv-bench/bin/python benchmarks/pauses.py $(ARGS)

bench-threads: .venv-bench/built  ## measure spans of 1, 4 and 16 threads, with its peers
	.venv-bench/bin/python benchmarks/threads.py $(ARGS)

bench-service: .venv-bench/built  ## put FastAPI and Flask under load, untraced and with each tracer
	.venv-bench/bin/python benchmarks/service.py $(ARGS)

# Other interpreters take part where they are found. Leave the machine alone meanwhile.
DEBIAN_PYTHON ?= /usr/bin/python3
OTHER_PYTHON ?= python3.13
OTHERS = $(if $(shell command -v $(DEBIAN_PYTHON)),debian) $(if $(shell command -v $(OTHER_PYTHON)),3.13)
bench-all: .venv-bench/built $(OTHERS:%=.venv-bench-%/built)  ## measure everything, write docs/performance.md
	.venv-bench/bin/python benchmarks/everything.py \
	  $(foreach other,$(OTHERS),--also $(other)=.venv-bench-$(other)/bin/python) $(ARGS)

bench-propagation: .venv-bench/built  ## measure what writing and reading headers costs, with its peers
	.venv-bench/bin/python benchmarks/propagation.py $(ARGS)

bench-sampling: .venv-bench/built  ## measure what sampling rules cost
	.venv-bench/bin/python benchmarks/sampling_rules.py $(ARGS)

bench-web: .venv-bench-web/built  ## measure what tracing adds to a request of Flask and of FastAPI
	.venv-bench-web/bin/python benchmarks/web_requests.py $(ARGS)

bench-gate: .venv/built  ## fail if a span costs more instructions than it may (needs valgrind)
	.venv/bin/python benchmarks/gate.py $(ARGS)

debug: .venv-dev/built  ## build with assertions, in place, for a debugger
	FASTTRACE_DEBUG=1 .venv-dev/bin/python setup.py -q build_ext --inplace

# Forks are left out: the lock of GCC 12's AddressSanitizer may be held by another thread at a fork, and
# the child then waits for it for ever.
sanitize: .venv-sanitize/built .venv/built  ## run the suite with assertions, AddressSanitizer, UBSan; memcheck
	cd tests && $(SANITIZED)/$(PYTEST) --ignore=test_packaging.py --ignore=parity --ignore=instrumentation \
	  -k "not fork and not parent_and_child and not test_import_is_quick"
	cd tests && $(SANITIZED)/bin/python inplace_fuzz.py 2000000
	$(MAKE) memcheck

# Undefined values are not looked for: CPython computes with some, and they taint the small integers.
memcheck: .venv/built  ## run the core under valgrind
	@if command -v valgrind > /dev/null; then PYTHONMALLOC=malloc valgrind -q --undef-value-errors=no \
	  --error-exitcode=9 .venv/bin/python tests/core_run.py 10; \
	else echo 'memcheck: not done, there is no valgrind'; fi

soak: .venv-soak/built  ## trace for 15 minutes while the agent keeps dying; FASTTRACE_SOAK_SECONDS changes that
	.venv-soak/bin/python tests/soak.py

portable: .venv-portable/built  ## run the suite on a build without intrinsics or GNU extensions
	cd tests && $(CURDIR)/.venv-portable/$(PYTEST) --ignore=test_packaging.py --ignore=instrumentation

CROSS ?= aarch64-linux-gnu-gcc
cross-check: .venv/built  ## compile the C for aarch64, with this machine's Python headers
	@if command -v $(CROSS); then \
	  $(CROSS) -O3 -Wall -Wextra -Werror -Isrc -c build/src/_span.c -o build/_span.aarch64.o \
	    -I$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	else echo 'cross-check: not done, there is no $(CROSS)'; fi

clean:  ## remove everything that was built
	rm -rf build dist *.egg-info .nox .oracle .venv* .*_cache .hypothesis fasttrace/_version.py fasttrace/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environments: what is installed, and the switches of the build.
ENVIRONMENTS := .venv .venv-dev .venv-bench .venv-bench-debian .venv-bench-3.13 .venv-bench-web .venv-sanitize .venv-portable .venv-soak
.venv/built: WANTED = '.[test-instrumentation]'
.venv-sanitize/built .venv-portable/built: WANTED = '.[test]'
.venv-bench/built .venv-bench-debian/built .venv-bench-3.13/built: WANTED = . -r benchmarks/requirements.txt
.venv-bench-debian/built: PYTHON = $(DEBIAN_PYTHON)
.venv-bench-3.13/built: PYTHON = $(OTHER_PYTHON)
.venv-bench-web/built: WANTED = . -r benchmarks/requirements-web.txt
.venv-dev/built: WANTED = '.[dev]'
.venv-soak/built: WANTED = '.[soak]'
.venv-dev/built: export FASTTRACE_WERROR = 1
.venv-sanitize/built: export FASTTRACE_SANITIZE = 1
.venv-sanitize/built: export FASTTRACE_DEBUG = 1
.venv-portable/built: export FASTTRACE_PORTABLE = 1

$(ENVIRONMENTS:%=%/built): %/built: $(SOURCES)
	@test -x $*/bin/python || $(PYTHON) -m venv $*
	@rm -rf build/lib*
	$*/bin/python -m pip install --quiet --disable-pip-version-check $(WANTED)
	@touch $@
