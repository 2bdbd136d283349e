#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Several agents on one host: the DNS address that they share, what they know of each other, and programs that only
their host can reach."""

import json
import os
import pathlib
import re
import shutil
import signal
import time

import harness
from harness import check, equal, wait_for

QUERIES = 40
PORT = 5370


def stopped(program):
    return "State:\tT" in pathlib.Path(f"/proc/{program.pid}/status").read_text()


def suspended_agent(world):
    """Ctrl-Z, or kill -TSTP, on one of two agents."""
    a = world.host("a")
    config = {"services": [{"name": "hello", "port": 8000}],
              "mdns": {"provider": "off"},
              "lifecycle": {"drain": "0s"}}
    first, second = (a.agent(config, process_group=0) for _ in range(2))
    for agent in (first, second):
        agent.wait_line("dns_listening")
        agent.wait_line("api_listening")
    # The one whose socket the command line tries first.
    if "/agent.sock" not in first.text():
        first, second = second, first

    def answers():
        return [a.dig("hello.svc", port=PORT).status for _ in range(QUERIES)]

    with world.step("a suspended agent takes no queries from the other one") as say:
        first.send(signal.SIGTSTP)
        wait_for("the agent is stopped", lambda: stopped(first))
        got = answers()
        say(f"{got.count('NOERROR')} of {QUERIES} answered")
        equal(got, ["NOERROR"] * QUERIES, "answers")
    with world.step("the command line asks the other agent"):
        status, said = a.outrider("instances", "hello")
        check(status == 0 and "passing" in said, said)
    with world.step("the agent that goes on answers again"):
        since = first.mark()
        first.send(signal.SIGCONT)
        first.wait_line("dns_listening", since=since)
        second.stop()
        equal(answers(), ["NOERROR"] * QUERIES, "answers")
    with world.step("a suspended agent that is asked to end while it sleeps ends when it goes on"):
        first.send(signal.SIGTSTP)
        wait_for("the agent is stopped", lambda: stopped(first))
        first.send(signal.SIGTERM)
        first.send(signal.SIGCONT)
        equal(first.wait(), 0, "exit status")
    check(not first.running(), "the first agent still runs")


def loopback_only(world):
    """A program with a default of 127.0.0.1: healthy for its own host, refused for all others."""
    a, b = world.host("c"), world.host("d")
    b.agent()
    seen = b.watch_dns("vite.svc", port=PORT)
    seen.wait_line("^3$")
    server = [harness.PYTHON, "-m", "http.server", "8301", "--bind"]
    with world.step("a program on loopback only is registered for its host, with a hint in the log"):
        run = a.start("run", [world.outrider, "run", "--set", "lifecycle.drain=0s", "--name", "vite",
                              "--port", "8301", "--", *server, "127.0.0.1"])
        said = run.wait_line("exposure_limited")[1]
        check("0.0.0.0" in said, said)
        wait_for("its own host has it", lambda: a.dig("vite.svc", port=PORT).data("A") == ["127.0.0.1"])
    with world.step("why and doctor say so, and what to do"):
        for words in (["why", "vite"], ["doctor"]):
            said = a.outrider(*words)[1]
            check("listens on loopback only" in said and "0.0.0.0" in said, said)
    with world.step("no other host is sent there"):
        equal(b.dig("vite.svc", port=PORT).status, "NXDOMAIN", "status at the other host")
        run.stop()
    with world.step("a configured service is announced once its program listens on all addresses") as say:
        a.agent({"services": [{"name": "vite", "port": 8301, "checks": [{"tcp": "auto", "interval": "1s"}]}]})
        first = a.start("server", [*server, "127.0.0.1"])
        wait_for("its own host has it", lambda: a.dig("vite.svc", port=PORT).data("A") == ["127.0.0.1"])
        first.kill()
        second = a.start("server", [*server, "0.0.0.0"])
        second.wait_line("Serving HTTP")
        seen.wait_line(f"^0 {a.ip4}$")
    with world.step("a program that ignores $PORT is named with the port that it has"):
        run = a.start("run", [world.outrider, "run", "--set", "lifecycle.drain=0s", "--name", "other",
                              "--port", "8302", "--", "sh", "-c",
                              f"{harness.PYTHON} -m http.server 3000; true"])
        said = run.wait_line("exposure_limited")[1]
        check("use --port 3000" in said, said)
        run.stop()


def ask_all(host, name, agents):
    """The answers of each agent's API, and of DNS several times: all of them must be one."""
    sockets = [host.dir / "outrider" / ("agent.sock" if n == 1 else f"agent-{n}.sock")
               for n in range(1, agents + 1)]
    # An agent lists its own instances first.
    listed = {tuple(sorted(" ".join(line.split()[:2])
                           for line in host.outrider("instances", name, "--socket", socket)[1].splitlines()[1:]))
              for socket in sockets}
    answers = [host.dig(f"{name}.svc", port=PORT) for _ in range(QUERIES)]
    return listed, {(answer.status, tuple(answer.data("A"))) for answer in answers}


