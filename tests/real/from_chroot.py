#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tests/real/from_chroot.py PROGRAM [ARGUMENT...]: runs a program in new network and mount namespaces, in a chroot.

There the kernel refuses user namespaces, and unshare(1) cannot make the mounts private: the root of a chroot need not
be a mount point. So this program makes them private from the root of its namespace, which a directory beyond its own
root leads to, then binds the chroot onto itself and enters it again. Outside a chroot it does the same as unshare.
"""

import ctypes
import os
import pathlib
import sys

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        sys.exit(f"{function.__name__}: {os.strerror(number)}")


def mount(source, target, flags):
    call(libc.mount, source.encode(), target.encode(), None, ctypes.c_ulong(flags), None)


def leave_root():
    """Changes into the root of the mount namespace, and makes it that of this process."""
    os.chdir("/")
    os.chroot(pathlib.Path(__file__).resolve().parent)  # the working directory is outside of it now
    while not os.path.samestat(os.stat("."), os.stat("..")):
        os.chdir("..")
    os.chroot(".")


def main(argv):
    folder = os.getcwd()
    call(libc.unshare, CLONE_NEWNS | CLONE_NEWNET)
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    leave_root()
    mount("none", ".", MS_REC | MS_PRIVATE)
    os.fchdir(root)
    os.close(root)
    path = os.getcwd()
    if path != "/":
        mount(path, path, MS_BIND | MS_REC)
        os.chdir(path)
        os.chroot(".")
    os.chdir(folder)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(sys.argv[1:])
