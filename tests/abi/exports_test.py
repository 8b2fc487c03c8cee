"""Each plugin exports tenon_plugin_query_v1 and nothing else, has no symbol that would bind it to another .so, and can be
loaded by who built it, whatever the umask.

Usage: exports_test.py FOLDER NAME.so... ; the names are the plugins that this build has.
"""
import pathlib
import stat
import subprocess
import sys


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def findings(plugin):
    symbols = [line.split() for line in lines("readelf", "--wide", "--dyn-syms", str(plugin))]
    symbols = [s for s in symbols if len(s) >= 8 and s[0].endswith(":")]
    exported = [s[7] for s in symbols if s[6] != "UND" and s[4] in ("GLOBAL", "WEAK", "UNIQUE")]
    if exported != ["tenon_plugin_query_v1"]:
        yield f"exports {exported}"
    if any(s[4] == "UNIQUE" for s in symbols):
        yield "has STB_GNU_UNIQUE symbols"
    dynamic = lines("readelf", "--wide", "--dynamic", str(plugin))
    for line in dynamic:
        if "(TEXTREL)" in line or "(RPATH)" in line or ("(NEEDED)" in line and "libtenon" in line):
            yield "has " + line.strip()
    if not any("BIND_NOW" in line or "NOW" in line for line in dynamic):
        yield "is not bound at load"
    if any("GNU_STACK" in line and "RWE" in line for line in lines("readelf", "--wide", "--segments", str(plugin))):
        yield "has an executable stack"
    for path, what in ((plugin, "is"), (plugin.parent, "lies in a folder that is")):
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield f"{what} writable by others than its owner, so the loader refuses it"


def main():
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    assert names, "no plugin to check"
    bad = [f"{name}: {finding}" for name in names for finding in findings(folder / name)]
    print("\n".join(bad) or f"{len(names)} plugins are sound")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
