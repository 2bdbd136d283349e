# SPDX-License-Identifier: Apache-2.0
"""Clients of the agent that are too many, too slow, or gone. DNS answers on."""

import harness
from faults.campaign import fault


GIVEN_BACK_KIB = 16 * 1024  # what may stay of the 32 MiB that unread answers may take


def crowd(scene, name, kind, *words):
    host = scene.host[name]
    said = host.run([harness.PYTHON, harness.HERE / "faults/crowd.py", kind, scene.socket(name), *words], timeout=60)
    return said[1]


@fault(right_within=1, wrong_for=0.5)
def watchers_that_do_not_read(scene):
    before = scene.agent["c"].rss_kib()
    crowd(scene, "c", "watchers", "500")
    yield
    agent = scene.agent["c"]
    harness.wait_for("memory is given back", lambda: agent.rss_kib() - before < GIVEN_BACK_KIB, 5)


@fault(right_within=1, wrong_for=0.5, quick=False)
def connections_that_say_nothing(scene):
    crowd(scene, "c", "mute", "600")
    yield


@fault(right_within=1, wrong_for=0.5)
def requests_that_drip(scene):
    crowd(scene, "c", "drip", "200")
    yield


@fault(right_within=1, wrong_for=0.5)
def requests_that_nobody_waits_for(scene):
    crowd(scene, "c", "hang-up", "50")
    yield


@fault(right_within=1, wrong_for=0.5, quick=False)
def requests_that_are_malformed(scene):
    crowd(scene, "c", "garbage", "300")
    yield


@fault(right_within=1, wrong_for=0.5)
def registrations_that_come_and_go(scene):
    crowd(scene, "b", "register", "500")
    yield


@fault(right_within=1, wrong_for=0.5)
def dns_over_tcp_that_never_asks(scene):
    c = scene.host["c"]
    c.run([harness.PYTHON, harness.HERE / "flood.py", "tcp", "127.0.0.55", "53"], timeout=60)
    yield


@fault(right_within=1, wrong_for=0.5)
def dns_messages_that_are_malformed(scene):
    c = scene.host["c"]
    c.run([harness.PYTHON, harness.HERE / "flood.py", "udp", "127.0.0.55", "53"], timeout=60)
    yield
