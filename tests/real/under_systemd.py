#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The units of packaging/systemd: their sandbox by systemd's own reckoning, and a boot with them.

The boot is a real systemd in a container (systemd-nspawn) over this machine's /usr, with everything else empty and in
memory; that needs root. A service and the agent beside it are started, stopped, killed and made to hang there, and the
order of things is read from systemd's timestamps.
"""

import json
import os
import pathlib
import re
import shutil
import signal

import harness
from authority import Authority
from harness import check, equal

UNITS = harness.TOP / "packaging/systemd"
EXPOSURE_MAX = 1.5
PORT = 8000
TLS_PORT = 8443
WATCHDOG_S = 2

SERVICE = f"""
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 {PORT}
WorkingDirectory=/etc/www
Restart=on-failure
RestartSec=100ms
"""
CONFIG = f"""
{{"services": [{{"name": "hello", "port": {PORT}, "address": "127.0.0.1",
                "checks": [{{"http": "/", "interval": "1s"}}]}}]}}
"""

# It insists on a certificate of its clients.
TLS_SERVICE = f"""
[Service]
ExecStart=/usr/bin/python3 /etc/www/tls_server.py {TLS_PORT} /etc/www/secure.pem /etc/www/secure.key /etc/www/ca.pem
"""
# Against the system's authorities.
TLS_CONFIG = f"""
{{"services": [{{"name": "secure", "port": {TLS_PORT}, "address": "127.0.0.1", "checks": [
    {{"http": "/", "interval": "1s", "tls": {{"server_name": "secure.test",
      "cert": "/etc/outrider/client.pem", "key": "/etc/outrider/client.key"}}}}]}}]}}
"""


def installed(unit, bindir):
    """The text of a unit with its paths filled in, as meson does."""
    return unit.read_text().replace("@bindir@", bindir).replace("@sysconfdir@", "/etc")


def sandbox(world):
    """`systemd-analyze security` needs no systemd that runs, but a name for the template's instance."""
    for unit in ("outrider.service", "outrider@.service"):
        with world.step(f"the sandbox of {unit} is at {EXPOSURE_MAX} or below") as say:
            copy = world.dir / unit.replace("@", "@hello")
            copy.write_text(installed(UNITS / f"{unit}.in", "/usr/bin"))
            analyze = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)]
            said = harness.run(analyze)[1]
            exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", said).group(1))
            say(str(exposure))
            check(exposure <= EXPOSURE_MAX, f"{exposure}")


