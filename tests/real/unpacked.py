# SPDX-License-Identifier: Apache-2.0
"""Debian packages unpacked beside the build instead of installed: daemons that, installed, would start on this host, or
take its resolver over."""

import os
import pathlib
import subprocess
import tempfile

import harness

FOLDER = harness.TOP / "build" / "real-packages"
FETCH_S = 30


def fetch(*packages):
    """Unpacks what is not yet there. To be called before harness.main: its namespaces have no way to the archive."""
    if harness.INSIDE in os.environ:
        return
    for package in packages:
        done = FOLDER / f"{package}.done"
        if done.exists():
            continue
        FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=FOLDER) as into:
                run = {"cwd": into, "check": True, "capture_output": True, "timeout": FETCH_S}
                subprocess.run(["apt-get", "download", "-q", package], **run)
                file = next(pathlib.Path(into).glob("*.deb"))
                subprocess.run(["dpkg", "-x", file, FOLDER], **run)
            done.touch()
        except (OSError, subprocess.SubprocessError, StopIteration) as why:
            print(f"  {package} cannot be had: {why}")
            return  # the others neither


def program(path, *packages):
    """The unpacked program of this path, once all these packages are there, and the environment that finds their
    libraries; or the one that is installed."""
    for package in packages:
        if not (FOLDER / f"{package}.done").exists():
            if os.path.exists(f"/{path}"):
                return f"/{path}", {}
            raise harness.Skip(f"the package {package} cannot be had (apt-get download)")
    found = FOLDER / path
    if not found.exists():
        raise harness.Skip(f"{path} is in none of the packages {' '.join(packages)}")
    libraries = sorted({str(file.parent) for file in pathlib.Path(FOLDER / "usr/lib").rglob("*.so*")})
    return str(found), {"LD_LIBRARY_PATH": ":".join(libraries)}
