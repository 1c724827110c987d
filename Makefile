# SPDX-License-Identifier: GPL-2.0-only
# `make run` and `make test` are the two commands to know; each installs what is missing first.

SWIFT ?= swift
# What the build needs besides a Swift toolchain: the store of fixtures, the switch between fibers.
PACKAGES := libgit2-dev libboost-context-dev pkg-config
SOURCES := $(wildcard Package.swift Plugins Sources Variants Tests)
MMDIFF = $(shell $(SWIFT) build --configuration release --show-bin-path)/mmdiff
# Traces that were recorded with strace from real programs.
RECORDED := $(wildcard Fixtures/recorded/*.trace)

# What the kernel may do meanwhile, which no log of a program shows.
BESIDE := kswapd,compact,khugepaged

# The second build, whose code records what it reads and writes, for reduced and stateful searches.
RECORDED_BUILD := .build/recorded
NAMED_TRACES := $(wildcard Fixtures/explore/*.trace)

# C files of which mutants are made, each with the variant that it is a translation of.
MUTATED := munlock-split/page_mlock.fixed:Variants/MunlockSplit/refactors/page_mlock_fixed.c \
	mlock-drain/drained:Variants/MlockDrain/refactors/remove_migration_pte.c \
	retract-page-tables/new:Variants/RetractPageTables/C/retract_page_tables_new.c
# For `make mutants`: traces run on each that nothing is noticed of.
MUTANT_TRACES := 30000
# For `make ground-truth`: with how many seeds each case is looked for, how long with each, and how many schedules of
# each control are run, besides those that small traces are explored with completely.
SEEDS := 10
SECONDS := 60
SCHEDULES := 10000000

.PHONY: all deps build explore-build run test bench ground-truth refactors mutants format lint clean

all: build

deps:
	@if command -v dpkg-query >/dev/null; then \
		missing=; \
		for package in $(PACKAGES); do \
			dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>/dev/null | \
				grep -qx installed || missing="$$missing $$package"; \
		done; \
		if [ -n "$$missing" ]; then \
			echo "Installing:$$missing"; \
			[ "$$(id -u)" -eq 0 ] && as_root= || as_root=sudo; \
			$$as_root apt-get update --quiet=2 && \
			$$as_root env DEBIAN_FRONTEND=noninteractive \
				apt-get install --quiet=2 --yes --no-install-recommends $$missing; \
		fi; \
	elif ! pkg-config --exists libgit2; then \
		echo "Needed: libgit2 and Boost.Context with their headers, and pkg-config." >&2; \
		exit 1; \
	fi

build: deps
	$(SWIFT) build --configuration release

explore-build: build
	MMDIFF_RECORD_ACCESSES=1 $(SWIFT) build --configuration release --scratch-path $(RECORDED_BUILD)
	ln -sf $(abspath $(RECORDED_BUILD))/release/mmdiff $(MMDIFF)-recorded

# Checks what real programs did, then every family, and ends with the table of verdicts.  The families have
# patches with known defects, so differences (1) and doubts (125) are no failures here.
run: build
	for trace in $(RECORDED); do $(MMDIFF) run --from $$trace --with $(BESIDE) --schedules 32 --time 1s; case $$? in 0|1|125) ;; *) exit 1;; esac; done
	$(MMDIFF) run --time 6s; case $$? in 0|1|125) ;; *) exit 1;; esac

# The end-to-end tests run the release binary.  A simulated machine is a process-wide thing, so tests
# do not run side by side.
test: build explore-build
	MMDIFF=$(MMDIFF) SEARCHCHECK=$(abspath $(RECORDED_BUILD))/release/SearchCheck $(SWIFT) test --no-parallel

bench: build explore-build
	$(MMDIFF) bench
	$(MMDIFF) bench explore $(NAMED_TRACES)
	$(MMDIFF) fixture bench

# How soon known consequences of patches are found, into the table of docs/TESTING.md.  On one core, for hours.
ground-truth: build explore-build
	$(MMDIFF) ground-truth Tests/ground-truth.txt --seeds $(SEEDS) --time $(SECONDS)s \
		--control-schedules $(SCHEDULES) --document docs/TESTING.md

# Rewritten functions that behave the same: each against its original, which must be silent.
refactors: build explore-build
	$(MMDIFF) ground-truth Tests/ground-truth.txt --only refactor --control-schedules $(SCHEDULES)

# How many small mistakes in the families' functions are noticed.
mutants: build
	status=0; for item in $(MUTATED); do \
		$(MMDIFF) mutate $${item%%:*} $${item#*:} --traces $(MUTANT_TRACES) || status=1; \
	done; exit $$status

format:
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

clean:
	$(SWIFT) package clean
	rm -rf $(RECORDED_BUILD)
