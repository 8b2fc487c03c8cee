"""A member whose log is lost never votes again under its id: `tenonutl member replace` puts a new one in its place."""

import contextlib
import os
import re
import shutil
import subprocess
import threading

from failures import settle
from harness.cluster import Cluster
from harness.load import Load
from harness.wait import until

STEPS = ["begun", "removed", "set aside", "added", "named"]  # where tests/cluster cuts the tool off
DONE, REFUSED, BAD_COMMAND_LINE, UNFINISHED, KILLED = 0, 1, 2, 3, 137
SECONDS = "90s"  # for a machine under load; a server starts in one


def tool(world):
    return str(world.build / "bin/tenonutl")


def command(world, cluster, victim, *more, timeout=SECONDS):
    endpoints = ",".join(f"http://{s.address}" for s in cluster if s is not victim)
    return [tool(world), "member", "replace", "--endpoints", endpoints, "--data-dir", str(victim.data_dir), "--yes",
            "--timeout", timeout, *more]


def replace(world, cluster, victim, *more, end_after=None, timeout=SECONDS):
    """Runs it to its end."""
    environment = {**os.environ, "TENONUTL_END_AFTER": end_after} if end_after else None
    return subprocess.run(command(world, cluster, victim, *more, timeout=timeout), env=environment, timeout=300,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)


def said(result):
    return f"{result.returncode}\n{result.stdout}{result.stderr}"


class Running:
    """The tool beside the test, line by line. Use with `with`."""

    def __init__(self, arguments):
        self.lines = []
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=subprocess.DEVNULL)
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def await_line(self, word, seconds=120):
        until(lambda: any(word in line for line in self.lines) or self.process.poll() is not None, seconds,
              lambda: f"it says {word!r}: {self.lines}")

    def end(self, seconds=180):
        code = self.process.wait(seconds)
        self.reader.join(10)
        return f"{code}\n{''.join(self.lines)}"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def one_lost(world, name, lose=lambda server: shutil.rmtree(server.data_dir / "member/wal"), **options):
    """A cluster of three under load, of whose members one, a follower, is killed and loses something."""
    with Cluster(world.binary, world.folder(name), **options) as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        victim_id = cluster.id_of(victim)
        with Load([s for s in cluster if s is not victim], name="replace") as load:
            load.await_more(100)
            victim.kill()
            lose(victim)
            yield cluster, victim, victim_id, load


def refuses_to_start(world, name, victim):
    victim.launch()
    code = victim.wait_exit()
    text = victim.log_tail(3000)
    world.report.check(f"{name}: the server refuses", code not in (0, None), str(code))
    return text


def is_replaced(world, name, cluster, victim, victim_id, load):
    """Three vote, the new one among them, also after a restart; nothing was lost."""
    report = world.report
    victim.await_ready(60)
    load.await_more(50)
    settle(world, cluster, load, name)
    members = cluster.list()
    new_id = cluster.id_of(victim)
    report.check(f"{name}: three vote", len(members) == 3 and not any(m.isLearner for m in members), str(members))
    report.check(f"{name}: under another id", new_id != victim_id and victim_id not in [m.ID for m in members],
                 f"{victim_id:x} {members}")
    until(lambda: not (victim.data_dir / "REPLACE").exists(), 30, f"{name}: the file REPLACE goes")
    victim.restart()
    report.equal(f"{name}: it stays who it is", cluster.id_of(victim), new_id)
    report.check(f"{name}: nothing of the old data was deleted", list(victim.data_dir.glob(f"member.of-{victim_id:x}*")),
                 str(list(victim.data_dir.iterdir())))


def a_lost_log(world):
    """One command beside a server that is started as always."""
    report, name = world.report, "a lost log"
    with one_lost(world, "replace") as (cluster, victim, victim_id, load):
        text = refuses_to_start(world, name, victim)
        named = re.search(r"tenonutl (member replace --endpoints \S+ --data-dir \S+ --id [0-9a-f]+)", text)
        if not report.check(f"{name}: it names the command", named, text):
            return
        offered = [tool(world), *named[1].split(), "--yes", "--timeout", SECONDS]
        dry = subprocess.run([*offered, "--dry-run"], capture_output=True, text=True, timeout=120)
        report.check(f"{name}: --dry-run says what would be", dry.returncode == DONE and "nothing was changed" in
                     dry.stdout and f"{victim_id:x}" in dry.stdout, said(dry))
        report.check(f"{name}: and changes nothing", not (victim.data_dir / "REPLACE").exists() and
                     (victim.data_dir / "member").exists() and victim_id in [m.ID for m in cluster.list()])
        with Running(offered) as running:
            running.await_line("start the server")
            victim.launch()  # its flags still say "new"
            ended = running.end()
        report.check(f"{name}: it is replaced", ended.startswith("0\n") and "votes" in ended, ended)
        is_replaced(world, name, cluster, victim, victim_id, load)
        again = replace(world, cluster, victim, "--id", f"{victim_id:x}")
        report.check(f"{name}: once more does nothing", again.returncode == DONE and "nothing is left" in again.stdout,
                     said(again))


