"""Runs every test of the project: what `make check` and continuous integration call.

Usage: check.py BUILD_FOLDER

Stages, in this order, each a `meson test` of one build folder; a later stage runs also when an earlier one
failed, so that one run tells everything:
  lint, unit, integration, ui, guest   on BUILD_FOLDER (gcc)
  unit                                 on BUILD_FOLDER-sanitize (clang, AddressSanitizer with its search for leaks, UBSan, fuzz corpora)

Both compilers build with warnings as errors. ALCOVE_CHECK_STAGES picks stages by name ("unit,sanitize"). Ends 0 only if no test
failed and at least one ran. A guest test that had to be run again is told with what had failed, as is a run that took longer than it may.
The last line is "N passed, N failed, N skipped".
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZE_ENVIRONMENT = {
    # A leak fails a test, in whatever code it is. The libraries have no frame pointers: without slow unwinding a leak would be told as
    # g_malloc's, and no suppression could name whose it is.
    "ASAN_OPTIONS": "detect_leaks=1:fast_unwind_on_malloc=0:abort_on_error=1:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": f"print_suppressions=0:suppressions={pathlib.Path(__file__).resolve().parent / 'leaks.suppressions'}",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
# What a clean run may take on two cores.
LIMIT_MINUTES = 30
# How tests/nested/appliance and tests/guest/run-in-appliance say that they try again.
RETRY = re.compile(r"^[\w-]+: RETRY: (.*?)\s*$", re.MULTILINE)
COUNTED = {
    "OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped",
    "FAIL": "failed", "TIMEOUT": "failed", "ERROR": "failed", "INTERRUPT": "failed", "UNEXPECTEDPASS": "failed",
}


class Check:
    def __init__(self, build):
        self.build = pathlib.Path(build).absolute()
        self.sanitize = self.build.with_name(self.build.name + "-sanitize")
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.problems = []
        self.retried = []
        self.seconds = []

    def run(self, *command, env=None):
        return subprocess.run([str(word) for word in command], cwd=ROOT, env={**os.environ, **(env or {})}).returncode

    def suite(self, build, suite, jobs, env=None):
        log = f"check-{suite}"
        status = self.run("meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--logbase", log,
                          "--num-processes", jobs, "--timeout-multiplier", 3, "--suite", suite, env=env)
        results = build / "meson-logs" / f"{log}.json"
        if not results.exists():
            # meson writes no log when a suite has no test at all.
            self.problems.append(f"{suite} in {build.name}: no test ran (meson ended {status})")
            return
        for line in results.read_text().splitlines():
            test = json.loads(line)
            outcome = COUNTED.get(test["result"], "failed")
            self.counts[outcome] += 1
            if outcome == "failed":
                self.problems.append(f"{suite} in {build.name}: {test['name']}: {test['result']}")
            elif outcome == "skipped":
                print(f"check: skipped: {test['name']}")
            self.retried += [f"{test['name']}: {why}" for why in RETRY.findall(test.get("stdout", "") + "\n" + test.get("stderr", ""))]

    def stage(self, name, action):
        chosen = os.environ.get("ALCOVE_CHECK_STAGES")
        if chosen and name not in chosen.split(","):
            return
        print(f"check: {name}", flush=True)
        start = time.monotonic()
        action()
        self.seconds.append(f"{name} {time.monotonic() - start:.0f} s")

    def stage_sanitize(self):
        if not (self.sanitize / "build.ninja").exists():
            status = self.run("meson", "setup", self.sanitize, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                              "-Dbuildtype=debugoptimized", env={"CC": "clang"})
            if status:
                self.problems.append("sanitize: meson setup failed")
                return
        if self.run("ninja", "-C", self.sanitize, "--quiet"):
            self.problems.append("sanitize: the clang build failed")
            return
        self.suite(self.sanitize, "unit", 2, env=SANITIZE_ENVIRONMENT)

    def main(self):
        start = time.monotonic()
        self.stage("lint", lambda: self.suite(self.build, "lint", 2))
        self.stage("unit", lambda: self.suite(self.build, "unit", 2))
        self.stage("sanitize", self.stage_sanitize)
        self.stage("integration", lambda: self.suite(self.build, "integration", 1))
        self.stage("ui", lambda: self.suite(self.build, "ui", 1))
        self.stage("guest", lambda: self.suite(self.build, "guest", 2))
        minutes = (time.monotonic() - start) / 60
        print("check:", ", ".join(self.seconds))
        if minutes > LIMIT_MINUTES:
            print(f"check: WARNING: this took {minutes:.0f} minutes; {LIMIT_MINUTES} are what it may take on two cores")
        for retry in self.retried:
            print("check: retried:", retry)
        if self.retried:
            print(f"check: {len(self.retried)} retries (above): a test that passed in the end passed only at another try")
        for problem in self.problems:
            print("check: FAILED:", problem)
        ran = self.counts["passed"] + self.counts["failed"]
        failed = max(self.counts["failed"], len(self.problems))
        print(f"{self.counts['passed']} passed, {failed} failed, {self.counts['skipped']} skipped", flush=True)
        return 1 if failed or not ran else 0


sys.exit(Check(sys.argv[1]).main())
