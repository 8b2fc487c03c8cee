#!/usr/bin/python3
"""Prints every include in kernel/ and plugins/ that kernel/LAYERS does not allow."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def allowed():
    layers = {}
    for line in (ROOT / "kernel/LAYERS").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, others = line.partition(":")
            layers[folder] = set(others.split())
    return layers


def main():
    layers = allowed()
    for path in sorted((ROOT / "kernel").rglob("*")) + sorted((ROOT / "plugins").rglob("*")):
        if path.suffix not in (".cc", ".h"):
            continue
        parts = path.relative_to(ROOT).parts
        if parts[0] == "plugins":
            # Plugins see the ABI and the SDK, and may link the static, hidden tenon_base.
            may, own = {"base"}, None
        else:
            own = parts[1] if len(parts) > 2 else "kernel"
            if own not in layers:
                print(f"{path.relative_to(ROOT)}: kernel/LAYERS does not name the folder {own}")
                continue
            may = layers[own]
        if "*" in may:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'#include "kernel/([^/"]+)/', line)
            if found and found.group(1) != own and found.group(1) not in may:
                print(f"{path.relative_to(ROOT)}:{number}: {own or 'a plugin'} may not include {found.group(1)}")


if __name__ == "__main__":
    sys.exit(main())