def cut_off_after(world, step):
    """As if killed there; a server that is started meanwhile does nothing wrong; run again, it ends the same."""
    report, name = world.report, f"cut off after \"{step}\""
    with one_lost(world, f"cut-{step.replace(' ', '-')}") as (cluster, victim, victim_id, load):
        cut = replace(world, cluster, victim, "--id", f"{victim_id:x}", end_after=step)
        report.equal(f"{name}: it was", cut.returncode, KILLED)
        if step == "named":  # then the server may come first
            victim.launch()
            until(lambda: cluster.revision(victim), 60, lambda: f"it serves\n{victim.log_tail()}")
        else:
            text = refuses_to_start(world, name, victim)
            report.check(f"{name}: and says what to run", "tenonutl member replace" in text, text)
        with Running(command(world, cluster, victim, "--id", f"{victim_id:x}")) as running:
            if step != "named":
                running.await_line("start the server")
                victim.launch()
            ended = running.end()
        report.check(f"{name}: run again, it is replaced", ended.startswith("0\n"), ended + victim.log_tail(4000))
        is_replaced(world, name, cluster, victim, victim_id, load)


def cut_off_after_each_step(world):
    for step in STEPS if world.long else ["removed", "added", "named"]:
        cut_off_after(world, step)


def a_damaged_log_twice(world):
    """A bad record in what was committed, in a wal-dir of its own; later the new member loses everything it has."""
    report, name = world.report, "a damaged log"
    wal = world.folder("damaged-wal") / "wal"
    with Cluster(world.binary, world.folder("damaged")) as cluster:
        victim = list(cluster)[2]
        victim.flags["wal-dir"] = str(wal)
        cluster.start()
        with Load([s for s in cluster if s is not victim], name="damaged") as load:
            load.await_more(300)
            victim_id = cluster.id_of(victim)
            victim.kill()
            (segment,) = wal.glob("*.wal")
            with open(segment, "r+b") as file:
                file.seek(5001)
                byte = file.read(1)
                file.seek(5001)
                file.write(bytes([byte[0] ^ 0x10]))
            text = refuses_to_start(world, name, victim)
            report.check(f"{name}: it names the command", f"--wal-dir {wal} --id {victim_id:x}" in text, text)
            unfinished = replace(world, cluster, victim, "--wal-dir", str(wal), timeout="1s")  # the head names the member
            report.check(f"{name}: without a server it is unfinished", unfinished.returncode == UNFINISHED and
                         "run the same command again" in unfinished.stderr, said(unfinished))
            with Running(command(world, cluster, victim, "--wal-dir", str(wal))) as running:
                running.await_line("start the server")
                victim.launch()
                ended = running.end()
            report.check(f"{name}: it goes on when there is one", ended.startswith("0\n"), ended)
            report.check(f"{name}: the log was kept", wal.with_name(f"wal.of-{victim_id:x}").exists(),
                         str(list(wal.parent.iterdir())))
            victim.await_ready(60)
            second_id = cluster.id_of(victim)
            victim.kill()
            shutil.rmtree(victim.data_dir)
            shutil.rmtree(wal)
            text = refuses_to_start(world, f"{name}, then all of it", victim)
            report.check(f"{name}, then all of it: the new id is meant", f"member {second_id:x} has already been" in text,
                         text)
            victim.data_dir.mkdir(exist_ok=True)
            # Neither the directory nor a name says whose it was: but all the others are up.
            with Running(command(world, cluster, victim, "--wal-dir", str(wal))) as running:
                running.await_line("start the server")
                victim.launch()
                ended = running.end()
            report.check(f"{name}, then all of it: replaced once more", ended.startswith("0\n"), ended)
            victim.await_ready(60)
            settle(world, cluster, load, name)
            report.check(f"{name}: a third id", cluster.id_of(victim) not in (victim_id, second_id))


