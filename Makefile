# Thin on purpose: meson does the work. `make` builds, `make check` tests, `make demo` shows, `make bench` measures.
BUILD ?= build
MESON_FLAGS ?=

.PHONY: all packages check demo bench fuzz

all: packages $(BUILD)/build.ninja
	@ninja -C $(BUILD)

packages:
	@.ci/install-packages

$(BUILD)/build.ninja: | packages
	@meson setup $(BUILD) $(MESON_FLAGS)

check: all
	@python3 tests/check/check.py $(BUILD)

# With a display the window stays open; without one a virtual display is started. NESTED=1: on real KVM in the appliance.
DEMO = python3 tests/demo/demo.py $(BUILD)
demo: all
ifdef NESTED
	@tests/nested/appliance --timeout 2000 -- tests/ui/with-display $(DEMO) --nested
else ifneq ($(DISPLAY)$(WAYLAND_DISPLAY),)
	@$(DEMO) --leave-window
else
	@tests/ui/with-display $(DEMO)
endif

# Each figure as a ratio taken in one run: frame paths, then boots against QEMU on KVM (in the appliance where the host has none).
bench: all
	@python3 tests/bench/bench.py $(BUILD)

# Fresh inputs for every parser of what is not trusted (tests/fuzz/README.md): make fuzz [SECONDS=60] [TARGETS="virtqueue ahci"].
fuzz: packages
	@python3 tests/fuzz/run-all.py $(if $(SECONDS),--seconds $(SECONDS)) $(TARGETS)
