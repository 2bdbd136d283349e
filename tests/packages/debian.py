#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages of `./quickstart --deb` through their life: installed, upgraded, removed and purged.

First in a fresh Debian without systemd running, by piuparts as well, then in a machine with it (systemd-nspawn), where
an upgrade comes under load. Afterwards every file is compared with what was there before. Between the two, autopkgtest
runs the tests that the packages bring (packaging/debian/tests). Needs root, and the programs of packages.txt.

Packages that are in dist/ (or in the folder that OUTRIDER_PACKAGES names) are taken as they are; without any, they are
built. The upgrades are from the same packages with a lower version; that under load is from those in the folder that
OUTRIDER_EARLIER_PACKAGES names, if it is set.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "real"))

import harness  # noqa: E402
from harness import check, equal  # noqa: E402
from under_systemd import Machine  # noqa: E402

DIST = pathlib.Path(os.environ.get("OUTRIDER_PACKAGES", harness.TOP / "dist"))
EARLIER = os.environ.get("OUTRIDER_EARLIER_PACKAGES")
BASE = harness.TOP / "build/real-packages/debian-base.tar"
# The same with what the tests of the packages need.
BASE_OF_TESTS = BASE.with_name("debian-tests.tar")
TESTS = harness.TOP / "packaging/debian/tests"
TOOLS = ("curl", "systemd", "systemd-sysv", "python3", "iproute2", "procps")
BOOTSTRAP_S = 600
BUILD_S = 3600
STEP_S = 300
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
OLDER = "0.0.9-0upstream1"
# As apt does: the agent and its modules have one version, so the old ones have to stand back.
DPKG = ("dpkg", "--auto-deconfigure")
OLDER_LINE = "// as it was before\n"
AGENTS = ("outrider.service", "outrider@hello1.service", "outrider@hello2.service")

# What changes while a system runs, or is dpkg's own account of the packages.
VOLATILE = re.compile(r"/(proc|sys|dev|run|tmp|srv/load.*\.log|var/(lib/(dpkg|systemd)|log|cache|tmp)|etc/("
                      r"machine-id|\.pwd\.lock|(passwd|group|g?shadow|subuid|subgid)-|ld\.so\.cache|\.updated))(/|$)")

RESOLV_CONF = "# of this network\nnameserver 192.0.2.1\n"
HELLO = """[Service]
ExecStart=/usr/bin/python3 -B -m http.server --bind 127.0.1.{number} 8000
WorkingDirectory=/srv/hello
"""
CONFIG = """// Beside hello{number}.service.
{{"services": [{{"name": "hello", "id": "hello-{number}", "port": 8000, "address": "127.0.1.{number}",
                "checks": [{{"http": "/", "interval": "1s"}}]}},
               {{"name": "shop", "id": "shop-{number}", "port": 8000, "address": "127.0.1.{number}",
                "checks": [{{"alias": "hello-{number}"}}]}}]}}
"""
WEB = '{"web": {"listen": "127.0.0.1:80", "names": ["shop"]}, "api": {"history_file": "/var/lib/outrider/history"}}\n'
MINE = "\n// mine\n"
STARTS = 7  # more than systemd's limit of 5 in 10 seconds
ASK = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(bytes(12), ('127.0.0.55', 53))"
LOAD = """import http.client, signal, socket, sys, time
going, good, bad = True, 0, []
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
while going:
    begun = time.monotonic()
    try:
        host, port = sys.argv[1], int(sys.argv[2])
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
        asked = http.client.HTTPConnection(address, port, timeout=5)
        asked.request("GET", "/", headers={"Host": host})
        assert asked.getresponse().read() == b"hello\\n"
        good += 1
    except Exception as why:
        bad.append(f"{time.time():.3f} {type(why).__name__}: {why} after {time.monotonic() - begun:.2f} s")
    time.sleep(0.01)
print(good, "good", len(bad), "failed", *bad[:20], sep="\\n", flush=True)
"""


def packages(folder=DIST):
    """{name: file} of what was built."""
    found = {file.name.split("_")[0]: file for file in sorted(folder.glob("*.deb")) if "-dbgsym_" not in file.name}
    if "outrider" not in found:
        raise harness.Skip(f"no packages in {folder}: run ./quickstart --deb")
    return found