def a_log_that_ends_too_early(world):
    """It reads as whole, but lacks what the engine has applied, so what was acknowledged too: no reason to heal."""
    report, name = world.report, "a log that ends too early"
    with Cluster(world.binary, world.folder("short")) as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        victim_id = cluster.id_of(victim)
        with Load(list(cluster), name="short") as load:
            load.await_more(300)
            load.end()
        cluster.level()
        victim.stop()  # the engine has all of it
        segment = max((victim.data_dir / "member/wal").glob("*.wal"))
        with open(segment, "r+b") as file:
            end = len(file.read().rstrip(b"\0"))
            half = end // 2 // 4096 * 4096
            file.seek(half)
            file.write(b"\0" * (end - half))
        text = refuses_to_start(world, name, victim)
        report.check(f"{name}: it names the command", "committed entries are missing" in text and
                     f"--id {victim_id:x} --log-is-damaged" in text, text)
        plain = replace(world, cluster, victim)
        report.check(f"{name}: the tool alone cannot see it", plain.returncode == REFUSED and "is whole" in plain.stderr,
                     said(plain))
        with Running(command(world, cluster, victim, "--log-is-damaged")) as running:
            running.await_line("start the server")
            victim.launch()
            ended = running.end()
        report.check(f"{name}: it is replaced", ended.startswith("0\n"), ended)
        victim.await_ready(60)
        hashes = cluster.hashes(cluster.level())
        report.check(f"{name}: all members have one hash", len(set(hashes.values())) == 1, str(hashes))


def refusals(world):
    """Each with a reason, and nothing is changed."""
    report = world.report

    def refused(name, result, word, code=REFUSED):
        report.check(f"refused: {name}", result.returncode == code and word in result.stderr, said(result))

    with Cluster(world.binary, world.folder("refusals")) as cluster:
        cluster.start()
        before = sorted(m.ID for m in cluster.list())
        leader, (victim, other) = cluster.leader(), cluster.followers()
        victim_id = f"{cluster.id_of(victim):x}"
        refused("a server runs", replace(world, cluster, victim), "another process is using the data directory")
        learner = cluster.ask_until("MemberAdd", lambda r: r.ok, peerURLs=[world.unused_url()], isLearner=True,
                                    through=leader).message.member.ID
        victim.stop()
        refused("a log that is whole", replace(world, cluster, victim), "is whole, so the member may vote")
        refused("another member's directory", replace(world, cluster, victim, "--id", f"{cluster.id_of(other):x}"),
                f"the log in {victim.data_dir}/member/wal is of member {victim_id}")
        nothing = replace(world, cluster, victim, "--id", "12ab")
        report.check("nobody of that id, and a log that is whole", nothing.returncode == DONE and
                     "12ab is none of the members" in nothing.stdout, said(nothing))
        refused("no such name", replace(world, cluster, victim, "--name", "nobody"), "no member is called nobody")
        shutil.rmtree(victim.data_dir / "member/wal")
        refused("no such id", replace(world, cluster, victim, "--id", "12ab"), "12ab is none of the members")
        refused("the one that serves", replace(world, cluster, victim, "--name", other.name), "it is not lost")
        refused("a learner is there already", replace(world, cluster, victim, "--id", victim_id),
                "as many learners as it may have")
        refused("two are away", replace(world, cluster, victim), "neither the data directory nor who is down tells")
        cluster.ask_until("MemberRemove", lambda r: r.ok, ID=learner, through=leader)
        other.kill()
        refused("no quorum", replace(world, cluster, victim, "--id", victim_id), "no quorum of the cluster answers")
        other.start()
        report.equal("refused: the members are as they were", sorted(m.ID for m in cluster.list()), before)
        report.check("refused: and the directory", not (victim.data_dir / "REPLACE").exists())
        elsewhere = subprocess.run([tool(world), "member", "replace", "--data-dir", "/nowhere"], capture_output=True,
                                   text=True, timeout=60)
        refused("no directory", elsewhere, "there is no /nowhere")
        for bad, word in ((["--id", "xyz"], "not a member's id"), (["--timeout", "soon"], "soon"),
                          (["--endpoints", "https://127.0.0.1:1"], "TLS")):
            result = subprocess.run([tool(world), "member", "replace", "--data-dir", str(victim.data_dir), *bad],
                                    capture_output=True, text=True, timeout=60)
            refused(" ".join(bad), result, word, BAD_COMMAND_LINE)
        asked = subprocess.run([word for word in command(world, cluster, victim, "--id", victim_id) if word != "--yes"],
                               capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        refused("nobody confirms it", asked, "give --yes")
        helped = subprocess.run([tool(world), "member", "replace", "--help"], capture_output=True, text=True)
        report.check("--help helps", helped.returncode == DONE and "Exit code" in helped.stdout, said(helped))


STORIES = [a_lost_log, cut_off_after_each_step, a_damaged_log_twice, a_log_that_ends_too_early, refusals]


def run(world):
    if world.is_etcd:
        return world.report.skip("replace", "etcd has no such command")
    for story in STORIES:
        world.story(story)
