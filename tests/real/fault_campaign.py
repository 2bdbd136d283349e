#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fault_campaign.py [--long] [WORD...]: faults by name (faults/): how long until everything is right again, and what
was wrong meanwhile.

Two hosts with a service each and a third that looks for them, watched over DNS all the time. The quick faults run in
every `./test`, the others with --long; with WORDs only those with one of these words in their names. `bench/run faults`
runs all and prints the table.
"""

import harness
from faults import campaign, clients, daemons, host, lan, link, services, upstreams
from harness import check

ROOMS = [clients, daemons, host, lan, link, services, upstreams]


def wanted(world, fault):
    if world.words:
        return any(word in f"{campaign.room_of(fault)}: {fault.name}" for word in world.words)
    return fault.quick or world.long


def scenario(world):
    scene = campaign.Scene(world)
    with world.step("two services, seen from both sides", vital=True):
        scene.wait_right(campaign.SETTLE_S)
    for fault in campaign.FAULTS:
        if not wanted(world, fault):
            continue
        failed = world.failed
        with world.step(f"{campaign.room_of(fault)}: {fault.name}") as say:
            got = campaign.undergo(scene, fault)
            if got.gone_after is not None:
                say(f"noticed after {got.gone_after:.2f} s")
            seen = f", answers {got.seen}" if got.seen else ""
            say(f"right after {got.right_after:.2f} s, wrong for {got.wrong:.2f} s{seen}")
            right_within, wrong_for = scene.slack * fault.right_within, scene.slack * fault.wrong_for
            check(got.right_after <= right_within,
                  f"right again after {got.right_after:.2f} s, not within {right_within} s")
            check(got.wrong <= wrong_for, f"wrong for {got.wrong:.2f} s, more than {wrong_for} s: {got.seen}")
        if world.failed > failed:
            scene.repair()


if __name__ == "__main__":
    harness.main(scenario)
