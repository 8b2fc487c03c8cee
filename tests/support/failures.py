#!/usr/bin/python3
"""The failures in a suite's log, short: who reads only the end of ./dev test's output still learns what failed, and why.

    failures.py SUITE LOG

For each failure `failed: SUITE: TEST` and the first lines of what it said. Reads ctest's output with gtest's in it, and
the Python suites' (harness/report.py). A log with no failure it knows gives its last lines.
"""

import re
import sys

LINES = 15  # of each failure
MOST = 10  # failures with their lines; the rest only by name

TEST = re.compile(r"^ *\d+/\d+ Test +#\d+: (\S+) \.*(.*)")
RUN = re.compile(r"^\[ RUN      \] (\S+)")
FAILED = re.compile(r"^\[  FAILED  \] (\S+).* \(\d+ ms\)$")
OK = re.compile(r"^\[       OK \] |^\[  SKIPPED \] ")
NOISE = re.compile(r"^\[[-=]{10}\] |^Note: |^Running main\(\)|^$")


def of_gtest(lines):
    """[(test, what it said)] of one binary's output; a test that never ended is one."""
    found, running, said = [], None, []
    for line in lines:
        if match := RUN.match(line):
            running, said = match[1], []
        elif (match := FAILED.match(line)) and running:
            found.append((running, said[:LINES]))
            running = None
        elif OK.match(line):
            running = None
        elif running:
            said.append(line)
    if running:  # what ended it stands last
        found.append((f"{running} (did not end)", said[-LINES:]))
    return found


def of_ctest(lines):
    blocks, current = [], None
    for line in lines:
        if match := TEST.match(line):
            bad = "***" in match[2] and "***Skipped" not in match[2]
            current = (match[1], match[2].strip(), []) if bad else None
            if bad:
                blocks.append(current)
        elif re.match(r"^ +Start +\d+: |^\d+% tests passed", line):
            current = None
        elif current:
            current[2].append(line)
    found = []
    for name, how, said in blocks:
        inner = of_gtest(said)
        if inner:
            found += [(f"{name}: {test}", text) for test, text in inner]
        else:
            found.append((f"{name} {how}", [line for line in said if not NOISE.match(line)][-LINES:]))
    return found


def of_report(lines):
    found = []
    for line in lines:
        if line.startswith("FAIL"):
            found.append((line.removeprefix("FAIL").strip(), []))
        elif found and line.startswith("      ") and len(found[-1][1]) < LINES:
            found[-1][1].append(line.strip())
    return found


def main(suite, log):
    with open(log, errors="replace") as file:
        lines = file.read().splitlines()
    found = of_ctest(lines) or of_report(lines) or of_gtest(lines) or [("", lines[-LINES:])]
    for index, (test, said) in enumerate(found):
        print(f"failed: {suite}: {test}" if test else f"failed: {suite}, which ended so:")
        if index < MOST:
            for line in said:
                print(f"    {line[:300]}")


main(*sys.argv[1:])
