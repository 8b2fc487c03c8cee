#!/usr/bin/python3
"""tenon-plugin-check passes a good plugin and finds the mistake planted in each bad one.

    plugin_check_test.py TOOL FOLDER_OF_PLUGINS FOLDER_OF_MUTANTS
"""

import re
import subprocess
import sys

# What each mutant must fail, and what it must not.
MUTANTS = {
    "drops-last": ({"stream.server"}, {"unary.inline", "unary.cancel"}),
    "ignores-cancel": ({"unary.cancel", "unary.connection-lost"}, {"unary.inline", "stream.server"}),
    "ignores-again": ({"stream.slow-reader"}, {"unary.inline", "stream.headers"}),
    "crashes": ({"drain.idle"}, {"unary.inline", "drain.stop"}),
    "tears-batches": ({"data.refused-batch"}, {"data.batch"}),
    "moves-snapshots": ({"data.snapshots"}, {"data.keys"}),
    "empty-is-absent": ({"read.multi-get", "read.random"}, {"data.values"}),
    "includes-high": ({"read.ranges", "read.random"}, {"data.keys"}),
    "forgets": ({"durable.reopen", "durable.equal-index", "durable.kill"}, {"data.batch"}),
    "leaks-descriptors": ({"life.four"}, {"data.empty"}),
}


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def verdicts(text):
    return {name: verdict for verdict, name in re.findall(r"^(ok|FAILED|skip) +(\S+)", text, re.M)}


def want(holds, what):
    if not holds:
        sys.exit(what)


def main(tool, plugins, mutants):
    code, out, _ = run(tool, "--list")
    want(code == 0 and "stream.slow-reader" in out and "durable.kill" in out, f"--list: {code}\n{out}")

    code, out, err = run(tool, f"{plugins}/transport-h2.so", "--only", "unary.inline", "--config", "max-request-bytes=1MiB")
    want(code == 0 and verdicts(out) == {"unary.inline": "ok"}, f"--only: {code}\n{out}{err}")
    code, out, _ = run(tool, f"{plugins}/transport-h2.so", "--only", "unary.inline", "--config", "max-request-bytes=many")
    want(code == 1 and "max-request-bytes" in out, f"a bad configuration: {code}\n{out}")
    code, out, err = run(tool, f"{plugins}/storage-memory.so", "--only", "durable.")
    seen = verdicts(out)
    want(code == 0 and seen.pop("durable.begins-empty") == "ok" and set(seen.values()) == {"skip"},
         f"an engine without persistence: {code}\n{out}{err}")
    for arguments in (["/nonexistent/x.so"], [f"{plugins}/transport-h2.so", "--only", "nothing"], []):
        code, out, err = run(tool, *arguments)
        want(code == 2 and err, f"{arguments}: {code}\n{out}{err}")

    for name, (fails, holds) in MUTANTS.items():
        seen = {}
        for case in sorted(fails | holds):
            code, out, err = run(tool, f"{mutants}/mutant-{name}.so", "--only", case, "--timeout", "120")
            seen.update({key: value for key, value in verdicts(out).items() if key == case})
            want(code == (1 if case in fails else 0), f"{name}, {case}: exit code {code}\n{out}{err}")
        want({case for case, verdict in seen.items() if verdict == "FAILED"} == fails, f"{name}: {seen}")
    print(f"{len(MUTANTS)} mutants found")


main(*sys.argv[1:])
