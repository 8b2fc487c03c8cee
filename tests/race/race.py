#!/usr/bin/python3
"""Twenty clients race for one office while the server is killed and started again: never two holders, no event lost.

    race.py [--tenon PATH] [--storage wiredtiger|memory] [--seconds N] [--long]

The clients are the official Go client's Session, Mutex and Election; without Go the test is skipped. --long: 10 minutes.
Ends with `race: N passed, N failed, N skipped`.
"""

import argparse
import datetime
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support/py")]

from harness.install import NotInstallable, build_go
from harness.messages import build_folder
from harness.report import Report, main
from harness.server import Server, add_transport_option, find_tenon

CLIENTS = 20
UP_SECONDS = (1.0, 8.0)  # between two kills
DOWN_SECONDS = (0.0, 1.0)


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def racers():
    return build_go(HERE / "go", build_folder() / "race/racers")


def race(report, tenon, arguments, folder):
    name = f"race {arguments.storage}"
    try:
        binary = racers()
    except NotInstallable as reason:
        report.skip("race", f"Go's client: {reason}")
        return
    pick = random.Random(arguments.seed)
    with Server(tenon, folder, storage=arguments.storage) as server:
        command = [binary, server.address, str(CLIENTS), str(arguments.seconds)]
        said = Path(folder) / "racers.log"  # not a pipe that nobody reads meanwhile: a full one stops whoever holds the office
        with said.open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        kills = []  # when, and when it served again
        ends = time.monotonic() + arguments.seconds
        while time.monotonic() < ends - UP_SECONDS[1]:
            time.sleep(pick.uniform(*UP_SECONDS))  # not a wait: when to kill is the fault's own randomness
            killed = now()
            server.kill()
            time.sleep(pick.uniform(*DOWN_SECONDS))
            server.start()
            kills.append(f"{killed}-{now()}")
        process.wait(timeout=arguments.seconds + 180)
        out = said.read_text()
    failures = [line for line in out.splitlines() if line.startswith("FAIL")]
    report.check(f"{name}: nothing that must not be", process.returncode == 0 and not failures, "\n".join([*failures[:20], "kills: " + " ".join(kills)]))
    found = re.search(r"checked: (\d+) terms, (\d+) writes, (\d+) numbers seen", out)
    report.check(f"{name}: the program ends well", found is not None, out[-2000:])
    if found:
        terms, writes, seen = (int(number) for number in found.groups())
        print(f"      {len(kills)} kills, {terms} terms of office, {writes} writes, {seen} numbers seen")
        report.check(f"{name}: the office changed hands", terms > arguments.seconds, f"{terms} terms")
        report.check(f"{name}: it was killed", len(kills) >= arguments.seconds / 12, f"{len(kills)} kills")


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server (default: build/release/bin/tenond)")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"), default="wiredtiger")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    add_transport_option(parser)
    arguments = parser.parse_args()
    if arguments.long:
        arguments.seconds = 600
    tenon = find_tenon(arguments.tenon)
    if tenon is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2
    report = Report("race")
    with tempfile.TemporaryDirectory(prefix="tenon-race-") as folder:
        race(report, tenon, arguments, folder)
    return report.close()


if __name__ == "__main__":
    main(run)
