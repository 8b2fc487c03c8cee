#!/usr/bin/python3
"""Writes recorded.json.gz: etcd 3.7.3's reply to each golden request and to the random operations of seed 1.

record.py [--peer PATH]
"""

import argparse
import datetime
import gzip
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

import random_ops
from harness.report import Report, main
from harness.server import find_peer, version_of
from pair import RECORD
from run import FAST_OPERATIONS, run_groups


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer")
    peer = find_peer(given=parser.parse_args().peer)
    if peer is None:
        print("no etcd 3.7 in $TENON_PEER or on PATH", file=sys.stderr)
        return 2
    report = Report("record")
    replies = run_groups(report, None, peer, None)
    sums = random_ops.record(report, peer, seed=1, count=FAST_OPERATIONS)
    if report.close():
        return 1
    content = {
        "peer": version_of(peer).splitlines()[0],
        "date": datetime.date.today().isoformat(),
        "replies": replies,
        "random": {"1": sums},
    }
    packed = gzip.compress(json.dumps(content, indent=0).encode(), mtime=0)
    RECORD.write_bytes(packed)
    print(f"{RECORD.name}: {len(replies)} replies and {len(sums)} sums of {content['peer']}, {len(packed)} bytes")
    return 0


if __name__ == "__main__":
    main(run)
