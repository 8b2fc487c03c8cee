"""Starting, watching and ending the two servers that are compared."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time


class Failure(Exception):
    """Something that a run cannot go on without; its text is for the person who started it."""


def find_peer(program):
    """etcd's `program` in $TENON_PEER, then on PATH; None without one."""
    folder = os.environ.get("TENON_PEER")
    if folder and os.access(os.path.join(folder, program), os.X_OK):
        return os.path.join(folder, program)
    return shutil.which(program)


def version_of(binary):
    out = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30).stdout
    return "; ".join(line.strip() for line in out.splitlines() if line.startswith(("etcd Version", "Tenon Version",
                                                                                    "Git SHA")))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """In the child: the kernel ends it when bench.py ends, however that happens (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def status_bytes(pid, name):
    with open(f"/proc/{pid}/status") as f:
        found = re.search(rf"^{name}:\s+(\d+) kB", f.read(), re.M)
    return int(found.group(1)) * 1024 if found else 0


class Kind:
    """How to run one of the two: "etcd" (which wants peer URLs of its own) or "tenon"."""

    def __init__(self, name, binary, etcd_flags, modules=None):
        self.modules = modules  # YAML, for Tenon: which plugins
        self.name = name
        self.binary = binary
        self.etcd_flags = etcd_flags
        self.version = version_of(binary)


class Server:
    """One member on a fresh data directory. Use with `with`: it ends, and its data goes, whatever happens."""

    def __init__(self, kind, folder, ports, load):
        self.kind = kind
        self.folder = os.path.join(folder, kind.name)
        self.load = load  # the path of tenon-load
        self.port = ports() if ports else free_port()
        self.peer_port = ports() if ports else free_port()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        url = f"http://{self.endpoint}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        if self.kind.modules:
            config = os.path.join(self.folder, "config.yaml")
            with open(config, "w") as f:
                f.write(f"data-dir: {os.path.join(self.folder, 'data')}\nlisten-client-urls: {url}\n"
                        f"advertise-client-urls: {url}\nlisten-peer-urls: {peer}\n"
                        f"initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
                        f"modules:\n{self.kind.modules}")
            return [self.kind.binary, "--config-file", config]
        return [self.kind.binary, "--data-dir", os.path.join(self.folder, "data"), "--listen-client-urls", url,
                "--advertise-client-urls", url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    def start(self, expect_key=None):
        """Starts the process and returns the seconds from exec to the first answered linearizable get.

        expect_key: tenon-load's options that name a key space; the get must then find its key.
        """
        log = open(os.path.join(self.folder, "log"), "ab")
        began = time.monotonic_ns()
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, preexec_fn=die_with_parent)
        log.close()
        options = expect_key if expect_key else ["--missing-ok"]
        answer = self.run("range", *options, "--total", "1", "--warmup", "0s", "--retry-for", "120s", server=False)
        if self.process.poll() is not None:  # another server answered on this port
            raise Failure(f"{self.kind.name} ended at its start. Its log ends with:\n{self.log_tail()}")
        return (answer["answered_at_ns"] - began) / 1e9

    def stop(self):
        """SIGTERM, and waits; returns the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.kind.name} did not end within 120 s of SIGTERM")
        return time.monotonic() - began

    def run(self, operation, *options, server=True):
        """tenon-load's result as a dict."""
        command = [self.load, operation, "--endpoints", self.endpoint, "--json", *options]
        if server:
            command += ["--server-pid", str(self.pid)]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=die_with_parent)
        try:
            while True:
                try:
                    out, errors = load.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    if self.process.poll() is not None:  # or we would retry until the deadline
                        load.kill()
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        if load.returncode != 0:
            ended = "" if self.process.poll() is None else f"{self.kind.name} ended with {self.process.returncode}\n"
            raise Failure(f"{' '.join(command)}\n{errors.strip()}\n{ended}{self.kind.name}'s log ends with:\n"
                          f"{self.log_tail()}")
        return json.loads(out)

    def _watch_command(self, *options):
        tool = os.path.join(os.path.dirname(self.load), "tenon-watch")
        return [tool, "--endpoint", self.endpoint, "--json", "--server-pid", str(self.pid), *options]

    def watch(self, *options):
        """tenon-watch's result as a dict."""
        result = subprocess.run(self._watch_command(*options), capture_output=True, text=True, timeout=300)
        if result.returncode != 0:
            raise Failure(f"tenon-watch: {result.stderr.strip()}\n{self.kind.name}'s log ends with:\n{self.log_tail()}")
        return json.loads(result.stdout)

    def lease(self, mode, *options):
        """tenon-lease's result as a dict."""
        command = [os.path.join(os.path.dirname(self.load), "tenon-lease"), mode, "--endpoint", self.endpoint, "--json",
                   "--server-pid", str(self.pid), *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if result.returncode != 0:
            raise Failure(f"tenon-lease: {result.stderr.strip()}\n{self.kind.name}'s log ends with:\n{self.log_tail()}")
        return json.loads(result.stdout)

    @contextlib.contextmanager
    def hold_watches(self, *options):
        """tenon-watch's watchers stay open inside of `with`, which gets what it said of them."""
        holder = subprocess.Popen(self._watch_command(*options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  preexec_fn=die_with_parent)
        try:
            line = holder.stdout.readline()
            if not line:
                raise Failure(f"tenon-watch ended with {holder.wait()}")
            yield json.loads(line)
        finally:
            holder.kill()
            holder.communicate()

    def memory(self, name):
        return status_bytes(self.pid, name)

    def log_tail(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return "".join(f.readlines()[-5:])


class PeakMemory:
    """The highest RssAnon of a process between enter and exit, looked at every 2 ms."""

    def __init__(self, pid):
        self.pid = pid
        self.idle = status_bytes(pid, "RssAnon")
        self.peak = self.idle
        self.samples = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.ended.wait(0.002):
            self.peak = max(self.peak, status_bytes(self.pid, "RssAnon"))
            self.samples += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def count_syncs(server, clients, connections, puts):
    """fdatasync + fsync per 1,000 puts, counted by strace; None where strace is missing or not allowed."""
    strace = shutil.which("strace")
    if not strace:
        return None
    out = os.path.join(server.folder, "strace")
    tracer = subprocess.Popen([strace, "-c", "-f", "-e", "trace=fdatasync,fsync,msync,sync_file_range", "-o", out,
                               "-p", str(server.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              preexec_fn=die_with_parent)
    try:
        # strace says on stderr for each thread that it is attached, or why it is not.
        if "attached" not in tracer.stderr.readline():
            return None
        server.run("put", "--clients", str(clients), "--connections", str(connections), "--total", str(puts),
                   "--warmup", "0s", server=False)
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
    calls = 0
    with open(out) as f:
        for line in f:
            fields = line.split()
            if fields and fields[-1] in ("fdatasync", "fsync", "msync", "sync_file_range"):
                calls += int(fields[3])
    return calls * 1000 / puts
