"""etcdctl, 3.4 and 3.7.3, against one endpoint: each command with its exact output."""

import json
import os
import re
import signal
import subprocess
import threading

from harness.wait import until


class Etcdctl:
    def __init__(self, binary, endpoint):
        self.binary = binary
        self.endpoint = endpoint

    def __call__(self, *arguments, stdin=None):
        """(exit code, stdout, stderr)"""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCDCTL_")}
        result = subprocess.run(
            [self.binary, f"--endpoints={self.endpoint}", "--dial-timeout=20s", "--command-timeout=30s", *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=60,
            env=environment,
        )
        return result.returncode, result.stdout, result.stderr

    def json(self, *arguments):
        code, out, error = self(*arguments, "-w", "json")
        assert code == 0, error
        return json.loads(out)

    def run(self, *arguments, **more):
        """A command that goes on until it is told to end."""
        command = [self.binary, f"--endpoints={self.endpoint}", *arguments]
        return Running(command, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **more)


class Running(subprocess.Popen):
    """Ends with its `with`, and after a while in any case."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.late = threading.Timer(SECONDS, self.kill)
        self.late.start()

    def __exit__(self, *unused):
        self.late.cancel()
        self.kill()
        self.communicate()

    def say(self, text):
        self.stdin.write(text)
        self.stdin.flush()

    def lines(self, n):
        """The next ones that it prints; fewer: it has ended."""
        return [line.rstrip("\n") for line in (self.stdout.readline() for _ in range(n)) if line]

    def interrupt(self):
        """What Ctrl-C does; its exit code and the rest of what it printed."""
        self.send_signal(signal.SIGINT)
        out, _ = self.communicate()
        return self.returncode, out


SECONDS = 30  # a bound, not an expectation


def version(binary):
    out = subprocess.run([binary, "version"], capture_output=True, text=True).stdout
    found = re.search(r"etcdctl version: (\d+\.\d+)", out)
    return found[1] if found else None


def run(report, binary, endpoint, second):
    ctl = Etcdctl(binary, endpoint)
    release = version(binary)
    new = release.startswith("3.7")

    def shows(name, wanted, *arguments, stdin=None):
        code, out, error = ctl(*arguments, stdin=stdin)
        report.check(
            f"etcdctl {release}: {name}",
            code == 0 and out == wanted,
            f"{' '.join(arguments)}\nexit {code}\ngot    {out!r}\nwanted {wanted!r}\n{error}",
        )

    def fails(name, text, *arguments, stdin=None):
        code, out, error = ctl(*arguments, stdin=stdin)
        report.check(f"etcdctl {release}: {name}", code != 0 and text in error, f"exit {code}\n{out}{error}")

    ctl("del", "", "--from-key=true")
    shows("put", "OK\n", "put", "a", "1")
    shows("put from stdin", "OK\n", "put", "a", stdin="2")
    shows("put --prev-kv", "OK\na\n2\n", "put", "a", "3", "--prev-kv")
    shows("put --ignore-value", "OK\n", "put", "a", "--ignore-value")
    shows("put --ignore-lease", "OK\n", "put", "a", "4", "--ignore-lease")
    fails("put with an unknown lease", "etcdserver: requested lease not found", "put", "a", "5", "--lease=1234")
    fails("put --ignore-value of nothing", "etcdserver: key not found", "put", "missing", "--ignore-value")

    for key, value in (("r/1", "c"), ("r/2", "a"), ("r/3", "b"), ("r/2", "z")):
        ctl("put", key, value)
    now = ctl.json("get", "a")["header"]["revision"]
    shows("get", "a\n4\n", "get", "a")
    shows("get of nothing", "", "get", "nothing")
    shows("get END", "r/1\nc\nr/2\nz\n", "get", "r/1", "r/3")
    shows("get --prefix", "r/1\nc\nr/2\nz\nr/3\nb\n", "get", "r/", "--prefix")
    shows("get --from-key --limit", "r/2\nz\n", "get", "r/2", "--from-key", "--limit=1")
    shows("get --rev", "a\n", "get", "r/2", f"--rev={now - 1}", "--print-value-only")
    shows("get --keys-only", "r/1\n\nr/2\n\n", "get", "r/1", "r/3", "--keys-only")
    shows("get --print-value-only", "z\n", "get", "r/2", "--print-value-only")
    shows("get --consistency=s", "r/2\nz\n", "get", "r/2", "--consistency=s")
    for target, wanted in (
        ("key", "b z c"),
        ("value", "z c b"),
        ("modify", "z b c"),
        ("create", "b z c"),
        ("version", "z c b"),
    ):
        shows(
            f"get --sort-by={target}",
            "\n".join(wanted.split()) + "\n",
            "get",
            "r/",
            "--prefix",
            "--order=DESCEND",
            f"--sort-by={target}",
            "--print-value-only",
        )
    shows("get --hex", "\\x61\n\\x34\n", "get", "a", "--hex")
    fails("get of a future revision", "required revision is a future revision", "get", "a", f"--rev={now + 100}")
    if new:
        counted = ctl("get", "r/", "--prefix", "--count-only", "-w", "fields")[1]
        report.check(f"etcdctl {release}: get --count-only", '"Count" : 3' in counted, counted)
        shows("get --stream", "r/1\nc\nr/2\nz\nr/3\nb\n", "get", "r/", "--prefix", "--stream")
        shows("get --stream --limit", "r/1\nc\n", "get", "r/", "--prefix", "--stream", "--limit=1")
        shows(
            "get --min-mod-rev",
            "r/3\nb\nr/2\nz\n",
            "get",
            "r/",
            "--prefix",
            f"--min-mod-rev={now - 1}",
            "--sort-by=modify",
        )
        shows("get --max-create-rev", "r/1\nc\nr/2\nz\n", "get", "r/", "--prefix", f"--max-create-rev={now - 2}")
    answer = ctl.json("get", "r/2")
    item = answer["kvs"][0]
    report.equal(
        f"etcdctl {release}: get -w json",
        (item["create_revision"], item["mod_revision"], item["version"], answer["count"]),
        (now - 2, now, 2, 1),
    )

    shows("txn that succeeds", 'SUCCESS\n\nOK\n\na\n5\n', "txn", stdin='val("a") = "4"\n\nput a 5\nget a\n\ndel a\n\n')
    shows("txn that fails", "FAILURE\n\na\n5\n", "txn", stdin='mod("a") = "1"\n\nput a 6\n\nget a\n\n')
    shows(
        "txn with several compares",
        "SUCCESS\n\n1\n",
        "txn",
        stdin='ver("a") > "1"\ncreate("none") = "0"\n\ndel a\n\n\n',
    )
    fails(
        "txn with a duplicate key",
        "etcdserver: duplicate key given in txn request",
        "txn",
        stdin='val("r/1") = "c"\n\nput a 1\nput a 2\n\n\n',
    )

    shows("del", "1\n", "del", "r/1")
    shows("del --prev-kv", "1\nr/2\nz\n", "del", "r/2", "--prev-kv")
    shows("del of nothing", "0\n", "del", "r/1")
    ctl("put", "d/1", "x"), ctl("put", "d/2", "y")
    shows("del --prefix", "2\n", "del", "d/", "--prefix")
    shows("del --from-key", "1\n", "del", "r/", "--from-key")

    now = ctl.json("put", "c", "1")["header"]["revision"]
    ctl("put", "c", "2")
    shows("compaction", f"compacted revision {now}\n", "compaction", str(now))
    shows("compaction --physical", f"compacted revision {now + 1}\n", "compaction", "--physical", str(now + 1))
    fails("compaction twice", "etcdserver: mvcc: required revision has been compacted", "compaction", str(now))
    fails(
        "get of a compacted revision",
        "etcdserver: mvcc: required revision has been compacted",
        "get",
        "c",
        f"--rev={now}",
    )

    _watch(report, ctl, release)
    _leases(report, ctl, release)
    _locks(report, ctl, release)
    _elections(report, ctl, release)
    _mirror(report, ctl, release, second())
    for lease in re.findall(r"^[0-9a-f]{16}$", ctl("lease", "list")[1], re.MULTILINE):
        ctl("lease", "revoke", lease)  # those whose command was interrupted or failed: it leaves them to their time
    _maintenance(report, ctl, release)


def _watch(report, ctl, release):
    now = ctl.json("put", "w/1", "a")["header"]["revision"]
    ctl("put", "w/1", "b"), ctl("del", "w/1")

    def tells(name, wanted, *arguments, stdin=""):
        """A watch does not end by itself: it is ended when it has said what is wanted, or after a while."""
        with ctl.run("watch", *arguments) as watch:
            watch.say(stdin)
            got = watch.lines(len(wanted))
        same = len(got) == len(wanted) and all(re.fullmatch(w, g) for w, g in zip(wanted, got))
        report.check(f"etcdctl {release}: {name}", same, f"got    {got}\nwanted {wanted}")

    rev = f"--rev={now}"
    events = ["PUT", "w/1", "a", "PUT", "w/1", "b", "DELETE", "w/1", ""]
    tells("watch --rev", events, "w/1", rev)
    tells("watch --prefix --prev-kv", ["PUT", "w/1", "a", "PUT", "w/1", "a", "w/1", "b"], "w/", "--prefix", "--prev-kv", rev)
    tells("watch -w json", [r'\{"Header":\{.*"Events":\[.*'], "w/1", rev, "-w", "json")
    tells("watch, interactive", ["PUT", "w/1", "a"], "-i", stdin=f"watch w/1 {rev}\n")
    tells("watch, interactive, progress", ["progress notify: [0-9]+"], "-i", stdin="watch w/none\nprogress\n")
    tells("watch, interactive, several", events * 2, "-i",
          stdin=f"watch w/1 {rev}\nwatch w/ --prefix {rev}\n")
    tells("watch that runs a command", [*events, '"PUT" "w/1"', '"PUT" "w/1"', '"DELETE" "w/1"'], "w/1", rev, "--",
          "sh", "-c", 'echo "$ETCD_WATCH_EVENT_TYPE" "$ETCD_WATCH_KEY"')
    if release == "3.7":
        tells("watch --progress-notify", [*events, "progress notify: [0-9]+"], "w/1", rev, "--progress-notify")  # what is behind is told of first


def _leases(report, ctl, release):
    def says(name, pattern, *arguments):
        code, out, error = ctl(*arguments)
        found = re.fullmatch(pattern, out)
        report.check(f"etcdctl {release}: {name}", code == 0 and found, f"exit {code}\ngot    {out!r}\n{error}")
        return found[1] if found and found.groups() else ""

    lease = says("lease grant", r"lease ([0-9a-f]{16}) granted with TTL\(600s\)\n", "lease", "grant", "600")
    says("put --lease", "OK\n", "put", "lease/a", "1", f"--lease={lease}")
    left = rf"lease {lease} granted with TTL\(600s\), remaining\(5\d\ds\)"
    says("lease timetolive", left + r"\n", "lease", "timetolive", lease)
    says("lease timetolive --keys", left + r", attached keys\(\[lease/a\]\)\n", "lease", "timetolive", lease, "--keys")
    says("lease keep-alive --once", rf"lease {lease} keepalived with TTL\(600\)\n", "lease", "keep-alive", "--once", lease)
    says("lease list", rf"found 1 leases\n{lease}\n", "lease", "list")
    says("lease revoke", rf"lease {lease} revoked\n", "lease", "revoke", lease)
    says("a key goes with its lease", "", "get", "lease/a")
    says("lease timetolive of nothing", rf"lease {lease} already expired\n", "lease", "timetolive", lease)
    lease = says("a lease to keep alive", r"lease ([0-9a-f]{16}) granted with TTL\(3s\)\n", "lease", "grant", "3")
    alive = f"lease {lease} keepalived with TTL(3)"
    with ctl.run("lease", "keep-alive", lease) as keeper:
        report.equal(f"etcdctl {release}: lease keep-alive", keeper.lines(4), [alive] * 4)
        says("a lease that is kept alive lives", rf"lease {lease} .*remaining\([12]s\)\n", "lease", "timetolive", lease)
        says("its revoke", rf"lease {lease} revoked\n", "lease", "revoke", lease)
        out, _ = keeper.communicate()
        ended = f"lease {lease} expired or revoked.\n"
        report.check(f"etcdctl {release}: lease keep-alive ends with its lease", out.endswith(ended), out)
    code, out, error = ctl("lease", "revoke", lease)
    report.check(f"etcdctl {release}: lease revoke twice", code and "requested lease not found" in error, out + error)

    lease = says("a short lease", r"lease ([0-9a-f]{16}) granted with TTL\(2s\)\n", "lease", "grant", "1")
    ctl("put", "lease/b", "1", f"--lease={lease}")
    until(lambda: not ctl("get", "lease/b")[1], 60, "the key of the short lease to go")
    says("a key goes when its lease ends", "", "get", "lease/b")


def _locks(report, ctl, release):
    code, out, error = ctl("lock", "job", "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV")
    found = re.fullmatch(r"job/[0-9a-f]{16} \d+\n", out)
    report.check(f"etcdctl {release}: lock with a command", code == 0 and found, f"exit {code}\n{out}{error}")
    code, out, error = ctl("lock", "job", "--", "sh", "-c", "exit 7")
    report.equal(f"etcdctl {release}: lock with a command that fails", code, 7 if release == "3.7" else 1)
    with ctl.run("lock", "job") as holder:
        held = holder.lines(1)
        report.check(f"etcdctl {release}: lock", len(held) == 1 and re.fullmatch("job/[0-9a-f]{16}", held[0]), held)
        report.equal(f"etcdctl {release}: its key is there", ctl("get", *held, "--keys-only")[1], f"{held[0]}\n\n")
        with ctl.run("lock", "job", "echo", "mine") as waiter:
            until(lambda: ctl("get", "job/", "--prefix", "--keys-only")[1].count("job/") == 2, SECONDS, "one waits")
            report.equal(f"etcdctl {release}: lock waits for who holds it", waiter.poll(), None)
            holder.interrupt()
            report.equal(f"etcdctl {release}: lock comes to who waits", waiter.lines(1), ["mine"])
            waiter.communicate()
    report.equal(f"etcdctl {release}: locks leave nothing", ctl("get", "job/", "--prefix")[1], "")


def _elections(report, ctl, release):
    with ctl.run("elect", "--listen", "office") as listener, ctl.run("elect", "office", "one") as first:
        won = first.lines(2)
        is_key = len(won) == 2 and re.fullmatch("office/[0-9a-f]{16}", won[0])
        report.check(f"etcdctl {release}: elect", is_key and won[1] == "one", won)
        report.equal(f"etcdctl {release}: elect --listen", listener.lines(2), won)
        with ctl.run("elect", "office", "two") as second:
            until(lambda: ctl("get", "office/", "--prefix", "--keys-only")[1].count("office/") == 2, SECONDS, "two run")
            first.interrupt()
            next_won = second.lines(2)
            report.check(f"etcdctl {release}: elect waits for its turn", next_won[1:] == ["two"], next_won)
            report.equal(f"etcdctl {release}: elect --listen hears of the next one", listener.lines(2), next_won)
            second.interrupt()
    report.equal(f"etcdctl {release}: elections leave nothing", ctl("get", "office/", "--prefix")[1], "")


def _mirror(report, ctl, release, target):
    """What is there and what comes; deletes, too; under another name."""
    mirrored = Etcdctl(ctl.binary, target)
    ctl("put", "mirror/a", "1"), ctl("put", "mirror/b", "2"), ctl("put", "elsewhere", "3")

    def shows(name, wanted):
        seen = lambda: mirrored("get", "", "--prefix")[1] == wanted
        until(seen, SECONDS, lambda: f"{name}: {mirrored('get', '', '--prefix')[1]!r} becomes {wanted!r}")
        report.check(f"etcdctl {release}: make-mirror, {name}", True)

    with ctl.run("make-mirror", "--prefix=mirror/", "--dest-prefix=copy/", target):
        shows("what is there", "copy/a\n1\ncopy/b\n2\n")
        ctl("put", "mirror/c", "3")
        shows("what comes", "copy/a\n1\ncopy/b\n2\ncopy/c\n3\n")
        ctl("txn", stdin="\nput mirror/a 4\ndel mirror/b\n\n\n")
        shows("a transaction", "copy/a\n4\ncopy/c\n3\n")


def _maintenance(report, ctl, release):
    code, out, error = ctl("endpoint", "health")
    report.check(
        f"etcdctl {release}: endpoint health",
        code == 0 and "is healthy: successfully committed proposal" in out + error,
        out + error,
    )
    status = ctl.json("endpoint", "status")[0]["Status"]
    member = status["header"]["member_id"]
    report.equal(f"etcdctl {release}: endpoint status", (status["version"], status["leader"]), ("3.7.3", member))
    for form in ("simple", "table", "fields"):
        code, out, error = ctl("endpoint", "status", "-w", form)
        report.check(f"etcdctl {release}: endpoint status -w {form}", code == 0 and "3.7.3" in out, out + error)
    first, again = ctl.json("endpoint", "hashkv")[0]["HashKV"], ctl.json("endpoint", "hashkv")[0]["HashKV"]
    report.check(
        f"etcdctl {release}: endpoint hashkv", first["hash"] == again["hash"] and first["hash"] > 0, str(first)
    )
    code, out, error = ctl("member", "list")
    report.check(f"etcdctl {release}: member list", code == 0 and out.startswith(f"{member:x}, started, "), out + error)
    code, out, error = ctl("endpoint", "health", "--cluster")
    report.check(f"etcdctl {release}: endpoint health --cluster", code == 0, out + error)
    code, out, error = ctl("defrag")
    report.check(f"etcdctl {release}: defrag", code == 0 and "Finished defragmenting etcd member" in out, out + error)
    code, out, error = ctl("alarm", "list")
    report.check(f"etcdctl {release}: alarm list", (code, out) == (0, ""), out + error)
    code, out, error = ctl("alarm", "disarm")
    report.check(f"etcdctl {release}: alarm disarm", (code, out) == (0, ""), out + error)
    code, out, error = ctl("move-leader", "1234")
    report.check(
        f"etcdctl {release}: move-leader to nobody", code != 0 and "bad leader transferee" in error, out + error
    )
    code, out, error = ctl("member", "remove", "1234")
    report.check(
        f"etcdctl {release}: member remove of nobody",
        code != 0 and "etcdserver: member not found" in error,
        out + error,
    )
