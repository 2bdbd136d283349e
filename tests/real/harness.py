# SPDX-License-Identifier: Apache-2.0
"""Networks, hosts and programs for the real tests.

A scenario is a file of this folder with a function `scenario(world)`; `main(scenario)` at its end
makes it a program. It runs in namespaces of its own (network, mounts, processes; users too when not
root), so that it needs no privilege, binds port 53 and 5353 as it likes, and leaves nothing behind:
when its first process ends, the kernel ends the rest.

    World    the bridge and the hosts on it; `step` counts and times one assertion
    Host     namespaces of its own: name, addresses, /etc/resolv.conf, /run; programs run in it
    Program  a started program, whose lines of output are events to wait for

Nothing here sleeps for luck: every wait is for an event and has a deadline. The last line of a
scenario's output is `N passed, N failed, N skipped`. Only the standard library is used.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PYTHON = "/usr/bin/python3"  # Debian's own, which sees Debian's modules whatever PATH says
INSIDE = "OUTRIDER_REAL_INSIDE"
DEADLINE_S = 10.0  # for what is not itself being measured
POLL_S = 0.02

# The host's own bus allows everything: it has no other users.
BUS_CONFIG = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
""".lstrip()


class Failed(AssertionError):
    """An assertion of a scenario did not hold."""


class Skip(Exception):
    """This scenario cannot run here, and why."""


class Over(Exception):
    """A step failed without which the rest of the scenario means nothing."""


def check(holds, otherwise):
    if not holds:
        raise Failed(otherwise() if callable(otherwise) else otherwise)


def equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def wait_for(what, ask, deadline=DEADLINE_S):
    """Asks until the answer is true, and returns it; for where no event tells."""
    until = time.monotonic() + deadline
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() >= until:
            raise Failed(f"not within {deadline} s: {what} (last: {answer!r})")
        time.sleep(POLL_S)


class Program:
    """A started program. Its output goes to a log file, and its lines to wait_line()."""

    def __init__(self, name, argv, log, **options):
        self.name, self.log = name, log
        self.lines = []  # (monotonic seconds, text)
        self._news = threading.Condition()
        self._over = False
        options.setdefault("stdin", subprocess.DEVNULL)
        self.popen = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
        )
        self.pid = self.popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with open(self.log, "ab") as log:
            for line in self.popen.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self.lines.append(
                        (time.monotonic(), line.decode("utf-8", "replace").rstrip("\n"))
                    )
                    self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def mark(self):
        """The place in the output up to here, for wait_line(..., since=)."""
        return len(self.lines)

    def wait_line(self, wanted, deadline=DEADLINE_S, since=0, what=None):
        """The first line from `since` on that matches (pattern or function), with its time."""
        matches = wanted if callable(wanted) else re.compile(wanted).search
        until, at = time.monotonic() + deadline, since
        with self._news:
            while True:
                while at < len(self.lines):
                    if matches(self.lines[at][1]):
                        return self.lines[at]
                    at += 1
                left = until - time.monotonic()
                if self._over or left <= 0:
                    break
                self._news.wait(left)
        said = "\n      ".join(text for _, text in self.lines[-8:])
        ended = "ended" if self._over else f"not within {deadline} s"
        raise Failed(f"{self.name}: {ended}: {what or wanted}; its last lines:\n      {said}")

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, deadline=DEADLINE_S):
        """The exit status, negative for a signal."""
        try:
            status = self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: still runs after {deadline} s") from None
        self._reader.join(1)
        return status

    def stop(self, number=signal.SIGTERM, deadline=DEADLINE_S):
        self.send(number)
        return self.wait(deadline)

    def kill(self):
        return self.stop(signal.SIGKILL)

    def rss_kib(self, kind="VmRSS"):
        """Resident memory; "RssAnon": without the pages of files, such as code."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(kind + r":\s+(\d+)", status).group(1))

    def cpu_seconds(self):
        """Spent by it so far, in the kernel and out of it."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def text(self):
        return "\n".join(text for _, text in self.lines)


