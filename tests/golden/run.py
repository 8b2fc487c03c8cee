#!/usr/bin/python3
"""Compares Tenon with etcd 3.7.3, request by request.

    run.py [--tenon PATH] [--peer PATH] [--storage wiredtiger|memory] [--only WORD] [--seed N] [--long]

Without etcd the replies are compared with recorded.json.gz (record.py makes it). With --tenon set to etcd itself,
the suite checks itself. Ends with `golden: N passed, N failed, N skipped`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

import random_ops
from harness.report import Report, main
from harness.server import add_transport_option, find_peer, find_tenon
from pair import Pair, load_record
from registry import GROUPS, cases, settings

FAST_OPERATIONS = 3000
LONG_OPERATIONS = 20000
LONG_SEEDS = (1, 2, 3, 4)
KILL_EVERY = 2500  # with --long


def run_groups(report, tenon, peer, record, storage=None, only=""):
    """Runs the groups that have a case named like `only`; returns what the peer answered, by request."""
    made = {}
    for group in GROUPS:
        functions = cases(group)
        if only and not any(only in f"{group}.{function.__name__}" for function in functions):
            continue
        began, before = time.monotonic(), report.passed
        with tempfile.TemporaryDirectory(prefix="tenon-golden-") as folder:
            try:
                with Pair(report, Path(folder), tenon, peer, record, storage, **settings(group)) as pair:
                    pair.reported = lambda name: only in name
                    pair.made = made
                    for function in functions:
                        pair.begin(f"{group}.{function.__name__}")
                        report.story(f"{group}.{function.__name__}", function, pair)
            except Exception as error:  # a server that does not start fails its group, not the whole suite
                report.check(f"group {group}", False, str(error))
        report.note(f"{group}: {report.passed - before} equal in {time.monotonic() - began:.1f} s")
    return made


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the tenond to test (default: build/release/bin/tenond)")
    parser.add_argument("--peer", help="etcd 3.7.3 (default: $TENON_PEER/etcd, or etcd on PATH)")
    parser.add_argument("--no-peer", action="store_true", help="use the record even where etcd is found")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"), help="Tenon's engine (default: its own)")
    add_transport_option(parser)
    parser.add_argument("--only", default="", help="report only the requests whose name contains this; 'random' is one")
    parser.add_argument("--seed", type=int, default=1, help="of the random operations")
    parser.add_argument("--operations", type=int, help="how many random operations")
    parser.add_argument("--long", action="store_true", help="20,000 random operations with each of several seeds")
    parser.add_argument("--shrink", action="store_true", help="look for a short list of operations that differ")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()

    report = Report("golden", arguments.verbose)
    tenon = find_tenon(arguments.tenon)
    if tenon is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2
    peer = None if arguments.no_peer else find_peer(given=arguments.peer)
    record = load_record()
    if peer is None:
        if record is None:
            print("neither etcd 3.7.3 nor recorded.json.gz", file=sys.stderr)
            return 2
        report.note(f"no etcd: comparing with replies of {record['peer']} recorded on {record['date']}")

    if arguments.only != "random":
        run_groups(report, tenon, peer, record, arguments.storage, arguments.only)
    if arguments.only in ("", "random"):
        count = arguments.operations or (LONG_OPERATIONS if arguments.long else FAST_OPERATIONS)
        for seed in (LONG_SEEDS if arguments.long else (arguments.seed,)):
            random_ops.run(
                report,
                tenon,
                peer,
                record,
                arguments.storage,
                seed,
                count,
                arguments.shrink,
                KILL_EVERY if arguments.long else 0,
            )
    return report.close()


if __name__ == "__main__":
    main(run)
