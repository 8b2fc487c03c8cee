#!/usr/bin/python3
"""Three members as real processes: how they begin, serve, fail, change, and what of it clients see.

    run.py [--tenon PATH] [--only WORD] [--long] [--rounds N] [--seed N] [--keep]

With --tenon set to etcd's binary the stories check themselves; those of Tenon alone say so and are skipped.
--long: members killed at random for hundreds of rounds, power loss on all of them, cut and one-way links (as root).
Ends with `cluster: N passed, N failed, N skipped`.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("support/py", "support/powerloss"))]

import bootstrap
import clients
import engines
import failures
import healing
import links
import membership
import random_kills
import replace
from harness.report import Report, main
from harness.server import add_transport_option, find_peer, find_tenon, free_port, version_of

GROUPS = [bootstrap, clients, failures, membership, engines, healing, replace]
LONG_GROUPS = [random_kills, links]


class World:
    """What every story gets."""

    def __init__(self, binary, base, report, options):
        self.binary, self.base, self.report = binary, base, report
        self.long, self.rounds, self.seed, self.only = options.long, options.rounds, options.seed, options.only
        self.is_etcd = "Tenon Version" not in version_of(binary)
        self.build = Path(options.build)

    def folder(self, name):
        folder = self.base / name
        folder.mkdir(parents=True)
        return folder

    def unused_url(self):
        return f"http://127.0.0.1:{free_port()}"

    def story(self, function, *arguments):
        name = function.__module__ + "." + function.__name__
        if self.only and self.only not in name:
            return
        began = time.monotonic()
        self.report.story(name, function, self, *arguments)
        self.report.note(f"{name}: {time.monotonic() - began:.1f} s")

    def etcdctls(self):
        """[(binary, release)] of those that are here."""
        found = []
        for release, path in (("3.4", shutil.which("etcdctl")), ("3.7", find_peer("etcdctl"))):
            if path and not (release == "3.4" and path == find_peer("etcdctl")):
                found.append((path, release))
            else:
                self.report.skip(f"etcdctl {release}", "not in $TENON_PEER or on PATH")
        return found


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server to test (default build/release/bin/tenond)")
    parser.add_argument("--build", default=os.environ.get("TENON_BUILD", HERE.parents[1] / "build/release"))
    parser.add_argument("--only", help="stories whose name (GROUP.STORY) has this word")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rounds", type=int, default=300, help="of random kills, with --long")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--keep", action="store_true", help="leave the members' folders")
    add_transport_option(parser)
    return parser.parse_args()


def run():
    options = parse()
    report = Report("cluster")
    binary = find_tenon(options.tenon)
    if binary is None:
        sys.exit("no tenond: build it first, or give --tenon")
    base = Path(tempfile.mkdtemp(prefix="tenon-cluster-"))
    world = World(binary, base, report, options)
    report.note(f"seed {options.seed}")
    began = time.monotonic()
    try:
        for group in GROUPS + (LONG_GROUPS if options.long else []):
            names = [f"{group.__name__}.{story.__name__}" for story in group.STORIES]
            if not options.only or any(options.only in name for name in names) or options.only == group.__name__:
                report.story(group.__name__, group.run, world)
    finally:
        if options.keep:
            report.note(f"kept: {base}")
        else:
            shutil.rmtree(base, ignore_errors=True)
    report.note(f"took {time.monotonic() - began:.0f} s")
    return report.close()


if __name__ == "__main__":
    main(run)
