"""A server process under test: Tenon's or etcd's, started with the same flags."""

import argparse
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

from harness import messages
from harness.client import Client
from harness.wait import until

START_SECONDS = 60


def find_peer(name="etcd", given=None):
    """etcd's binary: given on the command line, in the folder $TENON_PEER, or on PATH; only version 3.7.x counts."""
    candidates = [given] if given else []
    if os.environ.get("TENON_PEER"):
        candidates.append(os.path.join(os.environ["TENON_PEER"], name))
    if shutil.which(name):
        candidates.append(shutil.which(name))
    for path in candidates:
        if os.path.isdir(path):
            path = os.path.join(path, name)
        if os.access(path, os.X_OK):
            flag = "--version" if name == "etcd" else "version"
            text = subprocess.run([path, flag], capture_output=True, text=True).stdout
            if re.search(r"version: 3\.7\.", text, re.I):
                return path
    return None


def find_tenon(given=None):
    """tenond: given on the command line, or in build/release/bin."""
    path = Path(given) if given else messages.ROOT / "build/release/bin/tenond"
    return str(path) if os.access(path, os.X_OK) else None


def version_of(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True).stdout


_ports_lock = threading.Lock()
_ports_given = set()


def _below_ephemeral():
    """Ports that the system gives to no connection by itself: a server that is down for a while finds its own again."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32768
    candidates = list(range(10000, first)) if first > 12000 else list(range(20000, 60000))
    random.shuffle(candidates)
    return candidates


def free_port():
    """A port nobody listens on. $TENON_TEST_PORTS=FIRST-LAST confines the search on a shared machine."""
    with _ports_lock:
        window = os.environ.get("TENON_TEST_PORTS")
        if window:
            first, last = (int(part) for part in window.split("-"))
            candidates = [port for port in range(first, last + 1) if port not in _ports_given]
            if not candidates:
                _ports_given.clear()
                candidates = list(range(first, last + 1))
        else:
            candidates = _below_ephemeral()
        for port in candidates:
            with socket.socket() as probe:
                # As the server does: what an earlier one left in TIME_WAIT is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                if port not in _ports_given:
                    _ports_given.add(port)
                    return port
    raise RuntimeError("no free port")


def _lines(options):
    return "".join(f"{key}: {value}\n" for key, value in options.items())


class Server:
    """Owns one process and its data directory. `flags` are etcd's flags as a dict without the dashes.

    `options_as` says how they are given: as flags, as `environment` (ETCD_NAME and so on) or as a `yaml` file. With
    `storage`, `modules` ({role: its YAML}), `config` or `transport` Tenon always gets a file, since --config-file makes
    flags ignored.
    """

    transport = None  # Tenon's transport, for a whole run: see --transport of the suites

    def __init__(self, binary, folder, name="m1", flags=None, storage=None, config=None, wrapper=(), modules=None,
                 options_as="flags"):
        self.binary = str(binary)
        self.is_etcd = "Tenon Version" not in version_of(self.binary)
        self.label = "etcd" if self.is_etcd else "tenon"
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.folder / "data"
        self.log_path = self.folder / "log"
        self.name = name
        self.flags = dict(flags or {})
        self.storage = storage
        self.modules = dict(modules or {})
        self.config = config
        self.wrapper = list(wrapper)
        self.options_as = options_as
        self.host = "127.0.0.1"
        self.port = free_port()
        self.peer_port = free_port()
        self.process = None

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def peer_url(self):
        return f"http://{self.host}:{self.peer_port}"

    def options(self):
        """Of the process, by their names."""
        url = f"http://{self.address}"
        options = {
            "name": self.name,
            "data-dir": str(self.data_dir),
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": f"{self.name}={self.peer_url}",
        }
        if self.is_etcd:
            options["log-level"] = "warn"
        options.update(self.flags)
        return options

    def command(self):
        options = self.options()
        chosen = not self.is_etcd and (self.storage or self.modules or self.config or self.transport)
        if chosen or self.options_as == "yaml":
            path = self.folder / "config.yaml"
            path.write_text(self._yaml(options) if chosen else _lines(options))
            return [*self.wrapper, self.binary, f"--config-file={path}"]
        if self.options_as == "environment":
            return [*self.wrapper, self.binary]
        return [*self.wrapper, self.binary, *[f"--{key}={value}" for key, value in options.items()]]

    def environment(self):
        if self.options_as != "environment":
            return None
        named = {"ETCD_" + key.upper().replace("-", "_"): str(value) for key, value in self.options().items()}
        return {**os.environ, **named}

    def _yaml(self, flags):
        chosen = {}
        if self.storage:
            chosen["storage"] = f"{{ use: {self.storage} }}"
        if self.transport:
            chosen["transports"] = f"[{{ use: {self.transport} }}]"
        chosen.update(self.modules)
        modules = "modules:\n" + "".join(f"  {role}: {yaml}\n" for role, yaml in chosen.items()) if chosen else ""
        return _lines(flags) + modules + (self.config or "")

    def launch(self):
        """Starts the process and does not wait."""
        assert self.process is None, "started twice"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment()
            )
        return self

    def start(self, seconds=START_SECONDS):
        """Starts the process and returns when it answers a linearizable read and has published its name."""
        return self.launch().await_ready(seconds)

    def await_ready(self, seconds=START_SECONDS):
        until(self._listens, seconds, lambda: f"{self.label} listens on {self.address}\n{self.log_tail()}")
        with self.client(timeout=5.0) as client:
            until(
                lambda: self._alive() and client.range(b"ready").ok,
                seconds,
                lambda: f"{self.label} answers a read\n{self.log_tail()}",
            )
            until(
                lambda: self._alive() and self._published(client),
                seconds,
                lambda: f"{self.label} publishes its name\n{self.log_tail()}",
            )
        return self

    def _alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.label} ended with {self.process.returncode}\n{self.log_tail()}")
        return True

    def _listens(self):
        self._alive()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0

    def _published(self, client):
        members, status = client.members(), client.status()
        return (
            members.ok
            and any(member.name == self.options()["name"] for member in members.message.members)
            and status.ok
            and status.message.storageVersion.startswith("3.7")
        )

    def wait_exit(self, seconds=60):
        """The exit code of a process that ends by itself."""
        code = until(
            lambda: None if self.process.poll() is None else (self.process.returncode,),
            seconds,
            lambda: f"{self.label} ends\n{self.log_tail()}",
        )[0]
        self.process = None
        return code

    def kill(self):
        """SIGKILL, as power loss for a process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        """SIGSTOP: its connections stay, and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, seconds=60):
        """SIGTERM; SIGKILL if that does not end it in time, which raises."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.label} does not end on SIGTERM in {seconds} s\n{self.log_tail()}") from None
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def client(self, **options):
        return Client(self.address, **options)

    def log_tail(self, size=2000):
        return self.log_path.read_bytes()[-size:].decode(errors="replace") if self.log_path.exists() else ""

    def memory_kib(self):
        """{'VmRSS': ..., 'RssAnon': ...} of the process in KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return {key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) for key in ("VmRSS", "RssAnon")}

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()


def add_transport_option(parser):
    """--transport: which transport every Tenon server of the run has."""

    class Choose(argparse.Action):
        def __call__(self, parser, namespace, value, option_string=None):
            Server.transport = value

    parser.add_argument(
        "--transport", choices=("grpc", "h2"), action=Choose, help="Tenon's transport (default: its own)"
    )
