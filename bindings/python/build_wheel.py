# SPDX-License-Identifier: Apache-2.0
"""The build backend (PEP 517): a wheel of Python alone is an archive of its files. Needs nothing but Python."""

import base64
import hashlib
import pathlib
import re
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
MOMENT = (1980, 1, 1, 0, 0, 0)  # the same bytes each time


def _project(key):
    return re.search(rf'^{key} = "([^"]*)"$', (HERE / "pyproject.toml").read_text(), re.MULTILINE)[1]


def _metadata():
    lines = ["Metadata-Version: 2.1", f"Name: {_project('name')}", f"Version: {_project('version')}",
             f"Summary: {_project('description')}", f"Requires-Python: {_project('requires-python')}",
             "License: Apache-2.0", "Description-Content-Type: text/markdown", ""]
    return "\n".join([*lines, (HERE / "README.md").read_text()])


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name, version = _project("name"), _project("version")
    info = f"{name}-{version}.dist-info"
    files = {f"outrider/{path.name}": path.read_bytes() for path in sorted((HERE / "outrider").iterdir())
             if path.suffix in (".py", ".typed")}
    files[f"{info}/METADATA"] = _metadata().encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: build_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/LICENSE"] = (HERE / "LICENSE").read_bytes()
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}\n")
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, MOMENT)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("install from the folder, or build a wheel")
