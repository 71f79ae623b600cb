# Thin on purpose: meson does the work. `make` builds, `make check` tests, `make demo` shows, `make bench` measures.
BUILD ?= build
MESON_FLAGS ?=

.PHONY: all packages check

all: packages $(BUILD)/build.ninja
	@ninja -C $(BUILD)

packages:
	@.ci/install-packages

$(BUILD)/build.ninja: | packages
	@meson setup $(BUILD) $(MESON_FLAGS)

check: all
	@python3 tests/check/check.py $(BUILD)
