#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py PAGE HEADER: the page as a C++ string without its indentation, and what its security policy needs to know.

A policy allows inline script and style by the hash of the text between the tags.
"""

import base64
import hashlib
import pathlib
import re
import sys

SIZE_MAX = 60_000
PIECE = 8_000  # compilers limit the length of one literal


def hash_of(tag, page):
    parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
    if len(parts) != 1:
        sys.exit(f"expected one <{tag}>, found {len(parts)}")
    digest = hashlib.sha256(parts[0].encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def main(source, target):
    lines = pathlib.Path(source).read_text(encoding="utf-8").splitlines()
    page = "\n".join(line.strip() for line in lines if line.strip()) + "\n"
    page = re.sub(r"<!-- .*? -->\n", "", page, count=1, flags=re.S)  # the licence
    size = len(page.encode())
    if size > SIZE_MAX:
        sys.exit(f"{source}: {size} bytes, at most {SIZE_MAX}")
    pieces = [page[at:at + PIECE] for at in range(0, len(page), PIECE)]
    literals = "\n    ".join(f'R"PAGE({piece})PAGE"' for piece in pieces)
    pathlib.Path(target).write_text(
        "// Made by embed.py from page.html.\n#pragma once\n#include <string_view>\n"
        "namespace outrider::doors::page {\n"
        f"inline constexpr std::string_view kPage =\n    {literals};\n"
        f'inline constexpr std::string_view kScriptHash = "{hash_of("script", page)}";\n'
        f'inline constexpr std::string_view kStyleHash = "{hash_of("style", page)}";\n'
        "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
