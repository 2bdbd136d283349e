# SPDX-License-Identifier: Apache-2.0
"""asker.py SERVER COUNT: asks for COUNT different names in svc that no host has, 2,000 a second."""

import socket
import struct
import sys
import time


def main():
    server, count = sys.argv[1], int(sys.argv[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server, 53))
        for number in range(count):
            label = f"nobody-{number}".encode()
            sock.send(struct.pack(">6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + bytes([len(label)]) + label +
                      b"\3svc\0" + struct.pack(">2H", 1, 1))
            if number % 20 == 0:
                time.sleep(0.01)


if __name__ == "__main__":
    main()
