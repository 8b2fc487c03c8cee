#!/usr/bin/python3
"""Writes etcd-data.tar.xz: the data directory of an etcd 3.7.3 that got a few keys.   etcd_data.py [--peer PATH]"""

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support/py")]

from harness.server import Server, find_peer
from data_directory import ETCD_DATA

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--peer")
peer = find_peer(given=parser.parse_args().peer)
if peer is None:
    sys.exit("no etcd 3.7 in $TENON_PEER or on PATH")
with tempfile.TemporaryDirectory() as folder, Server(peer, folder) as server:
    server.start()
    with server.client() as client:
        for number in range(20):
            assert client.put(b"key%d" % number, b"value").ok
    server.stop()
    with tarfile.open(ETCD_DATA, "w:xz") as archive:
        for part in sorted(server.data_dir.rglob("*")):
            entry = archive.gettarinfo(str(part), arcname=str(part.relative_to(server.data_dir)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if part.is_file() and part.suffix == ".tmp":
                continue  # the next segment, 64 MB of zeros
            with open(part, "rb") if part.is_file() else tempfile.TemporaryFile() as content:
                archive.addfile(entry, content if part.is_file() else None)
print(f"{ETCD_DATA.name}: {ETCD_DATA.stat().st_size} bytes")
