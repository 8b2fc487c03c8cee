"""Counts checks and prints the closing line that ./dev test adds up."""

import sys
import traceback


EXPLAINED = 40  # failures after these are only named


class Report:
    def __init__(self, title, verbose=False):
        self.title = title
        self.verbose = verbose
        self.passed = 0
        self.failures = []
        self.skips = []

    def check(self, name, holds, detail=""):
        """One check: counts it, prints it when it fails. `detail` may be a function, called only then."""
        if holds:
            self.passed += 1
            if self.verbose:
                print(f"ok    {name}", flush=True)
            return True
        self.failures.append(name)
        if len(self.failures) > EXPLAINED:
            text = ""
        else:
            text = detail() if callable(detail) else detail
        print(f"FAIL  {name}\n{_indent(text)}" if text else f"FAIL  {name}", flush=True)
        return False

    def equal(self, name, got, wanted):
        return self.check(name, got == wanted, lambda: f"got    {got!r}\nwanted {wanted!r}")

    def skip(self, name, reason):
        self.skips.append(name)
        print(f"skip  {name}: {reason}", flush=True)

    def story(self, name, function, *arguments):
        """Runs one test function; an exception is a failure."""
        before = len(self.failures)
        try:
            function(*arguments)
        except Exception:  # a test that breaks must not hide the ones after it
            self.check(name, False, traceback.format_exc())
            return False
        return len(self.failures) == before

    def note(self, text):
        print(f"      {text}", flush=True)

    def close(self):
        """Prints the closing line; returns the exit code."""
        if self.failures:
            print(f"{self.title}: failed: " + ", ".join(self.failures[:20]))
        print(f"{self.title}: {self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped", flush=True)
        if not self.passed and not self.failures and not self.skips:
            print(f"{self.title}: nothing was checked")
            return 2
        return 1 if self.failures else 0


def _indent(text):
    return "\n".join("      " + line for line in str(text).splitlines())


def main(run):
    """Ends the process with run()'s exit code; SIGINT is a failure without a stack."""
    try:
        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)
