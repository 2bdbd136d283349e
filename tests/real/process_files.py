#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What surrounds the agent's process: a log that no reader empties, standard streams that are closed, sockets, tokens
and directories that disappear, agents that start together, users without access to the socket, and other than regular
files."""

import json
import os
import pathlib
import re
import signal

import harness
from harness import Skip, check, equal, wait_for

PORT = 5370
QUIET = {"mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"}}
HELLO = {"services": [{"name": "hello", "port": 8000}]}
AGENT = {**QUIET, **HELLO}

# Starts the agent with standard error in a pipe that is full and has a reader that does not read; its standard input
# tells when to read. Prints what came out then.
UNREAD = """
import fcntl, os, subprocess, sys
reader, writer = os.pipe()
fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, b"." * 512)
except BlockingIOError:
    pass
os.set_blocking(writer, True)
agent = subprocess.Popen(sys.argv[1:], stderr=writer, stdout=subprocess.DEVNULL)
os.close(writer)
print("started", agent.pid, flush=True)
sys.stdin.readline()
os.set_blocking(reader, False)
print("read", len(os.read(reader, 1 << 20)), flush=True)
os.set_blocking(reader, True)
for line in os.fdopen(reader):
    print(line, end="", flush=True)
"""


def answers(host):
    return host.dig("hello.svc", port=PORT).data("A") == [host.ip4]


def unread_log(world, host):
    with world.step("an agent whose log no reader empties starts, answers and takes registrations", vital=True):
        read_end, write_end = os.pipe()
        config = host.dir / "unread.json"
        config.write_text(json.dumps({**AGENT, "log": {"level": "debug"}}))
        outer = host.start("unread", [harness.PYTHON, "-c", UNREAD, world.outrider, "agent", "--config", config],
                           stdin=read_end)
        os.close(read_end)
        wait_for("an answer", lambda: answers(host))
        for _ in range(20):
            equal(host.outrider("services")[0], 0, "services")
    with world.step("once the log is read, the agent says how many lines are missing") as say:
        os.write(write_end, b"\n")
        outer.wait_line("^read")
        host.outrider("services")
        said = outer.wait_line("log_lost lines=")[1]
        say(said.split("log_lost ")[1])
    os.close(write_end)
    pid = int(re.search(r"started (\d+)", outer.text())[1])
    host.run(["kill", pid])
    outer.wait()


def closed_streams(world, host):
    for closed in ("2>&-", "<&- >&- 2>&-", "<&-", ">&-"):
        with world.step(f"an agent that was started with {closed} runs and ends with status 0"):
            config = host.dir / "closed.json"
            config.write_text(json.dumps(AGENT))
            command = f'exec "$0" agent --config "$1" {closed}'
            agent = host.start("closed", ["sh", "-c", command, world.outrider, config])
            wait_for("an answer", lambda: answers(host))
            folder = pathlib.Path(f"/proc/{agent.pid}/fd")
            for fd in range(3):
                target = os.readlink(folder / str(fd))
                check("pipe" in target or target == "/dev/null", f"descriptor {fd} is {target}")
            equal(agent.stop(), 0, "exit status")


def files_that_disappear(world, host):
    folder = host.dir / "outrider"
    agent = host.agent({**AGENT, "api": {"consul_listen": ["127.0.0.1:8500"]}})
    wait_for("an answer", lambda: answers(host))
    token = (folder / "token").read_text()

    def well():
        return host.outrider("services")[0] == 0

    for what, remove in (
        ("its control socket", lambda: (folder / "agent.sock").unlink()),
        ("its token file", lambda: (folder / "token").unlink()),
        # Moved away at once: the agent is quicker than rm -r.
        ("its run-time directory", lambda: folder.rename(host.dir / "gone")),
    ):
        with world.step(f"an agent makes {what} again") as say:
            since = agent.mark()
            remove()
            agent.wait_line("api_file_lost", since=since)
            wait_for("the command line finds it", well)
            wait_for("the token is the same",
                     lambda: (folder / "token").exists() and (folder / "token").read_text() == token)
    agent.stop()


def tokens(world, host):
    with world.step("agents that start together have one token, which each of them accepts"):
        agents = [host.agent({**QUIET, "dns": {"listen": []}, "api": {"consul_listen": [f"127.0.0.1:{8501 + n}"]}})
                  for n in range(6)]
        for agent in agents:
            agent.wait_line(r"api_listening address=127\.0\.0\.1:85")
        token = (host.dir / "outrider/token").read_text().strip()
        for n in range(len(agents)):
            put = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT",
                   "-H", f"X-Consul-Token: {token}",
                   f"http://127.0.0.1:{8501 + n}/v1/agent/service/deregister/none"]
            equal(host.run(put)[1], "404", f"answer of agent {n + 1}")
        for agent in agents:
            agent.stop()


def many_places(world, host):
    with world.step("the command line finds outrider@NAME"):
        host.run(["mkdir", "-p", "/run/outrider"])
        agent = host.start("named", [world.outrider, "agent", "--set", "mdns.provider=off", "--set", "dns.listen=[]"],
                           env={"RUNTIME_DIRECTORY": "/run/outrider/orders"})
        agent.wait_line("api_listening", 15)
        equal(host.outrider("status")[0], 0, "status")
        agent.stop()
    with world.step("an abstract socket is refused, for it has no permissions"):
        agent = host.agent({**QUIET, "api": {"socket": "@outrider"}})
        equal(agent.wait(), 2, "exit status")
        check("abstract" in agent.text(), agent.text())


def other_users(world, host):
    if not harness.as_root():
        raise Skip("only root can become another user")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-u", "XDG_RUNTIME_DIR"]
    agent = host.start("host", [world.outrider, "agent", "--set", "mdns.provider=off"],
                       env={"RUNTIME_DIRECTORY": "/run/outrider"})
    agent.wait_line("api_listening")
    agent.wait_line("dns_listening")
    with world.step("who may not use the host's agent is told so, and what to do: exit status 5"):
        with open(host.dir / "group", "a") as groups:
            groups.write("outrider:x:4321:\n")
        host.run(["chgrp", "4321", "/run/outrider", "/run/outrider/agent.sock"])
        for words in (["services"], ["why", "hello"], ["watch"], ["drain"]):
            status, said = host.run([*nobody, world.outrider, *words], may_fail=True)
            equal(status, 5, f"exit status of {words}: {said}")
            check("not permitted" in said and "members of the group outrider" in said, said)
        said = host.run([*nobody, world.outrider, "doctor"], may_fail=True)[1]
        equal(said.count("not permitted"), 1, said)
        check("an agent answers DNS on 127.0.0.55:5370" in said and "first make" not in said, said)
        check("no agent is running" not in said, said)
    with world.step("sharing the DNS port with the host's agent is no error"):
        run = host.start("run", [*nobody, world.outrider, "run", "--set", "mdns.provider=off", "--name", "mine",
                                 "--port", "8200", "--", harness.PYTHON, "-m", "http.server", "8200"])
        run.wait_line("dns_shared")
        check("dns_bind_failed" not in run.text(), run.text())
        said = host.run([*nobody, world.outrider, "doctor"], may_fail=True)[1]
        check("another user's agent answers DNS on 127.0.0.55:5370" in said, said)
        run.stop()
    agent.stop()
    with world.step("without any agent it is still status 3"):
        host.run(["rm", "-r", "/run/outrider"])
        equal(host.outrider("services")[0], 3, "exit status")


def no_files(world, host):
    folder = host.dir / "conf.d"
    folder.mkdir()
    (folder / "10.json").write_text(json.dumps(AGENT))
    agent = host.start("folder", [world.outrider, "agent", "--config", folder])
    wait_for("an answer", lambda: answers(host))
    with world.step("a FIFO among the configuration is refused at SIGHUP, with the reason, and DNS goes on"):
        os.mkfifo(folder / "20.json")
        since = agent.mark()
        agent.send(signal.SIGHUP)
        said = agent.wait_line("config_refused", since=since)[1]
        check("20.json: not a regular file" in said, said)
        check(answers(host), "no answer")
        (folder / "20.json").unlink()
    with world.step("a FIFO in place of resolv.conf does no harm"):
        os.mkfifo(host.dir / "fifo")
        host.run(["mount", "--bind", host.dir / "fifo", "/etc/resolv.conf"])
        other = host.agent(QUIET)
        other.wait_line("event=agent_ready")
        equal(host.outrider("services")[0], 0, "services")
        equal(other.stop(), 0, "exit status")
        host.run(["umount", "/etc/resolv.conf"])
    with world.step("hidden files are not read; what is wrong in others is in the log"):
        (folder / ".30.json").write_text("{")
        since = agent.mark()
        agent.send(signal.SIGHUP)
        agent.wait_line("config_reloaded", since=since)
        (folder / "30.json").write_text('{"dns": {"tll": "5s"}}')
        since = agent.mark()
        agent.send(signal.SIGHUP)
        said = agent.wait_line("config_refused", since=since)[1]
        check("dns.tll: unknown key" in said, said)
    agent.stop()


def link_down(world):
    host = world.host("c")
    host.agent(HELLO).wait_line("event=agent_ready")
    with world.step("doctor names the interfaces that mDNS uses, and says when there is none"):
        said = host.outrider("doctor")[1]
        check("mDNS is running: eth0\n" in said, said)
        host.cable(False)
        wait_for("doctor knows", lambda: "no network, only agents of this host" in host.outrider("doctor")[1])
        said = host.outrider("doctor")[1]
        check("eth0 has no carrier" in said and "multicast works" not in said, said)
        host.cable(True)
        wait_for("doctor knows", lambda: "mDNS is running: eth0\n" in host.outrider("doctor")[1])


def scenario(world):
    harness.need("dig", "curl", "setpriv")
    host = world.host("a")
    unread_log(world, host)
    closed_streams(world, host)
    files_that_disappear(world, host)
    tokens(world, host)
    many_places(world, host)
    no_files(world, host)
    other_users(world, world.host("b"))
    link_down(world)


if __name__ == "__main__":
    harness.main(scenario)
