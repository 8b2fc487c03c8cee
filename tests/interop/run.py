#!/usr/bin/python3
"""Clients that others wrote, against one server each test run starts; Go's against three members, too.

    run.py [--tenon PATH] [--storage wiredtiger|memory] [--endpoint HOST:PORT] [--only go|members|python|node|etcdctl]

etcdctl 3.4 (Debian's etcd-client) and 3.7.3 ($TENON_PEER), the official Go client, PyPI's etcd3 and npm's etcd3. The
libraries are installed into the build folder; one that cannot be is skipped with the reason.
Ends with `interop: N passed, N failed, N skipped`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[0] / "support/py")]

import etcdctl
from harness.cluster import Cluster
from harness.install import NotInstallable, build_go, install
from harness.messages import build_folder
from harness.report import Report, main
from harness.server import Server, add_transport_option, find_peer, find_tenon

PYTHON_PACKAGES = ("etcd3==0.12.0", "protobuf==3.20.3")  # etcd3's generated code needs an old protobuf
RUN_SECONDS = 300


def go_client():
    return [build_go(HERE / "go", build_folder() / "interop/go-client")]


def python_client():
    folder = build_folder() / "interop/venv"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        install("/usr/bin/python3", "-m", "venv", folder, folder=HERE)
        install(python, "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES, folder=HERE)
        (folder / "installed").touch()
    return [python, HERE / "python/client.py"]


def node_client():
    if shutil.which("npm") is None:
        raise NotInstallable("no npm")
    folder = build_folder() / "interop/node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.js"):
        shutil.copy(HERE / "node" / name, folder)
    if not (folder / "installed").exists():
        install("npm", "ci", "--silent", "--no-audit", "--no-fund", folder=folder)
        (folder / "installed").touch()
    return ["node", folder / "client.js"]


def run_library(report, name, prepare, *endpoints):
    """Counts the lines that a client program prints."""
    try:
        command = prepare()
    except NotInstallable as reason:
        report.skip(f"{name} client", str(reason))
        return
    result = subprocess.run([*command, *endpoints], capture_output=True, text=True, timeout=RUN_SECONDS)
    lines = result.stdout.splitlines()
    for line in lines:
        if line.startswith("ok "):
            report.check(f"{name}: {line[3:]}", True)
        elif line.startswith("FAIL "):
            report.check(f"{name}: {line[5:]}", False)
    good = result.returncode == 0 and any(line.startswith("ok ") for line in lines)
    report.check(f"{name}: the program ends well", good, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}")


def run_members(report, binary, folder, storage):
    """What Go's client builds on the calls (locks, elections, STM, leasing, ordering), over a cluster."""
    with Cluster(binary, folder, storages=(storage,)) as cluster:
        cluster.start()
        run_library(report, "go, three members", go_client, *(server.address for server in cluster))


def run_etcdctl(report, endpoint, second):
    """Each etcdctl here that is of a release we test with. second: starts a server more, and is its address."""
    found = {}
    for path in (shutil.which("etcdctl"), "/usr/bin/etcdctl", find_peer("etcdctl")):
        if path and os.access(path, os.X_OK):
            found.setdefault(etcdctl.version(path), path)
    for release, origin in (("3.4", "Debian's etcd-client"), ("3.7", "$TENON_PEER")):
        if release in found:
            report.story(f"etcdctl {release}", etcdctl.run, report, found[release], endpoint, second)
        else:
            report.skip(f"etcdctl {release}", f"not here; it comes from {origin}")


LIBRARIES = {"go": go_client, "python": python_client, "node": node_client}


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server (default: build/release/bin/tenond)")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"))
    add_transport_option(parser)
    parser.add_argument("--endpoint", help="a server that runs already")
    parser.add_argument("--only", choices=("etcdctl", "members", *LIBRARIES))
    arguments = parser.parse_args()

    report = Report("interop")
    with tempfile.TemporaryDirectory(prefix="tenon-interop-") as folder:
        binary, servers = find_tenon(arguments.tenon), []
        if binary is None:
            print("no tenond: build it or give --tenon", file=sys.stderr)
            return 2

        def start():
            flags = {"watch-progress-notify-interval": "1s"}
            servers.append(Server(binary, f"{folder}/{len(servers)}", flags=flags, storage=arguments.storage).start())
            return servers[-1].address

        try:
            endpoint = arguments.endpoint or start()
            if arguments.only in (None, "etcdctl"):
                run_etcdctl(report, endpoint, start)
            if arguments.only in (None, "members"):
                report.story("members", run_members, report, binary, f"{folder}/members", arguments.storage)
            for name, prepare in LIBRARIES.items():
                if arguments.only in (None, name):
                    report.story(f"{name} client", run_library, report, name, prepare, endpoint)
        finally:
            for server in servers:
                server.kill()
    return report.close()


if __name__ == "__main__":
    main(run)