class Machine:
    """A container with systemd as its first process."""

    def __init__(self, world, name="outrider-real"):
        self.etc = world.dir / "etc"
        units = self.etc / "systemd/system"
        for folder in (units, self.etc / "outrider/conf.d", self.etc / "sysusers.d", self.etc / "www"):
            folder.mkdir(parents=True)
        for unit in UNITS.iterdir():
            # /usr is this machine's, and not ours to install anything in.
            text = installed(unit, "/etc/outrider-bin").replace("WatchdogSec=30s", f"WatchdogSec={WATCHDOG_S}s")
            (units / unit.name.removesuffix(".in")).write_text(text)
        (units / "hello.service").write_text(SERVICE)
        self.config = self.etc / "outrider/hello.json"
        self.config.write_text(CONFIG)
        (self.etc / "outrider/outrider.json").write_text("{}\n")
        (self.etc / "www/index.html").write_text("page\n")
        users = (harness.TOP / "packaging/sysusers.d/outrider.conf").read_text()
        (self.etc / "sysusers.d/outrider.conf").write_text(users)
        self._make_secure(units)
        binary = pathlib.Path(world.outrider)
        binds = [f"--bind-ro={self.etc}/{part}:/etc/{part}" for part in ("outrider", "sysusers.d", "www")]
        binds += [f"--bind-ro={binary.parent}:/etc/outrider-bin"]
        # Modules are looked for in ../lib/outrider beside the program, as where it is installed.
        binds += [f"--bind-ro={binary.parent.parent / 'base/curl/module'}:/etc/lib/outrider"]
        binds += [f"--bind-ro={self.etc}/ssl:/etc/ssl"]
        binds += [f"--bind-ro={file}:/etc/systemd/system/{file.name}" for file in units.iterdir()]
        way = ["systemd-nspawn", "--directory=/", "--volatile=yes", "--private-network", "--register=no", "--keep-unit"]
        way += ["--console=pipe", f"--machine={name}", *binds, "--boot", "systemd.unit=basic.target"]
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        log = world.dir / "nspawn.log"
        self.container = harness.Program("systemd-nspawn", way, log, env=environment, start_new_session=True)
        world.programs.append(self.container)
        # Nothing of ours has a part in this: a container that does not come up says so of the machine.
        try:
            self.leader = harness.wait_for("systemd in the container", self._leader)
            harness.wait_for("a running system", self._up, 30)
        except harness.Failed as why:
            raise harness.Skip(f"no container with systemd to be had here: {why}") from None

    def _make_secure(self, units):
        """A service with TLS, and a CA that is all the system trusts."""
        made = Authority(self.etc / "ca")
        trusted = self.etc / "ssl/certs"
        trusted.mkdir(parents=True)
        shutil.copy(made.ca[0], trusted / "ca-certificates.crt")
        for name, san, folder in (("secure", "DNS:secure.test", "www"), ("client", "DNS:client.test", "outrider")):
            for file in made.signed(name, san):
                shutil.copy(file, self.etc / folder)
        shutil.copy(made.ca[0], self.etc / "www")
        shutil.copy(harness.HERE / "tls_server.py", self.etc / "www")
        (units / "secure.service").write_text(TLS_SERVICE)
        (self.etc / "outrider/secure.json").write_text(TLS_CONFIG)
        self.key = self.etc / "outrider/client.key"

    def _leader(self):
        check(self.container.running(), lambda: self.container.text().strip() or "it ended")
        tasks = pathlib.Path(f"/proc/{self.container.pid}/task/{self.container.pid}")
        children = (tasks / "children").read_text().split()
        named = [pid for pid in children if harness.name_of(pid) == "systemd"]
        return int(named[0]) if named else None

    def _up(self):
        return self.run("systemctl", "is-system-running")[1].strip() in ("running", "degraded")

    def run(self, *argv, timeout=harness.DEADLINE_S):
        enter = ["nsenter", f"--target={self.leader}", "--all", "--"]
        return harness.run(enter + [str(word) for word in argv], may_fail=True, timeout=timeout)

    def systemctl(self, *words):
        status, text = self.run("systemctl", *words, timeout=40)
        check(status == 0, lambda: f"systemctl {' '.join(words)}: {text}\n{self.journal()}")

    def show(self, unit, what):
        return self.run("systemctl", "show", "--value", "-p", what, unit)[1].strip()

    def at(self, unit, what):
        """A moment of a unit, in seconds since the boot."""
        return int(self.show(unit, what + "TimestampMonotonic")) / 1e6

    def logged(self, unit, begins):
        """When systemd last said this of a unit, in seconds since the boot."""

        def found():
            said = self.run("journalctl", "--no-pager", "-o", "json", "-u", unit, "_PID=1")[1]
            entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            return [one for one in entries if begins in one["MESSAGE"]]

        # The journal may be a moment behind.
        last = harness.wait_for(f"{begins!r} in the journal of {unit}", found)[-1]
        return int(last["__MONOTONIC_TIMESTAMP"]) / 1e6

    def active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def says(self, unit, word):
        """Waits until the unit's status has this word; it follows within a second."""
        harness.wait_for(word, lambda: word in self.show(unit, "StatusText").split())

    def hello(self, port=53):
        argv = ["dig", "@127.0.0.55", "-p", port, "+short", "+time=1", "+tries=1", "hello.svc"]
        return self.run(*argv)[1].split() == ["127.0.0.1"]

    def journal(self):
        return self.run("journalctl", "--no-pager", "-n", "40", "-o", "short-monotonic")[1]

    def off(self):
        self.container.send(signal.SIGRTMIN + 4)  # what systemd takes for "power off"