def names_in(text):
    """Names of packages in a list of dependencies, without versions; the first of alternatives."""
    return {re.split(r"[ (:|]", part.strip())[0] for part in text.split(",") if part.strip()}


def depends(files):
    """Packages that these need, without themselves."""
    names = set()
    for file in files:
        names |= names_in(harness.run(["dpkg-deb", "-f", str(file), "Depends"])[1])
    return names - set(packages())


def wanted_by_tests():
    found = re.findall(r"^Depends: (.*)$", (TESTS / "control").read_text(), re.MULTILINE)
    return names_in(",".join(found)) - set(packages())


def bootstrap(tar, names):
    """A fresh Debian with these packages in a tar file, by this machine's own sources."""
    if tar.exists():
        return
    etc = pathlib.Path("/etc/apt")
    sources = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.[ls]*"))]
    sources = [str(file) for file in sources if file.is_file() and file.suffix in (".list", ".sources")]
    tar.parent.mkdir(parents=True, exist_ok=True)
    part = tar.with_suffix(".part.tar")
    harness.run(["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(sorted(names))}", "bookworm",
                 str(part), *sources], timeout=BOOTSTRAP_S)
    os.rename(part, tar)


def fetch():
    """Everything from outside, while there is a network: later there are namespaces."""
    if harness.INSIDE in os.environ or os.geteuid() != 0:
        return
    try:
        if not any(DIST.glob("*.deb")):
            harness.run([str(harness.TOP / "quickstart"), "--deb"], timeout=BUILD_S)
        needed = {*TOOLS, *depends(packages().values())}
        bootstrap(BASE, needed)
        # The last two are for autopkgtest itself.
        bootstrap(BASE_OF_TESTS, needed | wanted_by_tests() | {"apt-utils", "dpkg-dev"})
    except (harness.Skip, harness.Failed, OSError) as why:
        print(f"  no fresh Debian to be had: {why}")


def version_of(file):
    return harness.run(["dpkg-deb", "-f", str(file), "Version"])[1].strip()


def earlier(files):
    """The packages in OUTRIDER_EARLIER_PACKAGES."""
    found = packages(pathlib.Path(EARLIER))
    equal(sorted(found), sorted(files), "packages")
    versions = [version_of(one["outrider"]) for one in (found, files)]
    check(harness.run(["dpkg", "--compare-versions", versions[0], "lt", versions[1]], may_fail=True)[0] == 0,
          f"{versions[0]} is not earlier than {versions[1]}")
    return list(found.values())


def older(files, folder):
    """The same packages with a lower version and another outrider.json, as if built before."""
    made = []
    for name, file in files.items():
        tree = folder / name
        harness.run(["dpkg-deb", "-R", str(file), str(tree)], timeout=STEP_S)
        control = tree / "DEBIAN/control"
        version = version_of(file)
        upstream = version.rsplit("-", 1)[0]
        text = control.read_text().replace(version, OLDER)
        control.write_text(text.replace(f">= {upstream})", f">= {OLDER.rsplit('-', 1)[0]})"))
        if name == "outrider":
            with (tree / "etc/outrider/outrider.json").open("a") as conffile:
                conffile.write(OLDER_LINE)
        made.append(folder / f"{name}_{OLDER}.deb")
        harness.run(["dpkg-deb", "-Znone", "-b", str(tree), str(made[-1])], timeout=STEP_S)
    return made


