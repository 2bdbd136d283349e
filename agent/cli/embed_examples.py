#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed_examples.py HEADER NAME=FILE...: the files as a C++ table of names and texts."""

import pathlib
import sys


def row(argument):
    name, _, file = argument.partition("=")
    text = pathlib.Path(file).read_text(encoding="utf-8")
    return f'    {{"{name}", R"EXAMPLE({text})EXAMPLE"}},\n'


def main(target, *arguments):
    pathlib.Path(target).write_text(
        "// Made by embed_examples.py from packaging/examples.\n#pragma once\n#include <string_view>\n"
        "namespace outrider::cli {\n"
        "struct Example {\n  std::string_view name, text;\n};\n"
        f"inline constexpr Example kExamples[] = {{\n{''.join(row(argument) for argument in arguments)}}};\n"
        "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
