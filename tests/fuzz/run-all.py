#!/usr/bin/env python3
"""Runs the fuzz targets against fresh inputs: what `make fuzz` calls.

Usage: run-all.py [--seconds N] [--runs N] [--jobs N] [--build FOLDER] [TARGET...]

Builds every target (fuzz-TARGET.c) with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, then runs each one on its seeds
until it has made --runs executions (10 million) or --seconds have passed (1800), --jobs at a time (2), one line a target:

    virtqueue            10000000 executions   312 s  298 s of CPU  nothing found

What is new to a target is kept in FOLDER/corpus/TARGET and is where its next run starts; what is found in FOLDER/findings.
Ends 1 when anything was found: a crash, a sanitizer's report, a leak, a critical, a failed assertion, an input of more than 20 seconds or
2 GiB.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import time

FUZZ = pathlib.Path(__file__).resolve().parent
ROOT = FUZZ.parents[1]
OPTIONS = [
    "-timeout=20",
    "-rss_limit_mb=2048",
    "-print_final_stats=1",
    # Bookkeeping of rare features costs more than most of the targets themselves.
    "-entropic=0",
]
ENVIRONMENT = {
    # A small quarantine: each input frees what it took, and 256 MiB of that only empty the cache.
    "ASAN_OPTIONS": "abort_on_error=1:quarantine_size_mb=16:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


@dataclasses.dataclass
class Result:
    executions: int
    seconds: float
    cpu_seconds: float
    finding: str | None


class FuzzRun:
    def __init__(self, arguments):
        self.arguments = arguments
        self.build = pathlib.Path(arguments.build).absolute()
        self.findings = self.build / "findings"

    def make(self):
        if not (self.build / "build.ninja").exists():
            subprocess.run(["meson", "setup", self.build, "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
                           cwd=ROOT, check=True, env={**os.environ, "CC": "clang"}, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.build, "--quiet", *(f"tests/fuzz/fuzz-{name}" for name in self.arguments.targets)],
                       check=True)

    def fuzz(self, target):
        corpus = self.build / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        self.findings.mkdir(exist_ok=True)
        log = self.build / "findings" / f"{target}.log"
        start = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.build / "tests/fuzz" / f"fuzz-{target}", f"-runs={self.arguments.runs}",
                 f"-max_total_time={self.arguments.seconds}", f"-artifact_prefix={self.findings}/{target}-", *OPTIONS, corpus,
                 FUZZ / "corpus" / target],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **ENVIRONMENT})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status = os.waitstatus_to_exitcode(status)
        said = log.read_text(errors="replace")
        executed = re.search(r"^stat::number_of_executed_units:\s*(\d+)", said, re.M) or re.search(r"^#(\d+)\tDONE", said, re.M)
        summary = re.search(r"^(SUMMARY: .*|\*\*.*ERROR.*|==\d+== ?ERROR: .*)", said, re.M)
        finding = None if status == 0 and executed else f"{summary.group(1) if summary else f'ended {status}'} (see {log})"
        return Result(int(executed.group(1)) if executed else 0, time.monotonic() - start, usage.ru_utime + usage.ru_stime, finding)

    def main(self):
        self.make()
        n_findings = 0
        with concurrent.futures.ThreadPoolExecutor(self.arguments.jobs) as pool:
            running = {pool.submit(self.fuzz, target): target for target in self.arguments.targets}
            for future in concurrent.futures.as_completed(running):
                result = future.result()
                n_findings += result.finding is not None
                print(f"{running[future]:20} {result.executions:9} executions {result.seconds:5.0f} s "
                      f"{result.cpu_seconds:5.0f} s of CPU  {result.finding or 'nothing found'}", flush=True)
        print(f"fuzz: {len(running)} targets, {n_findings} findings")
        return 1 if n_findings else 0


def parse_arguments():
    everything = sorted(path.stem.removeprefix("fuzz-") for path in FUZZ.glob("fuzz-*.c") if path.stem != "fuzz-target")
    parser = argparse.ArgumentParser(description="Runs the fuzz targets against fresh inputs.")
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--build", default=ROOT / "build-fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    arguments = parser.parse_args()
    arguments.targets = arguments.targets or everything
    unknown = sorted(set(arguments.targets) - set(everything))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(everything)}")
    return arguments


sys.exit(FuzzRun(parse_arguments()).main())