def boot(world):
    harness.need("systemd-nspawn", "dig")
    if not harness.as_root():
        raise harness.Skip("a container with systemd needs root")
    machine = Machine(world)
    agent = "outrider@hello.service"
    with world.step("the host's agent starts, with port 53 from its socket", vital=True) as say:
        machine.systemctl("start", "outrider-dns.socket", "outrider.service")
        machine.says("outrider.service", "127.0.0.55:53")
        say(machine.show("outrider.service", "StatusText"))
    with world.step("while the service runs, the command that doctor prints gives it port 53") as say:
        machine.systemctl("stop", "outrider-dns.socket", "outrider.service")
        machine.systemctl("start", "outrider.service")
        said = machine.run("/etc/outrider-bin/outrider", "doctor")[1]
        command = re.search(r"run: (systemctl [^;\n]*)", said)
        check(command and "port 53" in said, said)
        say(command[1])
        status, text = machine.run("sh", "-c", command[1], timeout=40)
        check(status == 0, lambda: f"{text}\n{machine.journal()}")
        machine.says("outrider.service", "127.0.0.55:53")
        equal(machine.run("systemctl", "is-enabled", "outrider.service")[1].strip(), "enabled", "outrider.service")
    with world.step("dns install and dns status say which units are missing after the next boot"):
        outrider = lambda *words: machine.run("/etc/outrider-bin/outrider", *words, timeout=40)
        units = "outrider-dns.socket and outrider.service are not enabled"
        machine.systemctl("disable", "outrider-dns.socket", "outrider.service")
        machine.run("sh", "-c", "echo nameserver 192.0.2.1 >/etc/resolv.conf")
        status, said = outrider("dns", "install", "--yes")
        check(status == 0 and units in said, said)
        check(units in outrider("dns", "status")[1] and units in outrider("doctor")[1], "not said later")
        command = re.search(r"run: (systemctl enable [^\n]*)", said)[1]
        equal(machine.run("sh", "-c", command)[0], 0, command)
        check(units not in outrider("dns", "status")[1], "still said")
        record = machine.run("stat", "-c", "%U %a", "/var/lib/outrider-dns", "/var/lib/outrider-dns/install.json")[1]
        equal(record.split(), ["root", "755", "root", "644"], "the record")
        equal(outrider("dns", "remove")[0], 0, "dns remove")
    with world.step("the sandbox is on: no capability, no new privileges, seccomp, its own user"):
        pid = machine.show("outrider.service", "MainPID")
        said = dict(line.split(":\t", 1) for line in machine.run("cat", f"/proc/{pid}/status")[1].splitlines())
        equal(int(said["CapEff"], 16), 0, "CapEff")
        equal((said["NoNewPrivs"], said["Seccomp"]), ("1", "2"), "NoNewPrivs, Seccomp")
        check(said["Uid"].split()[0] != "0", "runs as root")
    with world.step("enabled beside its service, the agent starts after it") as say:
        machine.systemctl("enable", agent)
        machine.systemctl("start", "hello.service")
        harness.wait_for("the agent", lambda: machine.active(agent))
        service, beside = machine.at("hello.service", "ActiveEnter"), machine.at(agent, "ActiveEnter")
        say(f"{1000 * (beside - service):.0f} ms after")
        check(service < beside, f"{service} {beside}")
    with world.step("hello.svc through port 53 of the host's agent"):
        harness.wait_for("an answer", machine.hello)
    with world.step("systemctl stop: the agent drains and ends, and only then the service") as say:
        machine.systemctl("stop", "hello.service")
        asked = machine.logged(agent, "Stopping")
        gone = machine.logged(agent, "Deactivated successfully")
        service = machine.logged("hello.service", "Stopping")
        say(f"drained for {gone - asked:.2f} s, the service is told {1000 * (service - gone):.0f} ms after")
        check(asked < gone <= service, f"agent {asked} to {gone}, service {service}")
        check(not machine.hello(), "hello.svc is still answered")
    with world.step("kill -9 of the service: both come back") as say:
        machine.systemctl("start", "hello.service")
        harness.wait_for("an answer", machine.hello)
        machine.systemctl("kill", "-s", "KILL", "hello.service")
        harness.wait_for("a restart", lambda: machine.show("hello.service", "NRestarts") == "1", 30)
        harness.wait_for("the agent", lambda: machine.active(agent), 30)
        harness.wait_for("an answer", machine.hello)
    with world.step("an agent that hangs is restarted by the watchdog, its service untouched") as say:
        service = machine.show("hello.service", "MainPID")
        machine.systemctl("kill", "-s", "STOP", agent)
        harness.wait_for("a restart", lambda: machine.show(agent, "NRestarts") == "1", 30)
        harness.wait_for("the agent", lambda: machine.active(agent), 30)
        harness.wait_for("an answer", machine.hello)
        equal(machine.show("hello.service", "MainPID"), service, "main process of the service")
    with world.step("SIGHUP reloads, and the unit says so"):
        machine.systemctl("reload", agent)
        check(machine.active(agent), "not active")
    with world.step("https with a client certificate: the key is root's and the agent's group alone"):
        group = int(machine.run("id", "-g", "outrider")[1])
        os.chown(machine.key, 0, group)
        machine.key.chmod(0o640)
        machine.systemctl("start", "secure.service", "outrider@secure.service")
        status = lambda: machine.show("outrider@secure.service", "StatusText")
        harness.wait_for("1 of 1 served", lambda: "own: 1 of 1 served" in status())
    with world.step("doctor names a configuration that would fail at the next start, and why a unit has failed") as say:
        doctor = lambda: machine.run("/etc/outrider-bin/outrider", "doctor")[1]
        good = machine.config.read_text()
        machine.config.write_text('{"services": [{"nam": "hello"}]}\n')
        said = re.search(r"outrider@hello.service would not start with its present configuration: .*", doctor())
        check(said and "services[0].nam:" in said[0], said and said[0])
        machine.run("systemctl", "restart", agent, timeout=40)
        why = re.search(r"outrider@hello.service has failed: (.*)", doctor())
        check(why and "services[0].nam:" in why[1], why and why[1])
        say(why[1])
        machine.config.write_text(good)
        machine.config.chmod(0o600)
        said = machine.run("/etc/outrider-bin/outrider", "config", "check", "--config", "/etc/outrider/hello.json")[1]
        check("the user outrider cannot read it" in said, said)
        machine.config.chmod(0o644)
    with world.step("doctor names an agent that is enabled beside a service that does not exist"):
        machine.systemctl("enable", "outrider@nothing.service")
        check("there is no nothing.service" in doctor(), "not named")
        machine.systemctl("disable", "outrider@nothing.service")
        check("there is no nothing.service" not in doctor(), "still named")
    with world.step("power off"):
        machine.off()
        machine.container.wait(30)


def scenario(world):
    harness.need("systemd-analyze")
    sandbox(world)
    boot(world)


if __name__ == "__main__":
    harness.main(scenario)
