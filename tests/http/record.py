#!/usr/bin/python3
"""Writes recorded.json: what etcd 3.7.3 answers over plain HTTP, and the names and counts of its metrics.

record.py [--peer PATH]
"""

import argparse
import datetime
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "recorded.json"
sys.path[:0] = [str(HERE), str(HERE.parent / "support/py")]

import exposition
from harness.report import main
from harness.server import find_peer, version_of
from story import Story


def observe(binary, split=False):
    """All that is compared of one server."""
    with tempfile.TemporaryDirectory(prefix="tenon-http-") as folder, Story(binary, folder, split) as story:
        made = {"replies": story.replies()}
        if not split:
            made["counted"] = story.counted()
            made["metrics"] = exposition.shape(story.scrape())
        return made


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer")
    peer = find_peer(given=parser.parse_args().peer)
    if peer is None:
        print("no etcd 3.7 in $TENON_PEER or on PATH", file=sys.stderr)
        return 2
    content = {
        "peer": version_of(peer).splitlines()[0],
        "date": datetime.date.today().isoformat(),
        "together": observe(peer),
        "split": observe(peer, split=True),
    }
    RECORD.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"{RECORD.name}: {len(content['together']['replies'])} replies and {len(content['together']['metrics'])} "
          f"families of {content['peer']}")
    return 0


if __name__ == "__main__":
    main(run)
