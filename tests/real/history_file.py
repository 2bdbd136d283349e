#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The history is there after the agent's restart, if a file is configured for it, however the agent ended."""

import json
import stat
import time

import harness
from harness import check, equal
from history import written

PORT = 5370
WEB = {"name": "web", "id": "w", "port": 80, "address": ["10.1.2.3"]}


def scenario(world):
    a = world.host("a")
    file = a.dir / "state/history.jsonl"
    argv = [world.outrider, "agent", "--set", "mdns.provider=off", "--set", f"dns.listen=127.0.0.55:{PORT}",
            "--set", "lifecycle.drain=0s", "--set", f"api.history_file={file}", "--set", "api.persist=false"]

    def start():
        agent = a.start("agent", argv)
        agent.wait_line("api_listening")
        agent.wait_line("dns_listening")
        return agent

    def register(service):
        socket = a.dir / "outrider/agent.sock"
        a.run(["curl", "-sS", "--fail", "--unix-socket", socket, "-X", "PUT", "--data", json.dumps(service),
               "http://agent/v1/outrider/register"])

    def told(name, moment):
        """What `why` says of the moment, in nanoseconds: status and set."""
        dns = json.loads(a.outrider("why", name, "--at", written(moment), "--json")[1])["dns"][0]
        return dns["answer"], dns["A"]

    def events(name):
        text = a.outrider("history", name, "--json", "--last", "100")[1]
        return [(one["kind"], one["instance"]) for one in json.loads(text)["events"] if "instance" in one]

    agent = start()
    register(WEB)
    equal(a.dig("web.svc", port=PORT).data("A"), ["10.1.2.3"], "addresses")
    answered = time.time_ns()
    has_web = lambda: '"is":{"service":"web"' in file.read_text()

    with world.step("an ordered stop: what DNS answered before it"):
        agent.stop()
        agent = start()
        equal(a.dig("web.svc", port=PORT).status, "NXDOMAIN", "status now")
        equal(told("web", answered), ("NOERROR", ["10.1.2.3"]), "then")
        equal(told("web", time.time_ns())[0], "NXDOMAIN", "now")
        equal([events("web")[0], events("web")[-1]], [("added", "w"), ("removed", "w")], "events")
        check("gone with the end of the agent" in a.outrider("history", "web")[1], "the reason")
    with world.step("kill -9: everything that was written"):
        register({**WEB, "name": "job", "id": "j"})
        answered_job = time.time_ns()
        harness.wait_for("the line of the job", lambda: '"is":{"service":"job"' in file.read_text())
        agent.kill()
        agent = start()
        equal(told("job", answered_job), ("NOERROR", ["10.1.2.3"]), "then")
        equal(told("web", answered), ("NOERROR", ["10.1.2.3"]), "in the run before")
        check(has_web(), "the line of the first run is gone")
    with world.step("nobody else may read the file"):
        equal(stat.S_IMODE(file.stat().st_mode), 0o600, "mode")
    with world.step("garbage and a file of a newer version are kept aside, and the history begins again"):
        for text, reason in (("\0\1garbage", "not a line of a history"),
                             ('{"outrider":"history","version":99,"since":1,"around":{}}\n', "format 99")):
            agent.kill()
            file.write_text(text)
            agent = start()
            agent.wait_line(f"history_unreadable.*{reason}")
            check(any(path.read_text() == text for path in file.parent.glob("*.unreadable*")), file.parent)
            status, said = a.outrider("why", "web", "--at", written(answered))
            equal(status, 4, said)
            register(WEB)
            harness.wait_for("the file to be replaced", has_web)
    with world.step("a second agent with the same file says that it keeps nothing"):
        other = a.start("other", [*argv, "--set", f"dns.listen=127.0.0.56:{PORT}"])
        other.wait_line("history_failed.*another agent uses it")
        other.stop()
    with world.step("a directory that cannot be written: the log says so, and the agent goes on"):
        agent.stop()
        a.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", file.parent])
        agent = start()
        agent.wait_line("history_failed.*Read-only file system")
        register(WEB)
        equal(a.dig("web.svc", port=PORT).data("A"), ["10.1.2.3"], "addresses")
        agent.stop()
        a.run(["umount", file.parent])


harness.main(scenario)
