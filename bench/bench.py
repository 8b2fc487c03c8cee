#!/usr/bin/python3
"""Tenon side by side with etcd: alternating pairs, each on a fresh data directory on the same disk.

  bench/bench.py                      all cases, five pairs: about half an hour
  bench/bench.py --quick put-100      one case, one short pair: a look, not a measurement
  bench/bench.py cluster              the cases of three members

etcd is found in $TENON_PEER or on PATH; without it Tenon's own figures are printed.
"""
import argparse
import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report
from cases import CASES
from cluster import Cluster
from servers import Failure, Kind, Server, find_peer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="cases:\n" + "\n".join(f"  {n:10} {c.what}" for n, c in CASES.items()))
    p.add_argument("cases", nargs="*", metavar="case", help="all of them when none is named")
    p.add_argument("--build", default=os.path.join(ROOT, "build/release"), help="the build to measure")
    p.add_argument("--pairs", type=int, default=5, help="how often each side runs (default 5)")
    p.add_argument("--quick", action="store_true", help="one pair, a quarter of the time, 100,000 keys in keys-1m")
    p.add_argument("--rounds", type=int, default=10, help="how often cluster-failover kills a leader (default 10)")
    p.add_argument("--data", help="folder for the data directories (default build/bench-data of the tree)")
    p.add_argument("--keep", action="store_true", help="leave the data of failed runs for a look")
    p.add_argument("--port", type=int, help="first of the ports to use; free ones by default")
    p.add_argument("--etcd", help="etcd's binary instead of the one found")
    p.add_argument("--tenon-binary", help="the server to compare (default BUILD/bin/tenond)")
    p.add_argument("--transport", choices=["grpc", "h2"], default="grpc", help="Tenon's; the goals differ")
    p.add_argument("--storage", choices=["wiredtiger", "memory"], default="wiredtiger", help="Tenon's")
    p.add_argument("--tenon-kind", choices=["tenon", "etcd"], default="tenon",
                   help="etcd: that server is an etcd too, which says what the comparison is worth")
    p.add_argument("--json", metavar="FILE", help="write every value of every pair")
    p.add_argument("--write", metavar="FILE", help="write the result into this document, between its markers")
    options = p.parse_args()
    if "cluster" in options.cases:
        three = [n for n, case in CASES.items() if case.cluster is not None]
        options.cases = [n for n in options.cases if n != "cluster"] + three
    for name in options.cases:
        if name not in CASES:
            p.error(f"no case {name}; there are {', '.join(CASES)}")
    options.cases = options.cases or list(CASES)
    for case in CASES.values():
        for figure in case.figures:
            figure.aim_for(options.transport)
    options.pairs = 1 if options.quick else options.pairs
    options.keys_1m = 100_000 if options.quick else 1_000_000
    options.seconds = lambda s: f"{max(500, int(s * 1000 * (0.25 if options.quick else 1)))}ms"
    options.data = options.data or os.path.join(ROOT, "build/bench-data")
    return options


def say(text):
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def tenon_kind(options, binary):
    if options.tenon_kind == "etcd":
        return Kind("tenon", binary, True)
    modules = f"  storage: {{ use: {options.storage} }}\n  transports: [ {{ use: {options.transport} }} ]\n"
    return Kind("tenon", binary, False, modules)


def kinds(options):
    """[etcd or None, Tenon]: what is compared."""
    etcd = options.etcd or find_peer("etcd")
    if not etcd:
        say("no etcd in $TENON_PEER or on PATH: Tenon's own figures only, no ratios")
    tenon = options.tenon_binary or os.path.join(options.build, "bin/tenond")
    if not os.access(tenon, os.X_OK):
        raise Failure(f"{tenon} is not there: build it first (./dev build)")
    return [Kind("etcd", etcd, True) if etcd else None, tenon_kind(options, tenon)]


def run_folder(options):
    """A folder of this run, after removing those that killed runs left."""
    os.makedirs(options.data, exist_ok=True)
    for name in os.listdir(options.data):
        if name.startswith("run-") and not os.path.exists(f"/proc/{name[4:]}"):
            shutil.rmtree(os.path.join(options.data, name), ignore_errors=True)
    folder = os.path.join(options.data, f"run-{os.getpid()}")
    os.makedirs(folder)
    return folder