def snapshot(root):
    """{path: mode, owner and content} of everything that stays."""
    seen = {}
    for folder, names, files in os.walk(root):
        inner = "/" + os.path.relpath(folder, root) if folder != str(root) else ""
        names[:] = [name for name in names if not VOLATILE.match(f"{inner}/{name}")]
        for name in names + files:
            path = pathlib.Path(folder, name)
            if VOLATILE.match(f"{inner}/{name}"):
                continue
            about = path.lstat()
            content = ""
            if stat.S_ISLNK(about.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            seen[f"{inner}/{name}"] = (oct(about.st_mode), about.st_uid, about.st_gid, content)
    return seen


def same(before, after):
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    check(not changed, lambda: f"{len(changed)} files differ: {' '.join(changed[:20])}")


class Chroot:
    """A fresh Debian in which nothing runs."""

    def __init__(self, world):
        self.root = world.dir / "root"
        self.root.mkdir()
        harness.run(["tar", "-xf", str(BASE), "-C", str(self.root)], timeout=STEP_S)
        (self.root / "packages").mkdir()

    def bring(self, files):
        """Copies packages in; their paths there."""
        for file in files:
            (self.root / "packages" / file.name).write_bytes(file.read_bytes())
        return [f"/packages/{file.name}" for file in files]

    def run(self, *argv, may_fail=False):
        return harness.run(["chroot", str(self.root), *argv], may_fail=may_fail, timeout=STEP_S, env=ENVIRONMENT)[1]


def judged(world):
    """By the programs that Debian's own archive asks."""
    with world.step("lintian finds no error and nothing to warn of"):
        harness.need("lintian")
        changes = [str(file) for file in DIST.glob("*.changes")]
        if not changes:
            raise harness.Skip(f"no .changes in {DIST}")
        said = harness.run(["lintian", "--profile", "debian", "--allow-root", *changes], True, STEP_S)[1]
        # A machine without groff's own file, which is in /etc.
        bad = [line for line in said.splitlines() if line[:2] in ("E:", "W:") and "'mdoc.local'" not in line]
        check(not bad, "\n".join(bad))
    with world.step("every compilation and link was hardened, says blhc"):
        harness.need("blhc")
        logs = [str(file) for file in DIST.glob("*.build")]
        if not logs:
            raise harness.Skip(f"no log of the build in {DIST}")
        # meson chooses how much each component is optimised, and debugging has line numbers only.
        ignored = ["--ignore-flag", "-g", "--ignore-flag", "-O2"]
        harness.run(["blhc", "--debian", *ignored, *logs], timeout=STEP_S)


def life(world, root, new, old, names):
    """What piuparts does: everything is as before after each of its ways."""
    before = snapshot(root.root)
    etc = root.root / "etc/outrider"
    conffile = etc / "outrider.json"
    with world.step("installed, the command runs, its configuration is valid, and the group exists", vital=True):
        root.run(*DPKG, "-i", *new)
        check("0." in root.run("outrider", "version"), "no version")
        paths = ("/etc/outrider/outrider.json", "/etc/outrider/conf.d")
        root.run("outrider", "config", "check", *(word for path in paths for word in ("--config", path)))
        root.run("getent", "group", "outrider")
        root.run("python3", "-B", "-c", "import outrider; outrider.native.library()")
    with world.step("purged, every file is as it was before"):
        root.run("dpkg", "--purge", *names)
        same(before, snapshot(root.root))
    with world.step("an upgrade brings the new conffile if the old one is unchanged"):
        root.run(*DPKG, "-i", *old)
        check(conffile.read_text().endswith(OLDER_LINE), "not the old one")
        root.run(*DPKG, "-i", *new)
        check(OLDER_LINE not in conffile.read_text(), "not the new one")
    with world.step("else it asks: the administrator's stays, with the new one beside it, or the other way round"):
        for answer, mine, beside in (("N", True, "dpkg-dist"), ("Y", False, "dpkg-old")):
            root.run(*DPKG, "-i", *old)
            conffile.write_text('// mine\n{"dns": {"ttl": "9s"}}\n')
            said = root.run("sh", "-c", 'echo "$0" | dpkg --auto-deconfigure -i "$@"', answer, *new)
            check("Configuration file" in said, lambda: f"not asked: {said}")
            equal("mine" in conffile.read_text(), mine, f"mine after {answer}")
            check(conffile.with_name(f"outrider.json.{beside}").exists(), lambda: f"no {beside}: {said}")
            # Neither is read for it.
            root.run("outrider", "config", "check", "--config", "/etc/outrider/outrider.json")
            root.run("dpkg", "--purge", *names)
            same(before, snapshot(root.root))
    with world.step("an upgrade without a terminal keeps it, removing does, too, and a purge then leaves nothing"):
        root.run(*DPKG, "-i", *old)
        conffile.write_text('// mine\n{"dns": {"ttl": "9s"}}\n')
        said = root.run(*DPKG, "--force-confold", "-i", *new)
        check("mine" in conffile.read_text(), said)
        root.run("dpkg", "--remove", *names)
        check("mine" in conffile.read_text(), "removing took the configuration")
        root.run("dpkg", "--purge", *names)
        same(before, snapshot(root.root))
    with world.step("a purge leaves files of the administrator, and the group that may own them"):
        root.run(*DPKG, "-i", *new)
        (etc / "mine.json").write_text("{}\n")
        root.run("dpkg", "--purge", *names)
        check((etc / "mine.json").exists(), "the administrator's file is gone")
        root.run("getent", "group", "outrider")
        (etc / "mine.json").unlink()
        root.run(*DPKG, "-i", *new)
        root.run("dpkg", "--purge", *names)
        same(before, snapshot(root.root))
    with world.step("a purge leaves a user and a group that were there before"):
        root.run("groupadd", "-g", "1500", "outrider")
        root.run("useradd", "-u", "1234", "-g", "1500", "-d", "/srv", "-M", "-s", "/bin/sh", "outrider")
        account = root.run("getent", "passwd", "outrider")
        root.run(*DPKG, "-i", *new)
        root.run("dpkg", "--purge", *names)
        equal(root.run("getent", "passwd", "outrider"), account, "account")
        root.run("userdel", "outrider")
        root.run("groupadd", "-f", "-g", "1500", "outrider")
        root.run("dpkg", "-i", *new)
        root.run("dpkg", "--purge", *names)
        equal(root.run("getent", "group", "outrider"), "outrider:x:1500:\n", "group")
        root.run("groupdel", "outrider")
        same(before, snapshot(root.root))
    with world.step("purged while it is only unpacked, the record of the resolver stays"):
        root.run(*DPKG, "-i", *new)
        record = root.root / "var/lib/outrider-dns/install.json"
        record.parent.mkdir()
        record.write_text("{}\n")
        root.run("dpkg", "--unpack", *new)
        said = root.run("dpkg", "--purge", *names)
        check(record.exists() and "which stays" in said, said)
        shutil.rmtree(record.parent)
        same(before, snapshot(root.root))
    with world.step("an agent does not come without its modules of the same version"):
        root.run(*DPKG, "-i", *old)
        [agent] = [file for file in new if file.startswith("/packages/outrider_")]
        said = root.run("dpkg", "-i", agent, may_fail=True)
        check("outrider breaks outrider-modules" in said, said)
        root.run("outrider", "version")
        root.run("dpkg", "--purge", *names)
        same(before, snapshot(root.root))


def tested(world, files):
    """By the tests that come with the packages, in a fresh Debian that has what those need."""
    harness.need("autopkgtest")
    source, root = world.dir / "source", world.dir / "testbed"
    root.mkdir()
    harness.run(["tar", "-xf", str(BASE_OF_TESTS), "-C", str(root)], timeout=STEP_S)
    # apt would try each archive for a while.
    for file in (root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()):
        file.unlink(missing_ok=True)
    # A link on which programs of this machine hear each other's multicast.
    harness.run(["ip", "link", "add", "near", "type", "veth", "peer", "name", "far"])
    harness.run(["ip", "address", "add", "10.77.9.1/24", "dev", "near"])
    for link in ("near", "far"):
        harness.run(["ip", "link", "set", link, "up"])
    for name, target in (("tests/real", "tests/real"), ("examples", "examples"), ("packaging/debian", "debian")):
        shutil.copytree(harness.TOP / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "debian/changelog").write_text(
        harness.run(["sh", "-c", f"dpkg-deb --fsys-tarfile {files['outrider']} | "
                     "tar -xO ./usr/share/doc/outrider/changelog.Debian.gz | gzip -d"])[1])
    proc = root / "proc"
    harness.run(["mount", "-t", "proc", "proc", str(proc)])
    try:
        for test in re.findall(r"^Tests: (.*)$", (TESTS / "control").read_text(), re.MULTILINE):
            with world.step(f"autopkgtest passes {test} with these packages") as say:
                status, said = harness.run(
                    ["autopkgtest", f"--test-name={test}", "--no-built-binaries", *map(str, files.values()),
                     str(source), "--", "chroot", str(root)], may_fail=True, timeout=STEP_S, env=ENVIRONMENT)
                check(status == 0, f"exit status {status}: {said[-8000:]}")
                say(re.findall(rf"^{test} +(PASS.*)$", said, re.MULTILINE)[-1])
    finally:
        harness.run(["umount", "-l", str(proc)])


def by_piuparts(world, files):
    """Its own checks of installing and purging: files of no package, broken links, what is left."""
    with world.step("piuparts passes") as say:
        harness.need("piuparts")
        root = world.dir / "piuparts"
        root.mkdir()
        harness.run(["tar", "-xf", str(BASE), "-C", str(root)], timeout=STEP_S)
        # There is no network. The upgrade is another part: no archive has an earlier version.
        for file in (root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()):
            file.unlink(missing_ok=True)
        said = harness.run(["piuparts", "--no-eatmydata", f"--existing-chroot={root}", "--keep-sources-list",
                            "--distribution=bookworm", "--no-upgrade-test", "--skip-minimize",
                            *map(str, files.values())], True, STEP_S)[1]
        check("PASS: All tests." in said, said[-8000:])
        say(f"{len(files)} packages")


class Booted(Machine):
    """The fresh Debian with systemd as its first process, and two services of one name."""

    def __init__(self, world, chroot):
        self.root = chroot.root
        units = self.root / "etc/systemd/system"
        for number in (1, 2):
            (units / f"hello{number}.service").write_text(HELLO.format(number=number))
        (self.root / "srv/hello").mkdir()
        (self.root / "srv/hello/index.html").write_text("hello\n")
        (self.root / "srv/load.py").write_text(LOAD)
        (self.root / "etc/resolv.conf").write_text(RESOLV_CONF)
        way = ["systemd-nspawn", f"--directory={self.root}", "--private-network", "--register=no", "--keep-unit"]
        way += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"]
        way += ["--machine=outrider-deb", "--boot", "systemd.unit=multi-user.target"]
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        log = world.dir / "nspawn.log"
        self.container = harness.Program("systemd-nspawn", way, log, env=environment, start_new_session=True)
        world.programs.append(self.container)
        try:
            self.leader = harness.wait_for("systemd in the container", self._leader, 30)
            harness.wait_for("a running system", self._up, 60)
        except harness.Failed as why:
            raise harness.Skip(f"no container with systemd to be had here: {why}") from None

    def does(self, *argv, timeout=STEP_S):
        status, text = self.run("env", "DEBIAN_FRONTEND=noninteractive", *argv, timeout=timeout)
        check(status == 0, lambda: f"{' '.join(argv)}: {text}\n{self.journal()}")
        return text

    def history(self):
        """Times of the events that are kept of hello."""
        events = json.loads(self.does("outrider", "history", "hello", "--json"))["events"]
        return {event["at"] for event in events if event["kind"] == "added"}

    def pids(self):
        return [self.show(unit, "MainPID") for unit in AGENTS]

    def wait_resolves(self):
        """Until a program finds both instances."""
        lookup = ("getent", "--no-addrconfig", "ahostsv4", "hello.svc")
        found = lambda: {"127.0.1.1", "127.0.1.2"} <= set(self.run(*lookup)[1].split())
        try:
            harness.wait_for("both addresses", found, 20)
        except harness.Failed as late:
            about = [self.run("outrider", *words)[1] for words in (("why", "hello"), ("doctor",))]
            raise harness.Failed("\n".join([str(late), *about, self.journal()])) from None


def enabled(world, machine):
    with world.step("installed, nothing is started, and the resolver is as it was"):
        for unit in ("outrider.service", "outrider-dns.socket", "outrider-web.socket"):
            equal(machine.show(unit, "ActiveState"), "inactive", unit)
        equal((machine.root / "etc/resolv.conf").read_text(), RESOLV_CONF, "resolv.conf")
    with world.step("agents enabled beside their services make hello.svc resolve", vital=True) as say:
        for number in (1, 2):
            (machine.root / f"etc/outrider/hello{number}.json").write_text(CONFIG.format(number=number))
        machine.systemctl("enable", "--now", "outrider-dns.socket", "outrider.service")
        machine.systemctl("enable", "outrider@hello1.service", "outrider@hello2.service")
        machine.systemctl("start", "hello1.service", "hello2.service")
        say(machine.does("outrider", "dns", "install", "--yes").splitlines()[-1].strip())
        machine.wait_resolves()
    with world.step("with outrider-web.socket enabled, curl http://shop.svc/ reaches a service on another port") as say:
        (machine.root / "etc/outrider/conf.d/web.json").write_text(WEB)
        # Questions meanwhile would start the agent of themselves.
        machine.does("systemd-run", "--quiet", "--unit=asker", "sh", "-c", "while :; do getent hosts hello.svc; done")
        machine.systemctl("stop", "outrider-dns.socket", "outrider.service")
        machine.systemctl("enable", "--now", "outrider-dns.socket", "outrider-web.socket", "outrider.service")
        machine.systemctl("stop", "asker.service")
        equal(machine.does("curl", "-sS", "--max-time", "10", "http://shop.svc/"), "hello\n", "page")
        equal(machine.does("getent", "hosts", "shop.svc").split()[0], "127.0.0.1", "address")
        machine.says("outrider.service", "127.0.0.55:53")
        say(machine.show("outrider.service", "StatusText"))
    with world.step("doctor names a unit that cannot start, which systemd does not try again"):
        bad = machine.root / "etc/outrider/hello3.json"
        bad.write_text('{"dsn": {}}\n')
        machine.run("systemctl", "start", "outrider@hello3.service")
        (machine.root / "etc/systemd/system/hello3.service").write_text(HELLO.format(number=3))
        machine.systemctl("daemon-reload")
        machine.run("systemctl", "start", "outrider@hello3.service", timeout=40)
        equal(machine.show("outrider@hello3.service", "NRestarts"), "0", "restarts")
        check("outrider@hello3.service has failed" in machine.run("outrider", "doctor", timeout=60)[1], "not named")
        machine.systemctl("stop", "hello3.service")
        machine.systemctl("reset-failed")
        bad.unlink()
        (machine.root / "etc/systemd/system/hello3.service").unlink()
        machine.systemctl("daemon-reload")
    with world.step("the journal finds events by their fields"):
        said = machine.does("journalctl", "--no-pager", "-o", "cat", "-u", "outrider@hello1.service",
                            "OUTRIDER_EVENT=health_changed", "OUTRIDER_SERVICE=hello")
        check("health_changed" in said and "service=hello" in said, said)


def upgraded(world, machine, new):
    """The agents restart while programs look hello.svc up and connect."""
    (machine.root / "srv/extra.json").write_text('{"services": [{"name": "extra", "port": 8000}]}\n')
    conffile = machine.root / "etc/outrider/outrider.json"
    conffile.write_text(conffile.read_text() + MINE)
    loads = {"load": ("hello.svc", "8000"), "load-web": ("shop.svc", "80")}
    with world.step("an upgrade under load: all agents run the new program, and no request failed") as say:
        machine.does("outrider", "register", "/srv/extra.json", "--socket", "/run/outrider/agent.sock")
        for unit, target in loads.items():
            machine.does("systemd-run", "--quiet", f"--unit={unit}", f"--property=StandardOutput=file:/srv/{unit}.log",
                         "/usr/bin/python3", "-B", "/srv/load.py", *target)
        before, events = machine.pids(), machine.history()
        begun = harness.time.monotonic()
        machine.does(*DPKG, "--force-confold", "-i", *new)
        took = harness.time.monotonic() - begun
        check(all(old != now != "0" for old, now in zip(before, machine.pids())), "an agent was not restarted")
        machine.wait_resolves()
        for unit, (name, port) in loads.items():
            machine.systemctl("stop", f"{unit}.service")
            said = (machine.root / f"srv/{unit}.log").read_text().split("\n", 4)
            say(f"{said[0]} requests to {name}:{port} in {took:.1f} s")
            check(int(said[0]) > 100 and said[2] == "0", "\n".join(said))
    with world.step("what was registered over the API is still there, and so are the history and the edited conffile"):
        check("extra" in machine.does("outrider", "instances", "extra"), "it is gone")
        check(events and events <= machine.history(), lambda: f"{events} before, {machine.history()} now")
        check(conffile.read_text().endswith(MINE), "the conffile was replaced")
    (machine.root / "srv/extra.json").unlink()


def in_trouble(world, machine, new):
    """What an administrator meets who has made a mistake."""
    bad = machine.root / "etc/outrider/conf.d/zz.json"
    with world.step("an upgrade leaves an agent alone that its configuration would stop"):
        bad.write_text('{"dns": {"ttl": "oops"}}\n')
        before = machine.pids()
        said = machine.does(*DPKG, "-i", *new)
        check("outrider.service runs on with the program of before" in said, said)
        same_as_before = [old == now for old, now in zip(before, machine.pids())]
        equal(same_as_before, [unit == "outrider.service" for unit in AGENTS], "agents that run on")
        machine.wait_resolves()
    with world.step("started with it, it fails as often as it is asked; mended, the next question is answered") as say:
        check(machine.run("systemctl", "restart", "outrider.service", timeout=40)[0] != 0, "it starts")
        starts = set()
        while len(starts) < STARTS:
            known = len(starts)
            machine.does("python3", "-B", "-c", ASK)
            harness.wait_for("a start", lambda: starts.add(machine.at("outrider.service", "ExecMainStart")) or
                             len(starts) > known)
        bad.unlink()
        machine.wait_resolves()
        equal(machine.show("outrider-dns.socket", "ActiveState"), "active", "socket")
        say(f"{STARTS} failed starts in {max(starts) - min(starts):.1f} s")
        check(max(starts) - min(starts) > 0.9 * (STARTS - 1), "more than one in a second")
    resolver = machine.root / "etc/resolv.conf"
    with world.step("a removal that cannot put the resolver back refuses, and the host still resolves"):
        # nspawn does not allow it inside.
        if harness.run(["chattr", "+i", str(resolver)], may_fail=True)[0] != 0:
            raise harness.Skip("no immutable files here")
        try:
            status, said = machine.run("dpkg", "--remove", "outrider-modules", "outrider", timeout=STEP_S)
        finally:
            harness.run(["chattr", "-i", str(resolver)])
        check(status != 0 and "so it is not removed" in said, said)
        machine.wait_resolves()


def booted(world, chroot, new, old, names):
    machine = Booted(world, chroot)
    before = snapshot(machine.root)
    machine.does("dpkg", "-i", *old)
    enabled(world, machine)
    upgraded(world, machine, new)
    in_trouble(world, machine, new)
    with world.step("purged: no process, user, unit or file is left, and the resolver is as before"):
        for number in (1, 2):
            (machine.root / f"etc/outrider/hello{number}.json").unlink()
        (machine.root / "etc/outrider/conf.d/web.json").unlink()
        machine.does("dpkg", "--purge", *names)
        equal(machine.run("pgrep", "-x", "outrider")[1].strip(), "", "processes")
        equal(machine.run("systemctl", "list-unit-files", "--no-legend", "outrider*")[1].strip(), "", "units")
        check(not (machine.root / "run/outrider").exists(), "/run/outrider is left")
        equal((machine.root / "etc/resolv.conf").read_text(), RESOLV_CONF, "resolv.conf")
        same(before, snapshot(machine.root))
    with world.step("a process of the user outrider does not stop a purge; only the account stays"):
        machine.does("dpkg", "-i", *[file for file in new if file.startswith("/packages/outrider_")])
        machine.does("systemd-run", "--quiet", "--unit=mine", "--uid=outrider", "sleep", "infinity")
        said = machine.does("dpkg", "--purge", "outrider")
        check("the user outrider is still in use, and stays" in said, said)
        machine.systemctl("stop", "mine.service")
        machine.does("userdel", "outrider")
        same(before, snapshot(machine.root))
    machine.off()
    machine.container.wait(60)


def scenario(world):
    harness.need("dpkg-deb", "tar", "chroot", "systemd-nspawn")
    if not harness.as_root():
        raise harness.Skip("a fresh Debian needs root")
    files = packages()
    if not BASE.exists():
        raise harness.Skip("no fresh Debian: needs mmdebstrap (packages.txt) and an archive")
    if not world.words or "judged" in world.words:
        judged(world)
    chroot = Chroot(world)
    (world.dir / "older").mkdir()
    old = chroot.bring(older(files, world.dir / "older"))
    old_units = chroot.bring(earlier(files)) if EARLIER is not None else old
    new = chroot.bring(files.values())
    names = sorted(files)
    if not world.words or "life" in world.words:
        life(world, chroot, new, old, names)
    if not world.words or "piuparts" in world.words:
        by_piuparts(world, files)
    if not world.words or "tested" in world.words:
        tested(world, files)
    if not world.words or "boot" in world.words:
        booted(world, chroot, new, old_units, names)


if __name__ == "__main__":
    fetch()
    harness.main(scenario)
