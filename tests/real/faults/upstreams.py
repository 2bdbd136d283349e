# SPDX-License-Identifier: Apache-2.0
"""Name servers behind the agent that are dead, slow or wrong. What the LAN has is answered all the time."""

from faults.campaign import fault, pause, server_failure

# What has expired may be answered for a while (RFC 8767), so that some of these are not felt at all.


def becomes(scene, mode, seconds):
    scene.upstream_mode.write_text(mode)
    pause(seconds)


def well(scene):
    scene.upstream_mode.write_text("right")


@fault(right_within=6, meanwhile=lambda scene: {"2", "none"})
def upstream_dead_for_4_s(scene):
    becomes(scene, "dead", 4)
    yield
    well(scene)


@fault(right_within=6, meanwhile=lambda scene: {"2", "none"}, quick=False)
def upstream_dead_for_40_s(scene):
    becomes(scene, "dead", 40)
    yield
    well(scene)


@fault(right_within=2, meanwhile=lambda scene: {"none"}, wrong_for=0)
def upstream_answers_after_1600_ms(scene):
    becomes(scene, "slow", 5)
    yield
    well(scene)


@fault(right_within=4, meanwhile=lambda scene: {"none"}, wrong_for=0, quick=False)
def upstream_answers_after_3_s(scene):
    becomes(scene, "late", 7)
    yield
    well(scene)


@fault(right_within=6, meanwhile=lambda scene: {"2", "5"})
def upstream_refuses(scene):
    becomes(scene, "refused", 3)
    yield
    well(scene)


@fault(right_within=6, meanwhile=server_failure, quick=False)
def upstream_fails(scene):
    becomes(scene, "servfail", 3)
    yield
    well(scene)


@fault(right_within=2, meanwhile=lambda scene: {"0", "none"})
def upstream_truncates_and_has_no_tcp(scene):
    """The truncated answer is handed on, and the client may try TCP itself."""
    becomes(scene, "truncated", 3)
    yield
    well(scene)


@fault(right_within=6, meanwhile=lambda scene: {"2", "none"})
def upstream_answers_with_another_id(scene):
    becomes(scene, "wrong-id", 3)
    yield
    well(scene)


@fault(right_within=6, meanwhile=lambda scene: {"2", "none"}, quick=False)
def upstream_answers_garbage(scene):
    becomes(scene, "garbage", 3)
    yield
    well(scene)


@fault(right_within=6, wrong_for=0)
def one_name_is_dead_upstream(scene):
    """Others are asked on, and answered with their own TTL."""
    scene.upstream_mode.write_text("dead-name")
    c = scene.host["c"]
    for _ in range(2):
        c.dig("www.dead")
    yield
    well(scene)


@fault(right_within=6, meanwhile=lambda scene: {"2", "none"}, quick=False)
def upstream_process_killed(scene):
    scene.upstream.kill()
    pause(3)
    yield
    scene.start_upstream()