def other_names(host):
    """Two agents more, which name the host differently and have no DNS address in common."""
    def answers(name):
        said = [host.outrider("why", name, "--json", "--socket", socket)[1] for socket in sockets]
        why = [(entry["answer"], entry.get("ede")) for entry in (json.loads(one)["dns"][0] for one in said)]
        # The moment in it is that of the agent itself: not to the second.
        errors = [str(host.dig(f"{name}.svc", port=port).ede) for port in ports]
        return why, [re.sub(r":\d\dZ", "Z", error) for error in errors]

    def alike(name, wanted):
        why, errors = answers(name)
        return why[0][0] == why[1][0] and errors[0] == errors[1] and wanted in errors[0]

    ports, sockets, agents = (5371, 5372), [], []
    for port, name in zip(ports, ("alpha", "beta")):
        check_of = {"http": "/none", "interval": "200ms", "deregister_critical_after": "2s"}
        agent = host.agent({
            "node": {"name": name}, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
            "dns": {"listen": [f"127.0.0.55:{port}"]},
            "services": [{"name": "kept", "id": f"kept-{name}", "port": port, "checks": [
                             {**check_of, "deregister_critical_after": "0s"}]},
                         *[{"name": "lost", "id": "one", "port": port, "checks": [check_of]}] * (name == "alpha")]})
        sockets.append(agent.wait_line("api_listening")[1].split("address=")[1].split()[0])
        agents.append(agent)
    for name, wanted in (("kept", "2 known, 0 passing; kept-alpha: critical: cannot connect"),
                         ("lost", "0 known, 0 passing; last: one left")):
        wait_for(f"one reason for {name}", lambda: alike(name, wanted))
    host.outrider("maintenance", "kept-alpha", "on", "--socket", sockets[0])
    wait_for("one reason in maintenance", lambda: alike("kept", "kept-alpha: maintenance"))
    for agent in agents:
        agent.stop()