def port_source(options):
    if not options.port:
        return None
    ports = {"next": 0}

    def take():
        ports["next"] += 1
        return options.port + ports["next"] % 50  # not the port that the last server just left
    return take


def subject(case, kind, folder, ports, load):
    """What the case is about: a server, or three members."""
    if case.cluster is None:
        return Server(kind, folder, ports, load)
    return Cluster(kind, folder, load, case.cluster)


def measure(name, sides, folder, options, ports):
    """[(etcd's figures or {}, Tenon's figures), ...], one for each pair."""
    case = CASES[name]
    load = os.path.join(options.build, "bin/tenon-load")
    pairs = []
    count = 1 if case.once else options.pairs
    for number in range(count):
        pair = []
        for kind in sides:
            if kind is None:
                pair.append({})
                continue
            say(f"{name}: pair {number + 1} of {count}, {kind.name}")
            with subject(case, kind, os.path.join(folder, f"{name}-{number}"), ports, load) as server:
                pair.append(case.run(server, options))
        pairs.append(pair)
    return pairs


def rows_of(name, pairs):
    return [report.Row(name, f, [(e.get(f.name), t.get(f.name)) for e, t in pairs]) for f in CASES[name].figures]


def floor(folder, options):
    out = subprocess.run([os.path.join(options.build, "bin/tenon-floor"), "--dir", folder, "--json"],
                         capture_output=True, text=True)
    if out.returncode != 0:
        raise Failure(out.stderr.strip())
    return json.loads(out.stdout)


def head_lines(sides, before, after, options):
    # Folders of this machine tell nobody anything.
    command = " ".join(shlex.quote(os.path.basename(a) if os.path.isabs(a) else a)
                       for a in [os.path.relpath(sys.argv[0], ROOT)] + sys.argv[1:])
    disk = "; ".join(f"{when}: 4 KiB p50 {f['4k_p50_us']:.0f} us p99 {f['4k_p99_us']:.0f} us, 16 KiB p50 "
                     f"{f['16k_p50_us']:.0f} us p99 {f['16k_p99_us']:.0f} us"
                     for when, f in (("before", before), ("after", after)))
    lines = [f"Date: {datetime.date.today()}", f"Machine: {report.machine()}", f"Command: `{command}`"]
    lines += [f"{label}: {kind.version}" if kind else f"{label}: not there, so no ratios"
              for label, kind in zip(("etcd", "Tenon"), sides)]
    lines.append(f"Load while measuring (1, 5, 15 min): {', '.join(f'{x:.1f}' for x in os.getloadavg())}")
    lines.append(f"Floor (write + fdatasync into a written file), {disk}")
    lines.append(f"Pairs: {options.pairs}" + (", quick: a look, not a measurement" if options.quick else ""))
    return lines


EXPLANATION = """Values are medians over the pairs (lowest-highest); the ratio is the median of the pairs' own ratios, Tenon's value
over etcd's. Server CPU is user + system of /proc/PID/stat over the measured requests, warm-up apart; memory is what
/proc/PID/status says; a restart has warm page cache and counts from exec to the first answered linearizable get."""


def main():
    options = parse()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))  # so that every `with` and `finally` runs
    sides = kinds(options)
    folder = run_folder(options)
    ports = port_source(options)
    rows, values, failures = [], {}, []
    try:
        before = floor(folder, options)
        for name in options.cases:
            try:
                values[name] = measure(name, sides, folder, options, ports)
                rows += rows_of(name, values[name])
            except Failure as failure:  # the other cases still say something
                say(f"{name} FAILED: {failure}")
                failures.append(name)
        after = floor(folder, options)
    finally:
        if not (options.keep and failures):
            shutil.rmtree(folder, ignore_errors=True)

    lines = head_lines(sides, before, after, options)
    print("\n".join(lines) + "\n\n" + report.text_table(rows))
    if failures:
        print(f"\nFAILED: {', '.join(failures)}")
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"head": lines, "floor": [before, after], "rows": [r.as_dict() for r in rows],
                       "failed": failures}, f, indent=1)
    if options.write:
        cases = "\n".join(f"- {n}: {CASES[n].what}" for n in options.cases)
        failed = f"\nFailed cases: {', '.join(failures)}\n" if failures else ""
        report.write_section(options.write, options.transport, "\n".join(f"- {line}" for line in lines) + f"\n\n{EXPLANATION}\n\n"
                             f"{report.markdown_table(rows)}\n{failed}\n{cases}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
