#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""slow_link.py A B MILLISECONDS: joins two interfaces of this network namespace, every frame so much later.

For kernels without netem. What the sender left undone of a frame (checksum, segmentation) travels with it
(PACKET_VNET_HDR, packet(7)), as over a veth.
"""

import collections
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING, ETH_P_ALL = 263, 15, 4, 3
FRAME_BYTES_MAX = 70_000


def opened(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.bind((interface, ETH_P_ALL))
    return sock


one, other = opened(sys.argv[1]), opened(sys.argv[2])
delay = float(sys.argv[3]) / 1000
late = collections.deque()  # (when it is due, where to, the frame)
print("ready", flush=True)
while True:
    wait = max(0, late[0][0] - time.monotonic()) if late else None
    for source in select.select([one, other], [], [], wait)[0]:
        frame, (_, _, kind, *_) = source.recvfrom(FRAME_BYTES_MAX)
        if kind != PACKET_OUTGOING:  # what we sent ourselves
            late.append((time.monotonic() + delay, other if source is one else one, frame))
    while late and late[0][0] <= time.monotonic():
        _, target, frame = late.popleft()
        try:
            target.send(frame)
        except OSError:
            pass  # a frame may get lost