def one_view(world):
    """Programs of one user, each with an agent of its own, and no multicast at all."""
    a = world.host("e")
    run = [world.outrider, "run", "--set", "lifecycle.drain=0s", "--set", "mdns.provider=off", "--name"]
    server = ["--", harness.PYTHON, "-m", "http.server"]
    agents = 3
    with world.step("every agent of the host knows each instance, healthy or not", vital=True):
        a.start("one", [*run, "shop", "--port", "8401", *server, "8401"])
        a.start("two", [*run, "shop", "--port", "8402", *server, "8402"])
        failing = a.start("bad", [*run, "broken", "--port", "8403", "--health", "/none", *server, "8403"],
                          process_group=0)
        failing.wait_line("Serving HTTP")
        wait_for("one view of the healthy service",
                 lambda: ask_all(a, "shop", agents)[1] == {("NOERROR", (a.ip4,))}, 20)
        listed, _ = ask_all(a, "shop", agents)
        check(len(listed) == 1 and len(list(listed)[0]) == 2, f"{listed}")
    with world.step("a service that fails is answered alike by all: it exists, without addresses"):
        listed, answers = ask_all(a, "broken", agents)
        equal(answers, {("NOERROR", ())}, "answers")
        check(len(listed) == 1 and len(list(listed)[0]) == 1, f"{listed}")
    with world.step("why gives the same reason whichever agent is asked"):
        for socket in ("agent.sock", "agent-2.sock", "agent-3.sock"):
            said = a.outrider("why", "broken", "--socket", a.dir / "outrider" / socket)[1]
            check("404" in said, f"{socket}: {said}")
    with world.step("why and the extended error are the same from agents with other node names"):
        other_names(a)
    with world.step("a change reaches the agent that has the registration, whichever is asked first"):
        instances = json.loads(a.outrider("instances", "shop", "--json")[1])["instances"]
        for switch, health in (("on", "maintenance"), ("off", "passing")):
            for instance in instances:
                status, said = a.outrider("maintenance", instance["id"], switch)
                equal(status, 0, f"{instance['id']} {switch}: {said}")
            wait_for(health, lambda: a.outrider("instances", "shop")[1].count(health) == len(instances))
        equal(a.outrider("maintenance", "missing", "on")[0], 4, "exit status for an unknown id")
    with world.step("doctor says that multicast is sent and never heard"):
        a.drop("udp dport 5353")
        said = a.outrider("doctor")[1]
        check("sent, never heard" in said, said)
    for number in (signal.SIGTSTP, signal.SIGSTOP):
        with world.step(f"an agent that {number.name} suspends is reported by doctor, with its part of the queries"):
            failing.send(number)
            wait_for("the agent is stopped", lambda: stopped(failing))
            said = a.outrider("doctor")[1]
            silent = f"the agent with pid {failing.pid} does not answer"
            check(silent in said, said)
            check("its part of the queries is lost" in said, said)
            failing.send(signal.SIGCONT)
            wait_for("it is well again", lambda: silent not in a.outrider("doctor")[1])


def other_users(world):
    """Agents of two users, and a firewall that drops mDNS: only the loopback is left to them."""
    if not harness.as_root():
        with world.step("agents of two users meet on the loopback"):
            raise harness.Skip("needs root, to become two users")
        return
    harness.need("setpriv")
    a = world.host("h")
    a.drop("udp dport 5353")
    os.chmod(world.dir, 0o755)  # the users read their configuration there
    binary = a.dir / "outrider"
    shutil.copy(world.outrider, binary)
    users = (1001, 1002)

    def as_user(user):
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", binary]

    def folder(user):
        path = a.dir / str(user)
        return {"XDG_RUNTIME_DIR": str(path), "HOME": str(path)}

    def known(user):
        said = a.run([*as_user(user), "instances", "--json"], may_fail=True, env=folder(user))[1]
        entries = json.loads(said)["instances"] if said.startswith("{") else []
        return {entry["service"]: (entry["addresses"][:1], entry["this_host"]) for entry in entries}

    for user in users:
        (a.dir / str(user)).mkdir(mode=0o700)
        os.chown(a.dir / str(user), user, user)
        config = a.dir / f"{user}.json"
        config.write_text(json.dumps({"services": [{"name": f"open{user}", "port": user},
                                                   {"name": f"inner{user}", "port": 80, "scope": "host"}]}))
        a.start("agent", [*as_user(user), "agent", "--config", config],
                env=folder(user))
    expected = {f"{kind}{user}": ([address], True)
                for user in users for kind, address in (("open", a.ip4), ("inner", "127.0.0.1"))}
    with world.step("agents of two users know each other's services, with the addresses of the host") as say:
        begun = time.monotonic()
        for user in users:
            wait_for(f"{user} knows all", lambda: known(user) == expected)
        say(f"after {time.monotonic() - begun:.1f} s")
    with world.step("DNS answers both users' services"):
        answers = {name: a.dig(f"{name}.svc", port=PORT).data("A") for name in expected}
        equal(answers, {name: addresses for name, (addresses, _) in expected.items()}, "answers")