class Answer:
    """What dig printed: status, flags, and by section the records (owner, ttl, type, data)."""

    def __init__(self, text):
        self.text = text
        status = re.search(r"status: (\w+)", text)
        self.status = status.group(1) if status else "NO REPLY"
        flags = re.search(r"flags: ([\w ]*);", text)
        self.flags = flags.group(1).split() if flags else []
        self.ede = re.findall(r"; EDE: (.*)", text)
        self.sections = {}
        rows = None
        for line in text.splitlines():
            heading = re.match(r";; (\w+) SECTION:", line)
            if heading:
                rows = self.sections.setdefault(heading.group(1), [])
            elif line and not line.startswith(";") and rows is not None:
                owner, ttl, _, rtype, data = line.split(None, 4)
                rows.append((owner, int(ttl), rtype, data))

    def data(self, rtype, section="ANSWER"):
        return sorted(row[3] for row in self.sections.get(section, []) if row[2] == rtype)


class Host:
    """Namespaces joined to the bridge, held open by a process that does nothing."""

    def __init__(self, world, name, number, nameserver):
        self.world, self.name = world, name
        self.ip4, self.ip6 = f"10.77.0.{number}", f"fd77::{number}"
        self.dir = world.dir / name
        self.dir.mkdir()
        (self.dir / "resolv.conf").write_text(
            f"nameserver {nameserver}\noptions timeout:2 attempts:1\n"
        )
        (self.dir / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        # Daemons insist on becoming a user of their own, and a user namespace knows no user but
        # this one.
        users = ("root", "avahi", "systemd-resolve")
        (self.dir / "passwd").write_text("".join(f"{user}:x:0:0::/:/bin/sh\n" for user in users))
        (self.dir / "group").write_text("root:x:0:\navahi:x:0:\nnetdev:x:0:\n")
        # What programs of this host see as theirs: names, the runtime folder, and nobody else's
        # system bus.
        setup = "".join(
            f"mount --bind {self.dir}/{file} $(readlink -f /etc/{file})\n"
            for file in ("resolv.conf", "nsswitch.conf", "passwd", "group")
            if os.path.exists(f"/etc/{file}")
        )
        setup += f"hostname {name}\n"
        setup += "mount -t tmpfs run /run && mkdir -p /run/user /run/dbus\n"
        setup += "echo ready\nexec sleep infinity\n"
        self._anchor = Program(
            f"{name}: anchor",
            ["unshare", "-n", "-m", "-u", "--propagation", "private", "sh", "-e", "-c", setup],
            self.dir / "anchor.log",
        )
        self._anchor.wait_line("^ready$")
        self._inside = [
            "nsenter",
            f"--target={self._anchor.pid}",
            "--net",
            "--mount",
            "--uts",
            "--root",
        ]
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.dir),
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.dir),
            "PYTHONUNBUFFERED": "1",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket",
        }
        self._number = 0

    def _enter(self, cwd=None):
        return [*self._inside, f"--wd={cwd or os.getcwd()}", "--"]

    def join(self, bridge):
        far = f"{self.name}-lan"
        run(
            [
                "ip",
                "link",
                "add",
                far,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                str(self._anchor.pid),
            ]
        )
        run(["ip", "link", "set", far, "master", bridge, "up"])
        self.run(["ip", "link", "set", "lo", "up"])
        self.run(["ip", "address", "add", f"{self.ip4}/24", "dev", "eth0"])
        self.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad || true"])
        self.run(["ip", "address", "add", f"{self.ip6}/64", "dev", "eth0", "nodad"], may_fail=True)
        self.run(["ip", "link", "set", "eth0", "up"])
        self.run(["ip", "route", "add", "default", "dev", "eth0"])

    def cable(self, plugged):
        run(["ip", "link", "set", f"{self.name}-lan", "up" if plugged else "down"])

    def drop(self, what):
        """The host's firewall: what matches ("udp dport 5353") neither leaves nor arrives over the link. Once."""
        need("nft")
        rules = "".join(
            f"add chain inet outrider {hook} {{ type filter hook {hook} priority 0; }}; "
            f"add rule inet outrider {hook} {word} eth0 {what} drop; "
            for hook, word in (("input", "iifname"), ("output", "oifname"))
        )
        self.run(["nft", f"add table inet outrider; {rules}"])

    def drop_nothing(self):
        self.run(["nft", "delete table inet outrider"])

    def slow_down(self, milliseconds):
        """From now on every frame to and from this host takes so much longer."""
        far, inner, outer = f"{self.name}-lan", f"{self.name}-in", f"{self.name}-out"
        run(["ip", "link", "add", inner, "type", "veth", "peer", "name", outer])
        run(["ip", "link", "set", far, "nomaster"])
        run(["ip", "link", "set", inner, "master", "lan", "up"])
        run(["ip", "link", "set", outer, "up"])
        argv = [PYTHON, HERE / "slow_link.py", far, outer, milliseconds]
        program = Program(
            f"{self.name}: slow link", [str(word) for word in argv], self.dir / "slow-link.log"
        )
        program.wait_line("^ready$")
        self.world.programs.append(program)

    def run(self, argv, may_fail=False, timeout=DEADLINE_S, env=None):
        """Runs a program to its end; its exit status and output."""
        return run(
            self._enter() + [str(word) for word in argv],
            may_fail,
            timeout,
            env={**self.env, **(env or {})},
        )

    def start(self, name, argv, env=None, cwd=None, **options):
        # process_group=0: a job of this session, which Ctrl-Z can suspend.
        options.setdefault("start_new_session", "process_group" not in options)
        self._number += 1
        program = Program(
            f"{self.name}: {name}",
            self._enter(cwd) + [str(word) for word in argv],
            self.dir / f"{self._number:02}-{name}.log",
            env={**self.env, **(env or {})},
            **options,
        )
        self.world.programs.append(program)
        return program

    # What the scenarios run on their hosts.

    def agent(self, config=None, arguments=(), outrider=None, **options):
        """`outrider agent` with this configuration (a dict, or text as it is)."""
        argv = [outrider or self.world.outrider, "agent"]
        if config is not None:
            self._number += 1
            file = self.dir / f"{self._number:02}.json"
            file.write_text(config if isinstance(config, str) else json.dumps(config, indent=2))
            argv += ["--config", file]
        return self.start("agent", argv + list(arguments), **options)

    def outrider(self, *words, **options):
        return self.run([self.world.outrider, *words], may_fail=True, **options)

    def http_server(self, port, bind="0.0.0.0"):
        """`python3 -m http.server`, listening; its page says which host this is."""
        folder = self.dir / "www"
        folder.mkdir(exist_ok=True)
        (folder / "index.html").write_text(f"page of {self.name}\n")
        server = self.start(
            "http.server", [PYTHON, "-m", "http.server", "--bind", bind, port], cwd=folder
        )
        server.wait_line("Serving HTTP")
        return server

    def dig(self, name, rtype="A", server="127.0.0.55", port=53, options=()):
        shown = [
            "+noall",
            "+comments",
            "+answer",
            "+authority",
            "+additional",
            "+time=2",
            "+tries=1",
        ]
        argv = ["dig", f"@{server}", "-p", port, *shown, *options, name, rtype]
        return Answer(self.run(argv, may_fail=True)[1])

    def watch_dns(self, name, server="127.0.0.55", port=53):
        """A program that prints the sorted A addresses of `name` each time that they change."""
        return self.start("watch-dns", [PYTHON, HERE / "watch_dns.py", server, port, name])

    def system_bus(self):
        """A system bus of this host's own, with the policy files of the distribution."""
        folder = self.dir / "dbus"
        folder.mkdir(exist_ok=True)
        config = folder / "bus.conf"
        config.write_text(BUS_CONFIG)
        bus = self.start(
            "dbus-daemon",
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
        )
        bus.wait_line("unix:path=")
        return bus

    def avahi_daemon(self, bus=True, interfaces="eth0", exclusive=False, carrier=False):
        """An avahi-daemon of this host's own, on its own bus; `exclusive` shares no port, and
        `carrier` makes it notice when a cable is pulled."""
        if bus:
            self.system_bus()
        config = self.dir / "avahi-daemon.conf"
        config.write_text(
            f"[server]\nhost-name={self.name}-avahi\nallow-interfaces={interfaces}\n"
            f"use-ipv4=yes\nuse-ipv6=yes\ndisallow-other-stacks={'yes' if exclusive else 'no'}\n"
            f"use-iff-running={'yes' if carrier else 'no'}\n"
            "[publish]\npublish-workstation=no\n"
        )
        daemon = self.start(
            "avahi-daemon",
            [
                "avahi-daemon",
                "-f",
                config,
                "--no-drop-root",
                "--no-chroot",
                "--no-rlimits",
                "--debug",
            ],
        )
        daemon.wait_line("Server startup complete")
        return daemon

    def avahi_resolve(self, service_type):
        """`avahi-browse -rpt`: the resolved instances that it sees now."""
        # It never ends if what it resolves is taken back meanwhile.
        browse = ["timeout", "5", "avahi-browse", "-rpt", service_type]
        status, text = self.run(browse, may_fail=True)
        check(status in (0, 124), f"avahi-browse: exit status {status}: {text.strip()}")
        return Browsed.resolved(text.splitlines())

    def avahi_browse(self, service_type):
        """`avahi-browse -rp`, going on: its lines are the changes."""
        return self.start("avahi-browse", ["avahi-browse", "-rp", service_type])

    def zeroconf_resolve(self, service_type, expect, deadline=DEADLINE_S):
        """What python3-zeroconf resolves of a type once it sees `expect`: {label: fields}."""
        argv = [PYTHON, HERE / "zeroconf_resolve.py", self.ip4, service_type, expect, deadline]
        return json.loads(self.run(argv, timeout=deadline + 5)[1])


