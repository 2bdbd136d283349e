#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider dns install` and `remove` with the programs that read what they write: the resolver of the C library with a
plain resolv.conf, dnsmasq by itself and as NetworkManager runs it, and systemd-resolved. What was there before comes
back to the last byte."""

import os
import pathlib
import re
import stat

import harness
import unpacked
from harness import Skip, check, equal, wait_for

BEFORE = "# of the test\nsearch lan\nnameserver 192.0.2.1\noptions timeout:1 attempts:1\n"
LOCAL = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"
SERVICES = [{"name": "hello", "port": 8000}]

WORLD = "93.184.216.34"

# The nameserver of the network: every name has one address, and the root has a nameserver.
NAMESERVER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    query, client = s.recvfrom(4096)
    end = 12
    while query[end]:
        end += query[end] + 1
    question = query[12:end + 5]
    kind = int.from_bytes(question[-4:-2], "big")
    data = {1: socket.inet_aton(sys.argv[2]), 2: b"\\1a\\0"}.get(kind)
    answer = b"\\xc0\\x0c" + question[-4:] + b"\\0\\0\\0\\x3c" + len(data).to_bytes(2, "big") + data if data else b""
    counts = bytes([0, 1, 0, 1 if data else 0, 0, 0, 0, 0])
    s.sendto(query[:2] + b"\\x81\\x80" + counts + question + answer, client)
"""

# Plays the one command that is asked of it, with the real daemon.
SYSTEMCTL = """#!/bin/sh
[ "$1" = --version ] && exec /usr/bin/systemctl --version
echo "$@" >>{folder}/systemctl.log
[ "$*" = "restart systemd-resolved" ] || exit 1
[ -f {folder}/resolved.pid ] && kill $(cat {folder}/resolved.pid)
rm -f {folder}/resolved.log
setsid {daemon} </dev/null >{folder}/resolved.log 2>&1 &
echo $! >{folder}/resolved.pid
for i in $(seq 100); do
  ss -Huln src 127.0.0.53:53 | grep -q . && exit 0
  sleep 0.05
done
exit 1
"""


def found(host, name):
    return host.run(["getent", "ahostsv4", name], may_fail=True)[1].split(" ")[0]


def snapshot(folder):
    """Everything below a folder: what it is, whose, and its bytes."""
    out = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else os.readlink(path) if path.is_symlink() else None
        out[str(path)] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, content)
    return out