def new_address(world):
    """Another address for a host with two agents and no multicast, as after a move to another network."""
    a = world.host("i")
    quiet = {"mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"}}
    first = a.agent({**quiet, "services": [{"name": "moved", "port": 8501}]})
    first.wait_line("api_listening")
    second = a.agent({**quiet, "dns": {"listen": ["127.0.0.56:5370"]}})
    second.wait_line("api_listening")

    def answers():
        return [a.dig("moved.svc", server=server, port=PORT).data("A") for server in ("127.0.0.55", "127.0.0.56")]

    wait_for("both agents answer", lambda: answers() == [[a.ip4], [a.ip4]])
    with world.step("when the host changes its address, both of its agents answer with the new one") as say:
        begun = time.monotonic()
        # The kernel would delete a second address of the subnet with the first one.
        a.run(["ip", "address", "del", f"{a.ip4}/24", "dev", "eth0"])
        a.run(["ip", "address", "add", "10.77.0.201/24", "dev", "eth0"])
        wait_for("the new address", lambda: answers() == [["10.77.0.201"], ["10.77.0.201"]])
        say(f"after {time.monotonic() - begun:.1f} s")


def one_endpoint_under_two_ids(world):
    """What two registrations say of one endpoint is the same from every agent, and on other hosts."""
    a, b = world.host("t"), world.host("u")
    calm = {"lifecycle": {"drain": "0s"}, "mdns": {"browse": ["_twice._tcp"]}}
    agents = [a.agent({**calm, "dns": {"listen": [f"127.0.0.{number}:{PORT}"]}}) for number in (55, 56)]
    agents.append(b.agent(calm))
    for agent in agents:
        agent.wait_line("dns_listening")
        agent.wait_line("api_listening")
    for name in ("w1", "w2"):
        file = a.dir / f"{name}.json"
        file.write_text(json.dumps({"name": "twice", "id": name, "port": 8600}))
        equal(a.outrider("register", file)[0], 0, "register")

    def targets(host, server):
        return sorted(line.split()[-1] for line in host.dig("twice.svc", "SRV", server=server, port=PORT).data("SRV"))

    with world.step("one endpoint under two ids: both agents of the host and another host answer alike"):
        both = ["w1.twice.svc.", "w2.twice.svc."]
        for host, server in ((a, "127.0.0.55"), (a, "127.0.0.56"), (b, "127.0.0.55")):
            wait_for(f"{host.name} {server}", lambda: targets(host, server) == both)


def many_agents(world):
    """Twenty agents of one host agree in a second, without multicast."""
    a = world.host("f")
    count = 20
    agents = [a.agent({"services": [{"name": f"s{n}", "port": 9000 + n}],
                       "dns": {"listen": []}, "mdns": {"provider": "off"}}) for n in range(count)]
    folder = a.dir / "outrider"
    wait_for("all have a socket", lambda: len(list(folder.glob("*.sock"))) == count, 20)
    sockets = sorted(folder.glob("*.sock"))

    def services(socket):
        said = a.outrider("services", "--json", "--socket", socket)[1]
        return len(json.loads(said)["services"]) if said.startswith("{") else 0

    with world.step("20 agents know all 20 services", vital=True):
        for socket in sockets:
            wait_for(f"{socket} knows all", lambda: services(socket) == count, 20)
    with world.step("a new service is known to all in a second") as say:
        watches = [a.start("watch", [world.outrider, "watch", "late", "--socket", socket]) for socket in sockets]
        for watch in watches:
            wait_for("it watches", watch.running)
        time_begun = time.monotonic()
        (a.dir / "late.json").write_text(json.dumps({"name": "late", "port": 9100}))
        status, said = a.outrider("register", a.dir / "late.json", "--socket", sockets[0])
        equal(status, 0, said)
        last = max(watch.wait_line("late")[0] for watch in watches)
        say(f"{1000 * (last - time_begun):.0f} ms")
        check(last - time_begun < 1, f"{last - time_begun:.3f} s")
    with world.step("a sibling costs at most 50 kB") as say:
        alone = world.host("g").agent({"dns": {"listen": []}, "mdns": {"provider": "off"}})
        alone.wait_line("agent_ready")
        # Without code: `alone` was asked for nothing yet, and has not run all of it.
        most = max(agent.rss_kib("RssAnon") for agent in agents)
        each = (most - alone.rss_kib("RssAnon")) * 1024 / (count - 1)
        say(f"{each / 1000:.0f} kB")
        check(each <= 50_000, f"{each:.0f} octets")


def scenario(world):
    suspended_agent(world)
    one_endpoint_under_two_ids(world)
    loopback_only(world)
    one_view(world)
    other_users(world)
    new_address(world)
    many_agents(world)


if __name__ == "__main__":
    harness.main(scenario)
