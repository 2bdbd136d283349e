#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an earlier version left on the disk is read by this one, and is found where that version put it.

tests/vectors/state has files in the form that the first version gave them which kept any: registrations over the API
and the history, with their configuration. first.json has all options of the version before that.
"""

import json
import shutil

import harness
from harness import check, equal
from history import written

PORT = 5370
STATE = harness.TOP / "tests/vectors/state"
ANSWERED_NS = 1795939496479240501  # a moment when that agent served both instances of web


def name_of_state(path):
    """The file of an agent that has this configuration and no other."""
    value = 0xCBF29CE484222325
    for octet in f"/{path}".encode():
        value = (value ^ octet) * 0x100000001B3 % 2**64
    return f"registrations-{value:x}.jsonl"


def scenario(world):
    a = world.host("a")
    with world.step("every option of the first version is still valid"):
        status, said = a.outrider("config", "check", "--config", STATE / "first.json")
        equal(status, 0, said)

    config, more, state = a.dir / "outrider.json", a.dir / "conf.d", a.dir / "state"
    more.mkdir()
    state.mkdir()
    shutil.copy(STATE / "outrider.json", config)
    shutil.copy(STATE / "history.jsonl", state)
    file = state / name_of_state(config)
    shutil.copy(STATE / "registrations.jsonl", file)

    def start(*arguments):
        words = ["--config", config, *arguments, "--set", f"api.history_file={state / 'history.jsonl'}"]
        agent = a.agent(arguments=words, env={"STATE_DIRECTORY": str(state)})
        agent.wait_line("api_listening")
        agent.wait_line("dns_listening")
        return agent

    def known():
        said = a.outrider("instances", "--json")[1]
        return {one["id"]: one for one in json.loads(said)["instances"]}

    agent = start()
    with world.step("its registrations are there, with everything that they had"):
        agent.wait_line("state_restored.*registrations=4")
        found = known()
        equal(sorted(found), ["cart/_1 a", "own-1", "w", "x"], "ids")
        equal((found["w"]["tags"], found["w"]["version"], found["w"]["weight"]), (["blue", "a b"], "1.2.0", 7), "w")
        equal(found["cart/_1 a"]["metadata"], {"Env": "1", "env": "2"}, "metadata")
        check("10.1.2.3" in a.dig("web.svc", port=PORT).data("A"), "web.svc has not the address of w")
    with world.step("so are maintenance with its reason, and a heartbeat, which ended long ago"):
        equal(found["own-1"]["health"], "maintenance", "health of own-1")
        check("disk swap" in a.outrider("why", "own")[1], "the reason is gone")
        agent.wait_line("health_.*instance=x .*no heartbeat for 10s", 5)
    with world.step("its history says what it answered then"):
        then = json.loads(a.outrider("why", "web", "--at", written(ANSWERED_NS), "--json")[1])["dns"][0]
        equal((then["answer"], sorted(then["A"])), ("NOERROR", ["10.1.2.3", "10.1.2.4"]), "then")
        check("deregistered" in a.outrider("history", "gone")[1], "the reason is gone")
    with world.step("with a folder of more configuration, as outrider.service has it now, nothing is lost"):
        agent.stop()
        agent = start("--config", more)
        agent.wait_line("state_restored.*registrations=4")
        equal(sorted(known()), sorted(found), "ids")
        check(not file.exists(), "the earlier file is left")
    with world.step("an agent with other files in place of the folder has nothing of it"):
        agent.stop()
        other = a.dir / "other.json"
        other.write_text("{}")
        agent = start("--config", other)
        equal(sorted(known()), ["own-1"], "ids")


harness.main(scenario)
