# SPDX-License-Identifier: Apache-2.0
"""Cables, addresses and interfaces."""

import harness
from faults.campaign import fault, nothing_else, one_host, one_or_none, pause


@fault(right_within=3, meanwhile=one_host)
def cable_of_a_server_out_for_1_s(scene):
    scene.host["b"].cable(False)
    pause(1)
    yield
    scene.host["b"].cable(True)


@fault(right_within=3, wrong_for=3, meanwhile=one_or_none)
def cable_of_the_observer_out_for_3_s(scene):
    scene.host["c"].cable(False)
    pause(3)
    yield
    scene.host["c"].cable(True)


@fault(right_within=3, meanwhile=one_or_none)
def all_cables_out_for_3_s(scene):
    for host in scene.host.values():
        host.cable(False)
    pause(3)
    yield
    for host in scene.host.values():
        host.cable(True)


@fault(right_within=5, meanwhile=one_host, quick=False)
def cable_with_a_loose_contact(scene):
    for _ in range(10):
        scene.host["b"].cable(False)
        pause(0.1)
        scene.host["b"].cable(True)
        pause(0.1)
    yield


@fault(right_within=5, meanwhile=one_host, quick=False)
def cable_of_a_server_out_for_30_s(scene):
    scene.host["b"].cable(False)
    pause(30)
    yield
    scene.host["b"].cable(True)


@fault(right_within=5, meanwhile=one_host, quick=False)
def cable_of_a_server_out_for_90_s(scene):
    scene.host["b"].cable(False)
    pause(90)
    yield
    scene.host["b"].cable(True)


@fault(right_within=5, wrong_for=3, meanwhile=one_host)
def address_replaced(scene):
    b = scene.host["b"]
    old, b.ip4 = b.ip4, "10.77.0.102"
    b.run(["ip", "address", "del", f"{old}/24", "dev", "eth0"])
    b.run(["ip", "address", "add", f"{b.ip4}/24", "dev", "eth0"])
    scene.expect("a", "b")
    scene.wait_right(10)
    b.run(["ip", "address", "del", f"{b.ip4}/24", "dev", "eth0"])
    b.run(["ip", "address", "add", f"{old}/24", "dev", "eth0"])
    yield
    b.ip4 = old
    b.run(["ip", "route", "replace", "default", "dev", "eth0"])
    scene.expect("a", "b")


@fault(right_within=3, meanwhile=one_host)
def only_address_gone_for_2_s(scene):
    b = scene.host["b"]
    b.run(["ip", "-4", "address", "flush", "dev", "eth0"])
    pause(2)
    yield
    b.run(["ip", "address", "add", f"{b.ip4}/24", "dev", "eth0"])
    b.run(["ip", "route", "replace", "default", "dev", "eth0"])


@fault(right_within=2, meanwhile=nothing_else)
def ipv6_address_gone_and_back(scene):
    b = scene.host["b"]
    b.run(["ip", "address", "del", f"{b.ip6}/64", "dev", "eth0"])
    pause(1)
    yield
    b.run(["ip", "address", "add", f"{b.ip6}/64", "dev", "eth0", "nodad"])


@fault(right_within=2)
def second_interface_comes_and_goes(scene):
    b = scene.host["b"]
    b.run(["ip", "link", "add", "dummy0", "type", "veth", "peer", "name", "dummy1"])
    b.run(["ip", "link", "set", "dummy0", "up"])
    pause(1)
    yield
    b.run(["ip", "link", "del", "dummy0"])


@fault(right_within=2, quick=False)
def default_route_gone_for_2_s(scene):
    b = scene.host["b"]
    b.run(["ip", "route", "del", "default"])
    pause(2)
    yield
    b.run(["ip", "route", "add", "default", "dev", "eth0"])


@fault(right_within=5, meanwhile=one_host)
def network_card_pulled_and_put_back(scene):
    b = scene.host["b"]
    harness.run(["ip", "link", "del", f"{b.name}-lan"])
    pause(1)
    yield
    b.join("lan")


@fault(right_within=3, meanwhile=one_host)
def interface_down_by_its_host_for_2_s(scene):
    b = scene.host["b"]
    b.run(["ip", "link", "set", "eth0", "down"])
    pause(2)
    yield
    b.run(["ip", "link", "set", "eth0", "up"])
    b.run(["ip", "address", "replace", f"{b.ip6}/64", "dev", "eth0", "nodad"], may_fail=True)
    b.run(["ip", "route", "replace", "default", "dev", "eth0"])
