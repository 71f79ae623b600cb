"""The project's limits on what benchmarks measure, and what is said of each: "met", "met within noise (10 %)" or "missed".

What is counted (exits, memory) is the same from run to run and is judged exactly. Seconds, and what is divided by seconds, are not on a shared
machine: a ratio that is beyond its limit by at most the noise is told as that, not as met.
"""

NOISE = 0.10
# Exit statuses of a benchmark.
ALL_MET, SOME_MISSED, SOME_WITHIN_NOISE = 0, 1, 3
MEANING = {ALL_MET: "every limit met", SOME_MISSED: "a limit missed (above)", SOME_WITHIN_NOISE: "every limit met, but some only within noise (above)"}


class Limits:
    def __init__(self):
        self.missed = self.within_noise = 0

    def judge(self, what, ratio, limit=None, at_least=False, is_counted=False):
        """Prints the ratio and, where there is a limit, the verdict."""
        if limit is None:
            print(f"ratio {what} = {ratio:.3f}", flush=True)
            return
        slack = 1 if is_counted else 1 + NOISE
        if ratio >= limit if at_least else ratio <= limit:
            verdict = "met"
        elif ratio * slack >= limit if at_least else ratio <= limit * slack:
            verdict = f"met within noise ({NOISE:.0%})".replace("%", " %")
            self.within_noise += 1
        else:
            verdict = "missed"
            self.missed += 1
        print(f"ratio {what} = {ratio:.3f} (limit: at {'least' if at_least else 'most'} {limit:.2f}): {verdict}", flush=True)

    def status(self):
        return SOME_MISSED if self.missed else SOME_WITHIN_NOISE if self.within_noise else ALL_MET
