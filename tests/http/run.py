#!/usr/bin/python3
"""Compares what Tenon answers over plain HTTP, and its metrics, with etcd 3.7.3.

    run.py [--tenon PATH] [--peer PATH] [--no-peer] [--verbose]

Without etcd the comparison is with recorded.json (record.py makes it). With --tenon set to etcd itself, the suite
checks itself. Needs transport-h2. Ends with `http: N passed, N failed, N skipped`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support/py")]

import exposition
from cases import send
from harness.report import Report, main
from harness.server import find_peer, find_tenon, version_of
from record import RECORD, observe
from story import Story

SCRAPES = 30
SCRAPE_BOUND_MS = 100  # the promise is 5; a busy machine must not fail the suite


def compare_replies(report, title, got, wanted):
    for name, reply in wanted["replies"].items():
        report.equal(f"{title}.{name}", got["replies"].get(name), reply)


def compare_metrics(report, got, wanted, is_etcd):
    for name, family in wanted["metrics"].items():
        if name in COME_AND_GO:
            continue
        reason = exposition.absent_reason(name)
        if reason:
            left_out = is_etcd or name not in got["metrics"]
            report.check(f"metrics.absent.{name}", left_out, f"served, and listed as absent: {reason}")
            continue
        report.equal(f"metrics.{name}", got["metrics"].get(name), family)
    for name in exposition.MIXIN:
        report.check(f"metrics.mixin.{name}", name in got["metrics"], "the dashboard or an alert rule reads it")
    for name in got["metrics"]:
        known = name in wanted["metrics"] or name.startswith("tenon_") or name in COME_AND_GO
        report.check(f"metrics.own.{name}", known, "neither etcd's nor tenon_*")
    for name, by in wanted["counted"].items():
        fewer = 0 if is_etcd else exposition.FEWER.get(name, (0,))[0]
        report.equal(f"counted.{name}", got["counted"].get(name), by - fewer)


# Families that have samples at times; the replies have them.
COME_AND_GO = {"etcd_debugging_server_alarms"}


def scrapes(report, tenon):
    with tempfile.TemporaryDirectory(prefix="tenon-http-") as folder, Story(tenon, folder) as story:
        took = []
        for _ in range(SCRAPES):
            start = time.monotonic()
            _, _, body = send(story.addresses["metrics"], "GET", "/metrics")
            took.append(1000 * (time.monotonic() - start))
        took.sort()
        report.note(f"a scrape of {len(body.splitlines())} lines: median {took[len(took) // 2]:.1f} ms, "
                    f"best {took[0]:.1f} ms, with connecting and reading")
        report.check("scrape.time", took[0] < SCRAPE_BOUND_MS, f"{took} ms")
        report.check("scrape.text", body.endswith("\n") and exposition.parse(body), body[:200])


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the tenond to test (default: build/release/bin/tenond)")
    parser.add_argument("--peer", help="etcd 3.7.3 (default: $TENON_PEER/etcd, or etcd on PATH)")
    parser.add_argument("--no-peer", action="store_true", help="use the record even where etcd is found")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    report = Report("http", arguments.verbose)
    tenon = find_tenon(arguments.tenon)
    if tenon is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2

    plugin = Path(tenon).parent.parent / "lib/tenon/plugins/transport-h2.so"
    if "Tenon Version" in version_of(tenon) and not plugin.exists():
        report.skip("http", f"no transport speaks HTTP: {plugin} is not built")
        return report.close()

    wanted = json.loads(RECORD.read_text())
    peer = None if arguments.no_peer else find_peer(given=arguments.peer)
    if peer is None:
        report.note(f"no etcd: comparing with replies of {wanted['peer']} recorded on {wanted['date']}")
    else:
        live = {"together": observe(peer), "split": observe(peer, split=True)}
        for mode in ("together", "split"):
            report.equal(f"record.{mode}", wanted[mode]["replies"], live[mode]["replies"])
        wanted = live

    def together():
        got = observe(tenon)
        compare_replies(report, "together", got, wanted["together"])
        compare_metrics(report, got, wanted["together"], "Tenon Version" not in version_of(tenon))

    report.story("together", together)
    report.story("split", lambda: compare_replies(report, "split", observe(tenon, split=True), wanted["split"]))
    report.story("scrapes", scrapes, report, tenon)
    return report.close()


if __name__ == "__main__":
    main(run)