def with_dnsmasq(host, other, profile, configuration):
    """Installs under a root of its own, and lets a real dnsmasq read what was written."""
    if host.run(["dnsmasq", "--version"], may_fail=True)[0] != 0:
        raise Skip("dnsmasq is not there")
    root = host.dir / profile
    for path, text in {"etc/resolv.conf": "nameserver 127.0.0.1\n", **configuration}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    before = snapshot(root)
    status, text = host.outrider("dns", "install", "--root", root, "--yes")
    equal(status, 0, text)
    check(text.startswith(f"profile {profile}"), text)
    folder = next(path.parent for path in root.rglob("outrider.conf"))
    options = ["--no-resolv", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", "--log-facility=-"]
    dnsmasq = host.start("dnsmasq", ["dnsmasq", "-k", f"--conf-dir={folder}", "--pid-file=", *options])
    dnsmasq.wait_line("started")
    (host.dir / "resolv.conf").write_text(LOCAL)
    harness.wait_for("hello.svc is found", lambda: found(host, "hello.svc") in (host.ip4, other.ip4))
    dnsmasq.stop()
    status, text = host.outrider("dns", "remove", "--root", root)
    equal(status, 0, text)
    equal(snapshot(root), before, "files afterwards")


def with_resolved(host):
    daemon, _ = unpacked.program("lib/systemd/systemd-resolved", "systemd-resolved")
    # Folders of its own where it writes, and a systemctl that restarts the daemon without systemd.
    for folder in ("/etc/systemd", "/var/lib"):
        host.run(["mount", "-t", "tmpfs", "tmpfs", folder])
    host.run(["mkdir", "/run/systemd"])
    tools = host.dir / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL.format(folder=host.dir, daemon=daemon))
    (tools / "systemctl").chmod(0o755)
    env = {"PATH": f"{tools}:{host.env['PATH']}"}
    (host.dir / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:2 attempts:1\n")

    def there():
        return host.run(["find", "/etc/systemd", "/var/lib", "/etc/resolv.conf", "-printf", "%p %m %U %s\\n"])[1]

    before = there()
    status, text = host.outrider("dns", "install", "--yes", env=env, timeout=30)
    equal(status, 0, text)
    check(text.startswith("profile resolved") and "ran: systemctl restart systemd-resolved" in text, text)
    written = host.run(["cat", "/etc/systemd/resolved.conf.d/outrider.conf"])[1]
    equal(written, "[Resolve]\nDNS=127.0.0.55:5370\nDomains=~svc\n", "what was written")
    check(found(host, "hello.svc") == host.ip4, "getaddrinfo through systemd-resolved")
    equal(host.outrider("dns", "status", env=env)[0], 0, "status")
    status, text = host.outrider("dns", "remove", env=env, timeout=30)
    equal(status, 0, text)
    equal(there(), before, "files afterwards")
    equal((host.dir / "systemctl.log").read_text(), "restart systemd-resolved\n" * 2, "what systemctl was told")
    equal(found(host, "hello.svc"), "", "hello.svc afterwards")


def on_terminal(host, command, types=b""):
    """Runs a command line as printed, on a terminal, where `types` is typed; its exit status and output."""
    ours, its = os.openpty()
    os.write(ours, types)
    program = host.start("typed", ["sh", "-c", command], stdin=its)
    os.close(its)
    status = program.wait(30)
    os.close(ours)
    return status, program.text()


def doctors_advice(world, network):
    """From a fresh host to working names, by nothing but what doctor prints."""
    host = world.host("fresh")
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    (host.dir / "bin").mkdir()
    (host.dir / "bin/outrider").symlink_to(world.outrider)
    host.env["PATH"] = f"{host.dir}/bin:{host.env['PATH']}"
    resolv_conf = host.dir / "resolv.conf"
    resolv_conf.write_text(f"nameserver {network.ip4}\noptions timeout:1 attempts:1\n")
    before = resolv_conf.read_text()
    steps = []
    with world.step("doctor: each step as it is printed, from a fresh host to working names") as say:
        for _ in range(6):
            status, said = host.outrider("doctor", "--domain", "svc")
            commands = re.findall(r"^      .*\brun: (.+)$", said, re.MULTILINE)
            if status == 0 or not commands:
                break
            steps.append(commands[0])
            if commands[0].startswith("outrider agent"):
                host.start("agent", ["sh", "-c", "exec " + commands[0]]).wait_line("event=agent_ready")
            else:
                equal(on_terminal(host, commands[0], b"y\n")[0], 0, f"exit status of {commands[0]}")
        say("; ".join(steps))
        equal(status, 0, said)
        check(steps, "doctor found nothing to do")
    with world.step("then programs resolve names of services and of the world"):
        config = host.dir / "hello.json"
        config.write_text('{"name": "hello", "port": 8000}')
        equal(host.outrider("register", config)[0], 0, "register")
        wait_for("hello.svc", lambda: found(host, "hello.svc") == host.ip4)
        wait_for("another name", lambda: found(host, "www.example.com") == WORLD)
    with world.step("another nameserver beside the agent is found, and dns install takes it out"):
        resolv_conf.write_text(f"nameserver {network.ip4}\n" + resolv_conf.read_text())
        status, said = host.outrider("doctor")
        check(status == 1 and "the agent and other nameservers" in said, said)
        command = re.search(r"^      .*\brun: (.+)$", said, re.MULTILINE)[1]
        equal(on_terminal(host, command, b"y\n")[0], 0, f"exit status of {command}")
        check(network.ip4 not in resolv_conf.read_text(), resolv_conf.read_text())
        equal(host.outrider("doctor")[0], 0, "doctor")
    with world.step("dns remove restores the host"):
        equal(host.outrider("dns", "remove")[0], 0, "status")
        equal(resolv_conf.read_text(), before, "resolv.conf")
        equal(found(host, "www.example.com"), WORLD, "another name")


def plain_failures(world, network):
    """What goes wrong leaves the host as it was."""
    host = world.host("plain")
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    resolv_conf = host.dir / "resolv.conf"
    before = f"nameserver {network.ip4}\noptions timeout:1 attempts:1\n"
    resolv_conf.write_text(before)

    def left():
        return host.run(["find", "/var/lib", "-mindepth", "1"])[1]

    with world.step("without an agent nothing is changed"):
        status, said = host.outrider("dns", "install", "--yes")
        equal(status, 1, said)
        check("nothing was changed, because no agent answers on 127.0.0.55:53" in said, said)
        equal((resolv_conf.read_text(), left()), (before, ""), "resolv.conf and /var/lib")
    with world.step("another program on port 53 is named"):
        hold = "import socket,time; s=socket.socket(2,2); s.bind(('',53)); print('held',flush=True); time.sleep(60)"
        holder = host.start("holder", [harness.PYTHON, "-c", hold])
        holder.wait_line("^held$")
        said = host.outrider("dns", "install", "--yes")[1]
        check(f"port 53 is in use by python3 (pid {holder.pid})" in said, said)
        holder.stop()
    listen = {"listen": ["127.0.0.55:53"]}
    with world.step("an agent that does not forward is noticed, and everything put back"):
        agent = host.agent({"dns": {**listen, "forward": "off"}, "mdns": {"provider": "off"}})
        agent.wait_line("event=dns_listening")
        status, said = host.outrider("dns", "install", "--yes", timeout=30)
        equal(status, 1, said)
        check("other names do not resolve" in said and "every file is as it was before" in said, said)
        equal((resolv_conf.read_text(), left()), (before, ""), "resolv.conf and /var/lib")
        equal(found(host, "www.example.com"), WORLD, "another name")
        agent.stop()
    agent = host.agent({"dns": listen, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"}})
    agent.wait_line("event=dns_listening")
    with world.step("the nameservers of before become the upstream, also after a restart of the agent"):
        status, said = host.outrider("dns", "install", "--yes", timeout=30)
        equal(status, 0, said)
        equal(found(host, "www.example.com"), WORLD, "another name")
        agent.stop()
        agent = host.agent({"dns": listen, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"}})
        agent.wait_line(f"forwarding_changed on=true upstreams={network.ip4}:53")
        agent.wait_line("event=agent_ready")
        equal(found(host, "www.example.com"), WORLD, "another name after the restart")
    with world.step("a record that another user can have written is refused, and nothing is changed"):
        record = "/var/lib/outrider-dns/install.json"
        host.run(["chown", "65534", record])
        for words in (["install", "--yes"], ["remove"], ["status"]):
            status, said = host.outrider("dns", *words)
            check(status == 1 and f"{record} is not trusted: it belongs to the user with id 65534" in said, said)
        check("is not trusted" in host.outrider("doctor")[1], "doctor does not say so")
        host.run(["chown", "0", record])
        check(record in left() and "nameserver 127.0.0.55\n" in resolv_conf.read_text(), left())
    with world.step("when DHCP has rewritten resolv.conf, install works again, and so does remove"):
        rewritten = f"# written by dhclient\nnameserver {network.ip4}\noptions timeout:1 attempts:1\n"
        resolv_conf.write_text(rewritten)
        check("dns install" in host.outrider("dns", "status")[1], host.outrider("dns", "status")[1])
        status, said = host.outrider("dns", "install", "--yes", timeout=30)
        equal(status, 0, said)
        check("nameserver 127.0.0.55\n" in resolv_conf.read_text(), resolv_conf.read_text())
        rewritten = rewritten.replace("dhclient", "dhcpcd")
        resolv_conf.write_text(rewritten)
        status, said = host.outrider("dns", "remove")
        equal(status, 0, said)
        check("was rewritten since" in said, said)
        equal((resolv_conf.read_text(), left()), (rewritten, ""), "resolv.conf and /var/lib")
    agent.stop()


def scenario(world):
    network = world.host("network")
    network.start("nameserver", [harness.PYTHON, "-c", NAMESERVER, network.ip4, WORLD]).wait_line("^ready$")
    doctors_advice(world, network)
    plain_failures(world, network)
    a = world.host("a")
    # /var/lib of its own, for the record of what was there before.
    a.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    resolv_conf = a.dir / "resolv.conf"
    resolv_conf.write_text(BEFORE)
    dns = {"listen": ["127.0.0.55:53"], "forward": "on", "upstream": ["192.0.2.1"]}
    a.agent({"dns": dns, "services": SERVICES}).wait_line("event=agent_ready")

    with world.step("plain: shown without being asked to write, and nothing written"):
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53")
        equal(status, 1, text)
        check("-nameserver 192.0.2.1\n+nameserver 127.0.0.55\n" in text, text)
        equal(resolv_conf.read_text(), BEFORE, "resolv.conf")

    with world.step("plain: installed, and programs find services"):
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--yes")
        equal(status, 0, text)
        equal(resolv_conf.read_text(), BEFORE.replace("192.0.2.1", "127.0.0.55"), "resolv.conf")
        equal(found(a, "hello.svc"), a.ip4, "getaddrinfo")
        equal(a.outrider("dns", "status")[0], 0, "status")
        equal(a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--yes")[0], 1, "installed twice")

    with world.step("doctor is content with it"):
        text = a.outrider("doctor")[1]
        check("programs resolve ns.svc" in text and "bad" not in text, text)

    with world.step("plain: removed, and exactly what it was"):
        status, text = a.outrider("dns", "remove")
        equal(status, 0, text)
        equal(resolv_conf.read_text(), BEFORE, "resolv.conf")
        equal(a.run(["find", "/var/lib", "-mindepth", "1"])[1], "", "left in /var/lib")
        equal(a.outrider("dns", "remove")[0], 1, "removed twice")

    with world.step("plain: what cannot be written is left, with nothing to undo"):
        a.run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"])
        a.run(["mount", "-o", "remount,bind,ro", "/etc/resolv.conf"])
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--yes")
        check(status == 1 and "nothing was changed" in text, text)
        a.run(["umount", "/etc/resolv.conf"])
        equal(a.run(["find", "/var/lib", "-mindepth", "1"])[1], "", "left in /var/lib")
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--domain", "svc/1.2.3.4", "--yes")
        equal(status, 2, text)

    b = world.host("b")
    b.agent({"services": SERVICES}).wait_line("event=agent_ready")
    with world.step("dnsmasq asks the agent for its domain alone; removed without a trace"):
        with_dnsmasq(b, a, "dnsmasq", {"etc/dnsmasq.conf": ""})
    with world.step("NetworkManager's dnsmasq does, run as NetworkManager runs it; removed without a trace"):
        with_dnsmasq(b, a, "networkmanager", {"etc/NetworkManager/NetworkManager.conf": "[main]\ndns=dnsmasq\n"})

    c = world.host("c")
    c.agent({"services": [{"name": "hello", "port": 8000}], "mdns": {"provider": "off"}}).wait_line("event=agent_ready")
    with world.step("doctor finds another nameserver beside the agent, and a holder of UDP 5353"):
        ours = "options timeout:1 attempts:1\nnameserver 127.0.0.55\n"
        (c.dir / "resolv.conf").write_text(ours + "nameserver 192.0.2.1\n")
        hold = "import socket,time; s=socket.socket(2,2); s.bind(('',5353)); print('held',flush=True); time.sleep(60)"
        holder = c.start("holder", [harness.PYTHON, "-c", hold])
        holder.wait_line("^held$")
        text = c.outrider("doctor")[1]
        check("the agent and other nameservers" in text and "which does not share it" in text, text)
        holder.stop()
        (c.dir / "resolv.conf").write_text(ours)
        text = c.outrider("doctor")[1]
        check("no name resolves on this host" in text and "which does not share it" not in text, text)
        second = c.start("second", [world.outrider, "agent", "--set", "dns.listen=127.0.0.55:53", "--set",
                                    "dns.forward=off", "--set", "mdns.provider=off"])
        second.wait_line("event=agent_ready")
        text = c.outrider("doctor")[1]
        check("has no upstream" in text and "no name resolves" not in text, text)
        second.stop()

    with world.step("systemd-resolved asks the agent for its domain; removed without a trace"):
        with_resolved(c)


if __name__ == "__main__":
    unpacked.fetch("systemd-resolved")
    harness.main(scenario)
