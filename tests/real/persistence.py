#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was registered over the API is there after the agent's restart, however it ended and whatever its disk does."""

import json
import threading

import harness
from harness import check, equal

PORT = 5370
KILLS = 12


def scenario(world):
    a = world.host("a")
    state = a.dir / ".local/state/outrider"
    file = state / "registrations.jsonl"
    argv = [world.outrider, "agent", "--set", "mdns.provider=off", "--set", f"dns.listen=127.0.0.55:{PORT}",
            "--set", "lifecycle.drain=0s"]

    def start():
        agent = a.start("agent", argv)
        agent.wait_line("api_listening")
        agent.wait_line("dns_listening")
        return agent

    def put(service):
        """The status of the answer."""
        socket = a.dir / "outrider/agent.sock"
        said = a.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket, "-X", "PUT",
                      "--data", json.dumps(service), "http://agent/v1/outrider/register"], may_fail=True)
        return said[1].strip()

    def known():
        said = a.outrider("instances", "--json")[1]
        return {one["id"]: one for one in json.loads(said)["instances"]}

    agent = start()
    with world.step("kill -9 after the answer: registered again, and answered in DNS"):
        equal(put({"name": "web", "id": "w", "port": 80, "tags": ["blue"], "address": ["10.1.2.3"]}), "200", "status")
        agent.kill()
        agent = start()
        agent.wait_line("state_restored")
        equal(a.dig("web.svc", port=PORT).data("A"), ["10.1.2.3"], "addresses")
        equal(known()["w"]["tags"], ["blue"], "tags")
    with world.step("maintenance survives an ordered restart, too"):
        a.outrider("maintenance", "w", "on", "disk swap")
        agent.stop()
        agent = start()
        equal(known()["w"]["health"], "maintenance", "health")
        a.outrider("maintenance", "w", "off")
    with world.step("a heartbeat keeps what is left of its TTL"):
        equal(put({"name": "job", "id": "j", "port": 9, "checks": [{"ttl": "3s"}]}), "200", "status")
        a.outrider("pass", "j")
        agent.kill()
        agent = start()
        equal(known()["j"]["health"], "passing", "health")
        agent.wait_line("health_failed.*no heartbeat for 3s", 5)
    with world.step("kill -9 at any moment: nothing that was answered is lost") as say:
        confirmed, number = set(), 0
        for round_ in range(KILLS):
            over = threading.Event()

            def register():
                nonlocal number
                while not over.is_set():
                    number += 1
                    if put({"name": "many", "id": f"m-{number}", "port": number}) == "200":
                        confirmed.add(f"m-{number}")

            before = len(confirmed)
            writer = threading.Thread(target=register)
            writer.start()
            harness.wait_for("some answers", lambda: len(confirmed) > before + round_ % 3)
            agent.kill()
            over.set()
            writer.join()
            agent = start()
            lost = confirmed - set(known())
            check(not lost, f"lost {lost}")
            check("state_unreadable" not in agent.text(), agent.text())
        say(f"{len(confirmed)} registrations, {KILLS} kills")
    agent.stop()
    with world.step("a full disk: the answer and the log say so, the agent goes on, and recovers") as say:
        text = file.read_text()
        a.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", state])
        a.run(["sh", "-c", f"cat > {file}"], may_fail=True)
        agent = start()
        statuses = [put({"name": "full", "id": f"f-{n}", "port": 1, "metadata": {"k": "x" * 500}}) for n in range(120)]
        agent.wait_line("state_failed.*No space left on device")
        check(statuses[0] == "200" and statuses[-1] == "500", statuses)
        equal(len([one for one in known() if one.startswith("f-")]), 120, "registrations in effect")
        a.run(["mount", "-o", "remount,size=1m", state])
        agent.wait_line("state_recovered", 10)
        agent.kill()
        agent = start()
        equal(len([one for one in known() if one.startswith("f-")]), 120, "registrations after a restart")
        say(f"{statuses.count('200')} fitted")
    with world.step("a read-only directory: what is there is used, and the log says that nothing is kept"):
        agent.stop()
        a.run(["mount", "-o", "remount,ro", state])
        agent = start()
        agent.wait_line("state_failed.*Read-only file system")
        equal(len([one for one in known() if one.startswith("f-")]), 120, "registrations")
        equal(put({"name": "more", "id": "more", "port": 1}), "200", "status")
        said = a.outrider("doctor")[1]
        check("lost when the agent restarts" in said and "Read-only file system" in said, said)
        agent.stop()
        a.run(["umount", state])
    with world.step("garbage and a file of a newer version are kept aside"):
        for text, reason in (("\0\1garbage", "not a file of registrations"),
                             ('{"outrider":"registrations","version":99}\n', "format 99")):
            file.write_text(text)
            agent = start()
            agent.wait_line(f"state_unreadable.*{reason}")
            equal(put({"name": "web", "id": "w", "port": 80}), "200", "status")
            agent.kill()
            check(any(path.read_text() == text for path in state.glob("*.unreadable*")), list(state.iterdir()))
            agent = start()
            equal(list(known()), ["w"], "instances")
            said = a.outrider("doctor")[1]
            check(f"{file}.unreadable" in said and "register again what is missing" in said, said)
            agent.stop()
    with world.step("one agent at a time has the file; the other waits for it"):
        first = start()
        second = a.start("agent", [*argv, "--set", "dns.listen=127.0.0.56:5370"])
        second.wait_line("state_failed.*another agent uses it")
        first.stop()
        second.wait_line("state_restored", 10)
        second.stop()
    with world.step("api.persist=false keeps nothing"):
        argv += ["--set", "api.persist=false"]
        agent = start()
        equal(list(known()), [], "instances")
        agent.stop()


if __name__ == "__main__":
    harness.main(scenario)
