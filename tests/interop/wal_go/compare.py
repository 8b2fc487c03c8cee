#!/usr/bin/python3
"""Tenon's log read by etcd 3.7.3's own code, and etcd's by Tenon: both must print the same.

Usage: compare.py WAL_TOOL. Exit code 77: skipped, with the reason. Needs Go 1.26 (etcd 3.7's own minimum) and etcd's
modules, which `go mod download` in this folder fetches once.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -buildvcs=false", CGO_ENABLED="0")


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build_reader(to):
    try:
        version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, env=ENV).stdout
    except FileNotFoundError:
        skip("no go")
    number = re.match(r"go(\d+)\.(\d+)", version)
    if not number or (int(number[1]), int(number[2])) < (1, 26):
        skip(f"etcd 3.7.3 needs go 1.26, here is {version.strip()}")
    got = subprocess.run(["go", "mod", "download"], cwd=HERE, capture_output=True, text=True, env=ENV)
    if got.returncode != 0:
        skip("etcd's Go modules are neither cached nor reachable: " + got.stderr.strip().split("\n")[-1])
    subprocess.run(["go", "build", "-o", to, "."], cwd=HERE, env=ENV, check=True)


def same(name, tenon, etcd):
    if tenon == etcd and tenon.count("entry ") > 10:
        print(f"ok: {name}: {tenon.count('entry ')} entries")
        return True
    print(f"DIFFERS: {name}\n--- tenon\n{tenon}\n--- etcd\n{etcd}")
    return False


def main():
    tool = sys.argv[1]
    with tempfile.TemporaryDirectory() as root:
        go = os.path.join(root, "wal_go")
        build_reader(go)
        good = True
        for case in ["plain", "terms", "released", "replaced", "torn"]:
            where = os.path.join(root, case)
            start = run(tool, "write", case, where).split()
            etcd = run(go, "read", where, *start)  # first: Tenon's Open writes
            good &= same(f"etcd reads Tenon's log, {case}", run(tool, "read", where, *start), etcd)
            run(go, "append", where, *start)
            etcd = run(go, "read", where, *start)
            good &= same(f"etcd went on writing it, {case}", run(tool, "read", where, *start), etcd)
        where = os.path.join(root, "etcd")
        run(go, "write", where)
        for start in [("0", "0"), ("60", "1")]:
            etcd = run(go, "read", where, *start)
            good &= same(f"Tenon reads etcd's log from {start[0]}", run(tool, "read", where, *start), etcd)
            good &= same(f"and etcd does so after Tenon opened it, from {start[0]}", run(go, "read", where, *start), etcd)
    sys.exit(0 if good else 1)


main()