class Browsed:
    """One line of `avahi-browse -p`: + found, = resolved, - gone."""

    def __init__(self, line):
        fields = line.split(";")
        self.event, self.interface, self.family = fields[:3]
        self.label, self.type, self.domain = (
            re.sub(r"\\(\d{3})", lambda m: chr(int(m[1])), fields[3]),
            *fields[4:6],
        )
        self.host = self.address = self.port = None
        self.txt = {}
        if self.event == "=" and len(fields) > 8:
            self.host, self.address, self.port = fields[6], fields[7], int(fields[8])
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', ";".join(fields[9:])):
                key, _, value = text.partition("=")
                self.txt[key] = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1])), value)

    @staticmethod
    def resolved(lines):
        return [b for b in (Browsed(line) for line in lines if line.startswith("=")) if b.port]


class World:
    """The bridge, the hosts on it, and the account of what held."""

    def __init__(self, arguments):
        self.outrider = str(pathlib.Path(arguments.outrider).resolve())
        self.long, self.words = arguments.long, arguments.words
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="outrider-real-"))
        self.programs, self.hosts = [], []
        self.passed = self.failed = self.skipped = 0
        run(["ip", "link", "set", "lo", "up"])
        self.bridge("lan")

    def bridge(self, name):
        kind = "type bridge mcast_snooping 0 forward_delay 0".split()
        run(["ip", "link", "add", name, *kind])
        run(["ip", "link", "set", name, "up"])

    def host(self, name, nameserver="127.0.0.55", bridge="lan"):
        host = Host(self, name, len(self.hosts) + 1, nameserver)
        host.join(bridge)
        self.hosts.append(host)
        return host

    @contextlib.contextmanager
    def step(self, what, vital=False):
        """One counted assertion. If it fails, the scenario continues unless it is vital."""
        begun, note = time.monotonic(), []
        try:
            yield note.append
        except Skip as why:
            self.skipped += 1
            print(f"  skip           {what}: {why}", flush=True)
        except Exception as failure:  # whatever it is, the step failed and the others may not
            self.failed += 1
            print(f"  FAIL {time.monotonic() - begun:8.3f} s {what}\n      {failure}", flush=True)
            if not isinstance(failure, Failed):
                traceback.print_exc(limit=-2, file=sys.stdout)
            if vital:
                raise Over from None
        else:
            self.passed += 1
            said = f" ({'; '.join(note)})" if note else ""
            print(f"  ok   {time.monotonic() - begun:8.3f} s {what}{said}", flush=True)

    def tear_down(self):
        for program in reversed(self.programs):
            program.send(signal.SIGTERM)
        for program in reversed(self.programs):
            try:
                program.wait(2)
            except Failed:
                program.kill()
        for host in self.hosts:
            host._anchor.kill()
        if self.failed or not remove_folder(self.dir):
            print(f"  logs: {self.dir}")


