# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed, stopped, suspended or changed."""

import signal

import harness
from faults.campaign import HELLO, LIFECYCLE, fault, one_host, one_or_none, pause, silence

PTR_TTL_S, SHORT_TTL_S = 75, 20


def instances(scene, name):
    return scene.host[name].outrider("instances", "hello")[1].count("hello-a")


@fault(right_within=3, meanwhile=one_or_none)
def agent_killed_and_started_again(scene):
    scene.agent["b"].kill()
    yield
    scene.start_agent("b")


@fault(right_within=3, meanwhile=one_host, quick=False)
def agent_killed_for_30_s(scene):
    scene.agent["b"].kill()
    pause(SHORT_TTL_S + 10)
    yield
    scene.start_agent("b")


@fault(right_within=3, meanwhile=one_host)
def agent_ended_and_started_again(scene):
    scene.agent["b"].stop()
    yield
    scene.start_agent("b")


@fault(right_within=2)
def agent_stopped_for_5_s(scene):
    """SIGSTOP, as a debugger or a freezer of containers does; its service goes on."""
    scene.agent["b"].send(signal.SIGSTOP)
    pause(5)
    yield
    scene.agent["b"].send(signal.SIGCONT)


@fault(right_within=3, meanwhile=one_host, quick=False)
def agent_stopped_for_60_s(scene):
    """As a host that was suspended."""
    scene.agent["b"].send(signal.SIGSTOP)
    pause(60)
    yield
    scene.agent["b"].send(signal.SIGCONT)


@fault(right_within=2, meanwhile=one_or_none)
def agent_suspended_by_its_terminal(scene):
    scene.agent["b"].send(signal.SIGTSTP)
    pause(2)
    yield
    scene.agent["b"].send(signal.SIGCONT)


@fault(right_within=3, wrong_for=4, meanwhile=silence)
def agent_of_the_observer_killed(scene):
    scene.agent["c"].kill()
    pause(1)
    yield
    scene.start_agent("c")


@fault(right_within=2, meanwhile=silence, quick=False)
def agent_of_the_observer_stopped_for_5_s(scene):
    scene.agent["c"].send(signal.SIGSTOP)
    pause(5)
    yield
    scene.agent["c"].send(signal.SIGCONT)


@fault(right_within=3, meanwhile=silence, quick=False)
def agent_of_the_observer_stopped_for_100_s(scene):
    scene.agent["c"].send(signal.SIGSTOP)
    pause(PTR_TTL_S + 25)
    yield
    scene.agent["c"].send(signal.SIGCONT)


@fault(right_within=1)
def agent_asked_to_reload_without_a_change(scene):
    scene.agent["b"].send(signal.SIGHUP)
    pause(0.5)
    yield


@fault(right_within=1)
def agent_asked_to_reload_20_times(scene):
    for _ in range(20):
        scene.agent["b"].send(signal.SIGHUP)
        pause(0.01)
    yield


@fault(right_within=3, meanwhile=one_or_none)
def agent_killed_five_times(scene):
    for _ in range(5):
        scene.restart_agent("b")
    yield


@fault(right_within=3, wrong_for=2, quick=False)
def second_agent_of_the_host_killed(scene):
    """It has a service of its own; the first one's is untouched."""
    other = scene.host["b"].agent({"services": [{"name": "other", "port": 8001}], "lifecycle": LIFECYCLE})
    other.wait_line("dns_listening")
    other.kill()
    yield


@fault(right_within=3, wrong_for=2)
def second_agent_of_the_host_stopped(scene):
    other = scene.host["b"].agent({"services": [{"name": "other", "port": 8001}], "lifecycle": LIFECYCLE})
    other.wait_line("dns_listening")
    other.send(signal.SIGSTOP)
    pause(2)
    yield
    other.kill()


@fault(right_within=5, meanwhile=one_or_none)
def agent_with_avahi_loses_the_daemon(scene):
    b = scene.host["b"]
    if not hasattr(b, "bus"):
        b.bus = b.system_bus()
    daemon = b.avahi_daemon(bus=False)
    scene.restart_agent("b", {"mdns": {"provider": "auto"}})
    scene.wait_right(10)
    daemon.kill()
    pause(0.5)
    yield
    again = b.avahi_daemon(bus=False)
    scene.wait_right(10)
    again.kill()
    scene.restart_agent("b")


@fault(right_within=3, meanwhile=one_or_none)
def two_hosts_register_the_same_id(scene):
    """Both are instances, wherever one looks."""
    scene.restart_agent("b", {"services": [{**HELLO, "id": "hello-a"}]})
    scene.wait_right(10)
    for name in "abc":
        harness.wait_for(f"two instances at {name}", lambda: instances(scene, name) == 2, 5)
    yield
    scene.restart_agent("b")
