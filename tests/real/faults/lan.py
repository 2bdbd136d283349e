# SPDX-License-Identifier: Apache-2.0
"""Multicast that is lost, and neighbours that lie."""

import harness
from faults.campaign import fault, one_host, one_or_none, pause


def multicast(names, carried):
    for name in names:
        harness.run(["ip", "link", "set", f"{name}-lan", "type", "bridge_slave", "mcast_flood",
                     "on" if carried else "off"])


@fault(right_within=3)
def multicast_lost_everywhere_for_5_s(scene):
    multicast("abc", False)
    pause(5)
    yield
    multicast("abc", True)


@fault(right_within=3, quick=False)
def multicast_lost_to_one_host_for_5_s(scene):
    multicast("c", False)
    pause(5)
    yield
    multicast("c", True)


@fault(right_within=5, meanwhile=one_or_none, quick=False)
def multicast_lost_everywhere_for_25_s(scene):
    multicast("abc", False)
    pause(25)
    yield
    multicast("abc", True)


@fault(right_within=5, meanwhile=one_or_none, quick=False)
def multicast_lost_everywhere_for_120_s(scene):
    multicast("abc", False)
    pause(120)
    yield
    multicast("abc", True)


@fault(right_within=3)
def firewall_drops_mdns_for_5_s(scene):
    """In and out, while the link is up: nothing tells the agent."""
    scene.host["b"].drop("udp dport 5353")
    pause(5)
    yield
    scene.host["b"].drop_nothing()


@fault(right_within=3, meanwhile=one_or_none, quick=False)
def firewall_drops_mdns_for_60_s(scene):
    scene.host["b"].drop("udp dport 5353")
    pause(60)
    yield
    scene.host["b"].drop_nothing()


def lie(scene, kind, *words):
    """Runs liar.py on a host of its own, to its end."""
    liar = scene.host["liar"]
    said = liar.run([harness.PYTHON, harness.HERE / "faults/liar.py", kind, liar.ip4, *words], timeout=30)
    return said[1]


@fault(right_within=2)
def enumeration_taken_back_by_a_neighbour(scene):
    lie(scene, "enumeration-goodbye", "_hello._tcp.local")
    pause(2.5)
    yield


@fault(right_within=3, wrong_for=1.5)
def instance_taken_back_by_a_neighbour(scene):
    lie(scene, "instance-goodbye", "_hello._tcp.local", "hello-b")
    pause(1)
    yield


@fault(right_within=3, wrong_for=1.5)
def shared_record_flushed_by_a_neighbour(scene):
    lie(scene, "flush-shared", "_hello._tcp.local")
    pause(2)
    yield


@fault(right_within=3)
def unhealthy_twin_forged_by_a_neighbour(scene):
    lie(scene, "twin", "_hello._tcp.local", "hello-b", scene.host["b"].ip4)
    pause(1.5)
    yield


@fault(right_within=3)
def unknown_pointers_from_a_neighbour(scene):
    lie(scene, "pointers", "_hello._tcp.local", "17000")
    yield


@fault(right_within=3)
def equal_questions_from_a_neighbour(scene):
    lie(scene, "questions", "_hello._tcp.local", "200")
    yield


@fault(right_within=3)
def malformed_messages_from_a_neighbour(scene):
    liar = scene.host["liar"]
    liar.run([harness.PYTHON, harness.HERE / "flood.py", "mdns", liar.ip4, "0"], timeout=60)
    yield


@fault(right_within=5, meanwhile=one_host, wrong_for=2)
def host_name_claimed_by_a_neighbour(scene):
    lie(scene, "claim-host", "b.local")
    pause(1)
    yield


@fault(right_within=2)
def names_that_nobody_has_asked_for(scene):
    c = scene.host["c"]
    c.run([harness.PYTHON, harness.HERE / "faults/asker.py", "127.0.0.55", "4100"], timeout=60)
    yield