def run(argv, may_fail=False, timeout=DEADLINE_S, env=None):
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=env,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(argv)}: still runs after {timeout} s: {late.output}") from None
    text = done.stdout.decode("utf-8", "replace")
    check(
        may_fail or done.returncode == 0,
        f"{' '.join(argv)}: exit status {done.returncode}: {text.strip()}",
    )
    return done.returncode, text


def mounts_below(folder):
    """Mount points on or in a folder; all there are if they cannot be read."""
    try:
        table = pathlib.Path("/proc/self/mountinfo").read_text()
    except OSError:
        return ["unknown"]
    octal = re.compile(r"\\([0-7]{3})")  # as the kernel writes blanks and the like
    points = (octal.sub(lambda m: chr(int(m[1], 8)), line.split()[4]) for line in table.splitlines())
    folder = pathlib.Path(folder).resolve()
    return [point for point in points if folder in (pathlib.Path(point), *pathlib.Path(point).parents)]


def remove_folder(folder):
    """False if something is mounted below it: that is this machine's, and rmtree goes through mounts."""
    if mounts_below(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def child_of(pid):
    """The first one; None: there is none, or the process itself is gone."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def ways_inside():
    """Who we are then, and commands that make the namespaces, the best first.

    Root may lack the capability, as in a container; and /proc cannot be mounted everywhere. In a chroot root needs
    more than unshare(1), and there are no namespaces of users.
    """
    base = ["unshare", "--net", "--mount", "--propagation", "private"]
    user = ["--user", "--map-root-user"]
    for who, more in [("root", [])] * (os.geteuid() == 0) + [("user", user)]:
        yield who, base + more + ["--pid", "--fork", "--kill-child", "--mount-proc"]
        yield who, base + more
    if os.geteuid() == 0:
        yield "root", [PYTHON, str(HERE / "from_chroot.py")]


def namespaces():
    """Those whose change would change the machine."""
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt")]


def check_inside():
    """That the variable was set by enter() for this process, and is not left over from something else."""
    outside = os.environ[INSIDE].split()[1:]
    check(
        len(outside) == 2 and not set(outside) & set(namespaces()),
        f"{INSIDE} is set, but these are not namespaces of the tests: unset it",
    )


def enter():
    """Runs this program again inside the namespaces, and ends with its exit status."""
    needed = "ip link add t0 type bridge && unshare -n -m -u mount -t tmpfs t /run"
    said = ""
    for who, way in ways_inside():
        tried = subprocess.run(way + ["sh", "-c", needed], capture_output=True, text=True)
        if tried.returncode == 0:
            os.execvpe(way[0], way + [PYTHON, *sys.argv], {**os.environ, INSIDE: " ".join([who, *namespaces()])})
        lines = tried.stderr.strip().splitlines()
        said = lines[-1] if lines else f"exit status {tried.returncode}"
    raise Skip(f"no namespaces to be had here: {said}")


def as_root():
    """Whether the namespaces were made by root, rather than by a user who is root only in them."""
    return os.environ.get(INSIDE, "").split()[:1] == ["root"]


def need(*programs):
    for program in programs:
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise Skip(f"{program} is not installed (tests/packages.txt)")


def main(scenario):
    """The body of a scenario's program."""
    parser = argparse.ArgumentParser(description=scenario.__doc__)
    parser.add_argument("--outrider", default=str(TOP / "build/agent/outrider"))
    parser.add_argument("--long", action="store_true", help="the long version, where there is one")
    parser.add_argument("words", nargs="*", help="which of its parts, where it has parts with names")
    arguments = parser.parse_args()
    name = pathlib.Path(sys.argv[0]).stem
    world = None
    counts = (0, 0, 1)
    try:
        need("ip", "unshare", "nsenter")
        if INSIDE not in os.environ:
            enter()
        check_inside()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the runner
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        # Tests in the background of a shell, or under nohup, would hand on to programs that these are ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        world = World(arguments)
        scenario(world)
    except Skip as why:
        print(f"  skip           {name}: {why}")
        if world:
            world.skipped += 1
    except Over:
        pass
    except Exception:
        if not world:
            counts = (0, 1, 0)
        else:
            world.failed += 1
        traceback.print_exc(file=sys.stdout)
    finally:
        if world:
            counts = (world.passed, world.failed, world.skipped)
            world.tear_down()
        print("{} passed, {} failed, {} skipped".format(*counts), flush=True)
    sys.exit(1 if counts[1] else 0)
