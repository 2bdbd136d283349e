# SPDX-License-Identifier: Apache-2.0
"""One file of the tree, as the rules see it."""

import pathlib
import re

# Top folders that hold sources of C++; packaging and bindings have Python and shell.
CXX_FOLDERS = ("base", "dns", "mdns", "probes", "registries", "agent", "include", "tests", "bench")
CXX = (".h", ".cc", ".hpp")
SCRIPTS = (".py", ".sh")
SKIPPED = ("__pycache__", "corpus", "vectors", "node_modules")

TOKEN = re.compile(
    r"""R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"     # raw string
      | "(?:\\.|[^"\\\n])*"                      # string
      | (?<![0-9a-zA-Z])'(?:\\.|[^'\\\n])+'      # character; 1'000 is a number
      | //[^\n]*
      | /\*.*?\*/""",
    re.VERBOSE | re.DOTALL,
)


def blank(match):
    """The same number of lines and columns, but nothing in it; quotes stay, so that includes do."""
    text = match.group()
    keep = text[0] if text[0] in "\"'" else ""
    inner = text[len(keep):len(text) - len(keep)] if keep else text
    return keep + re.sub(r"[^\n]", " ", inner) + keep


class Source:
    def __init__(self, path, text):
        self.path = path  # from the root, with slashes
        self.text = text
        self.lines = text.split("\n")
        self.cxx = path.endswith(CXX)
        self.code = TOKEN.sub(blank, text).split("\n") if self.cxx else self.lines

    @property
    def includes(self):
        """(line number, name, quoted) of each #include."""
        for number, line in enumerate(self.lines, 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if found:
                yield number, found[2], found[1] == '"'

    def room(self, rooms):
        """The room with the longest matching folder; none for what is no part of the house."""
        fitting = [room for room in rooms if self.path.startswith(room + "/")]
        return max(fitting, key=len, default=None)


def read_tree(root):
    root = pathlib.Path(root)
    files = []
    for folder in (*CXX_FOLDERS, "packaging", "bindings"):
        files += [path for path in (root / folder).rglob("*") if path.is_file()]
    files += [path for path in root.iterdir() if path.is_file()]
    for path in sorted(files):
        name = path.relative_to(root)
        if not set(SKIPPED) & set(name.parts) and (path.suffix in CXX or is_script(path)):
            yield Source(name.as_posix(), path.read_text(encoding="utf-8"))


def is_script(path):
    if path.suffix in SCRIPTS or path.name in ("meson.build", "meson_options.txt"):
        return True
    with path.open("rb") as file:
        return path.suffix == "" and file.read(2) == b"#!"
