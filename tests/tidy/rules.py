# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, one function each. A rule gets all sources and yields (path, line, what is wrong).

What each message says last is where the thing belongs. Exceptions are rows with a reason, never a switch in the code.
"""

import re

COLUMNS = 100
SCRIPT_COLUMNS = 120
FUNCTION_LINES = 70
TEST_CASE_LINES = 100  # a table of cases is a list, not logic
FILE_LINES = 600
TEST_FILE_LINES = 800

# path: why it may be longer than FILE_LINES.
LONG_FILES = {}

# --- layers ------------------------------------------------------------------------------------------------------

# What the three rooms above the agent may use: everything, the loop included.
BELOW_AGENT = ("base", "base/curl", "base/http", "base/http2", "base/uv", "dns/wire", "dns", "mdns", "mdns/choice",
               "probes", "registries", "agent/registry", "agent/config", "agent/doors", "agent/doors/etcd",
               "agent/bridge", "agent/farp", "agent/lan")
# room: the rooms that it may lean on, itself apart (DESIGN §2).
LAYERS = {
    "base": (),
    "base/curl": ("base",),
    "base/http": ("base", "base/curl"),
    "base/http2": ("base", "base/http"),
    "base/uv": ("base",),
    "dns/wire": ("base",),
    "dns": ("base", "dns/wire"),
    "mdns": ("base", "dns/wire"),
    "mdns/choice": ("base", "dns/wire", "mdns", "mdns/native", "mdns/avahi"),
    "mdns/native": ("base", "dns/wire", "mdns"),
    "mdns/avahi": ("base", "dns/wire", "mdns"),
    "probes": ("base", "base/curl", "base/http"),
    "registries": ("base", "base/http"),
    "agent/registry": ("base", "dns/wire"),
    "agent/config": ("base", "base/http", "dns/wire", "registries", "agent/registry"),
    "agent/doors": ("base", "base/http", "dns/wire", "agent/registry"),
    "agent/doors/etcd": ("base", "base/http", "base/http2", "dns/wire", "registries", "agent/registry",
                         "agent/doors"),
    "agent/bridge": ("base", "base/http", "dns/wire", "agent/registry", "agent/doors"),
    "agent/farp": ("base", "base/http", "dns/wire", "agent/registry"),
    "agent/lan": ("base", "dns/wire", "dns", "mdns", "agent/registry", "agent/config", "agent/doors", "agent/farp"),
    "agent": ("base", "base/http", "base/http2", "dns/wire", "dns", "mdns", "probes", "registries",
              "agent/registry", "agent/config", "agent/doors", "agent/doors/etcd", "agent/bridge", "agent/farp",
              "agent/lan"),
    "agent/process": (*BELOW_AGENT, "agent"),
    "agent/cli": (*BELOW_AGENT, "agent", "agent/process"),
    "agent/embed": (*BELOW_AGENT, "agent", "agent/process", "include"),
    "include": (),
}
HERE = "an #include goes from the root (\"base/net.h\") and leans downwards: base <- dns <- mdns, base <- probes, " \
       "base <- registries, agent on top"


def layers(sources):
    for source in rooms(sources):
        room = source.room(LAYERS)
        for number, name, quoted in source.includes:
            target = max((r for r in LAYERS if name.startswith(r + "/")), key=len, default=None)
            if not quoted:
                continue
            if name == "outrider.h" or name == "outrider.hpp":
                target = "include"
            if target is None:
                yield source.path, number, f'"{name}" is in no room; {HERE}'
            elif target != room and target not in LAYERS[room]:
                yield source.path, number, f"{room} must not lean on {target} ({name}); {HERE}"


# --- outside libraries -------------------------------------------------------------------------------------------

# A header of a library: who includes it, a file or a folder. Its types never cross the owner's header.
OWNERS = (
    (r"uv\.h", "base/uv/"),
    (r"ares.*\.h", "dns/"),
    (r"avahi-.*", "mdns/avahi/"),
    (r"simdjson\.h", "base/json.cc"),
    (r"curl/.*", "base/curl/module/"),
    (r"re2/.*", "base/re2_module/"),
    (r"nghttp2/.*", "base/http2/nghttp2_module/"),
    (r"qrencode\.h", "base/qr_module/"),
    (r"http_parser\.h|llhttp\.h", "base/http/parser.cc"),
    (r"tl/expected\.hpp", "base/result.h"),
    (r"sha2\.h|sys/types\.h", "agent/farp/canonical.cc"),
    (r"dlfcn\.h", "base/module.cc"),
    (r"cjson/.*|doctest/.*", "tests/"),
)
# C headers that carry no system call are free; the kernel is spoken to in base/uv, and in a few more places.
FREE = re.compile(r"(std[a-z]+|string|math|errno|limits|assert|float)\.h")
SYSTEM_USERS = re.compile(r"base/(uv|curl/module)/.*|base/(address|module|socket_silence|(text|trusted)_file)\.cc|"
                          r"agent/(process|cli|embed)/.*|mdns/avahi/.*|dns/upstream_ares\.cc|(tests|bench)/.*")


def owners(sources):
    seen = {}
    for source in cxx(sources):
        for number, name, quoted in source.includes:
            owner = next((where for what, where in OWNERS if re.fullmatch(what, name)), None)
            if owner is not None and not source.path.startswith("tests/"):
                if not source.path.startswith(tuple(owner.split("|"))):
                    yield source.path, number, f"<{name}> belongs to {owner} alone"
                elif not owner.endswith("/") or owner == "dns/":
                    first = seen.setdefault((owner, name), source.path)
                    if first != source.path:
                        yield source.path, number, f"<{name}> has an owner already: {first}"
            elif owner is None and not quoted and name.endswith(".h") and not FREE.fullmatch(name):
                if not SYSTEM_USERS.fullmatch(source.path):
                    yield source.path, number, f"<{name}>: the system is spoken to in base/uv"


# --- words -------------------------------------------------------------------------------------------------------

# (what, who may, what to do instead)
BANNED = (
    (r"std::rand\b|\bs?rand\(|random_device|mt19937", r"base/uv/.*", "Env::random"),
    (r"(?<!\.)\b(u?sleep|nanosleep)\(|sleep_for|sleep_until", r"tests/real/.*|tests/sim/.*|bench/.*",
     "a timer of Env::timers; tests step the simulated clock"),
    (r"system_clock::now|steady_clock|high_resolution_clock|clock_gettime|gettimeofday|\btime\(nullptr\)",
     r"base/uv/.*|tests/real/.*|bench/.*", "Env::clock, or `now` as an argument"),
    (r"\b(hton|ntoh)[sl]\(|\b(htobe|be)(16|32|64)", r"base/uv/.*|tests/.*|bench/.*", "ByteReader and ByteWriter"),
    (r"\bmem(cpy|move)\(", r"base/bytes\.h|base/uv/.*|dns/wire/name\.cc|dns/zone_store\.(h|cc)|tests/.*|bench/.*",
     "ByteReader, ByteWriter or std::ranges::copy"),
    (r"reinterpret_cast",
     r"base/(bytes\.h|http/parser\.cc|uv/.*)|dns/zone_store\.(h|cc)|agent/farp/canonical\.cc|mdns/avahi/.*|"
     r"agent/(embed/capi|process/service_manager)\.cc|"
     r"tests/.*|bench/.*", "as_bytes and as_text of base/bytes.h"),
    (r"\bthrow\b|\bcatch\s*\(|\btry\s*\{",
     r"tests/.*|bench/.*|include/outrider\.hpp|base/(json\.cc|uv/(handle\.h|udp\.cc))|agent/embed/(capi\.cc|guard\.h)",
     "Result (base/result.h)"),
    (r"std::(thread|mutex|async\b|condition_variable)", r"mdns/avahi/.*|agent/embed/.*|tests/.*|bench/.*",
     "one loop; what blocks gets a thread in its owner's folder"),
    (r"\b(atoi|atol|strtoul?|strtol|sprintf|strcpy|strcat|gets|strtok)\(", r"", "std::from_chars, std::string"),
    (r"std::(cout|cerr|regex)\b", r"agent/(process|cli)/.*\.cc|tests/.*|bench/.*", "Env::log"),
    (r"\bassert\(", r"tests/.*|bench/.*", "OUTRIDER_ASSERT, and only for our own mistakes"),
)


def words(sources):
    for source in cxx(sources):
        for number, line in enumerate(source.code, 1):
            for what, who, instead in BANNED:
                found = re.search(what, line)
                if found and not re.fullmatch(who, source.path) and not line.lstrip().startswith("#"):
                    yield source.path, number, f"{found[0].strip('( {')} is not for here; use {instead}"


def defaults(sources):
    for source in cxx(sources):
        for number, (code, line) in enumerate(zip(source.code, source.lines), 1):
            if re.search(r"\bdefault:", code) and not re.search(r"default:.*// \w", line):
                yield (source.path, number, "default: hides the enumerators to come; name them all. Over an open set "
                       "(numbers of a protocol, errno) say so in a comment on the line")


def namespaces(sources):
    for source in cxx(sources):
        for number, line in enumerate(source.code, 1):
            if source.path.endswith((".h", ".hpp")) and re.search(r"\busing namespace (?!std::\w*_literals)", line):
                yield source.path, number, "using namespace in a header reaches everybody; write the names out"


EVENT_ROW = re.compile(r'EVENT\((\w+),\s*\w+,\s*"([^"]*)"')
RECORD = re.compile(r"record\((?:[^;{]*\? )?LogEvent::(\w+)([^;]*);")


def log_keys(sources):
    """The keys of a logged event are those of its row in base/log_events.h."""
    rows = {name: keys.split() for source in cxx(sources) for name, keys in EVENT_ROW.findall(source.text)}
    for source in cxx(sources):
        for found in RECORD.finditer(source.text):
            for key in re.findall(r'\{\s*"(\w+)",', found[2]):
                if found[1] in rows and key not in rows[found[1]]:
                    line = source.text.count("\n", 0, found.start()) + 1
                    yield source.path, line, f'{found[1]} has no key "{key}"; its row is in base/log_events.h'


# --- leftovers ---------------------------------------------------------------------------------------------------

LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HACK|NOCOMMIT)\b")
HOME = re.compile(r"(?<![\w.])/(home/(?!user\b|\$)\w|root/|Users/|work/)")
COMMENTED = re.compile(
    r"^\s*//\s?(?! )(?:"
    r"#include\s.*|return\b[^.]*;|\}|(?:if|for|while|switch) \(.*[{;]|"
    r"(?:const |auto |std::|static_cast)[\w:<>&* ]*=.*;|[\w.>:-]+\(.*\);|[\w.>\[\]-]+ = [^.]*;)\s*$")


def leftovers(sources):
    for source in sources:
        for number, line in enumerate(source.lines, 1):
            if source.path.startswith("tests/tidy/"):
                continue
            if LEFTOVER.search(line):
                yield source.path, number, f"{LEFTOVER.search(line)[0]}: finish it, or leave it out"
            if HOME.search(line):
                yield source.path, number, "a path of one machine"
            if source.cxx and COMMENTED.search(line):
                yield source.path, number, "code in a comment; the history keeps what is gone"


# --- shape -------------------------------------------------------------------------------------------------------

def spaces(sources):
    for source in sources:
        most = COLUMNS if source.cxx else SCRIPT_COLUMNS
        listing = source.path.endswith("meson.build")  # rows of targets and their dependencies
        for number, line in enumerate(source.lines, 1):
            if len(line) > most and not listing:
                yield source.path, number, f"{len(line)} columns, at most {most}"
            # make(1) asks for one in front of a command.
            if "\t" in (line[1:] if source.path.endswith("debian/rules") else line):
                yield source.path, number, "a tab; indent with spaces"
            if line != line.rstrip():
                yield source.path, number, "blanks at the end of the line"
        if not source.text.endswith("\n") or source.text.endswith("\n\n"):
            yield source.path, len(source.lines), "the file ends with exactly one newline"


def heads(sources):
    for source in sources:
        if source.path.endswith(("meson.build", "meson_options.txt")):
            continue
        top = source.lines[1 if source.lines[0].startswith("#!") else 0]
        mark = "//" if source.cxx else "#"
        if source.path.endswith("outrider.h"):
            mark = "/*"
        if not top.startswith(f"{mark} SPDX-License-Identifier: Apache-2.0"):
            yield source.path, 1, f"begins with `{mark} SPDX-License-Identifier: Apache-2.0`"
        installed = source.path.startswith("include/")
        if source.path.endswith(".h") and "#pragma once" not in source.lines and not installed:
            yield source.path, 1, "#pragma once is missing"


def file_lengths(sources):
    for source in cxx(sources):
        lines = len(source.lines) - 1
        most = TEST_FILE_LINES if source.path.startswith("tests/") else FILE_LINES
        if lines > most and source.path not in LONG_FILES:
            yield source.path, lines, f"{lines} lines, at most {most}: are there two types in it?"


def function_lengths(sources):
    for source in cxx(sources):
        for first, last in functions(source.code):
            lines = last - first + 1
            most = TEST_CASE_LINES if source.code[first - 1].startswith("TEST_CASE") else FUNCTION_LINES
            if lines > most:
                yield source.path, first, f"a function of {lines} lines, at most {most}"


TYPE_HEAD = re.compile(r"\s*(template\s*)?(requires\b.*)?(class|struct|union|enum|namespace|extern)\b")


def opens_function(head):
    """Whether `head {` begins a function, a lambda or a control statement rather than a type or a list of values."""
    plain = head
    while (without := re.sub(r"<[^<>]*>", "", plain)) != plain:
        plain = without
    return ")" in plain and not TYPE_HEAD.match(plain)


def functions(code):
    """First and last line of each outermost function. Preprocessor lines are no part of it."""
    stack = []  # (kind, first line)
    head, head_line = "", 1
    for number, line in enumerate(code, 1):
        if line.lstrip().startswith("#"):
            continue
        for char in line:
            if char == "{":
                stack.append(("function" if opens_function(head) else "other", head_line))
            elif char == "}" and stack:
                kind, first = stack.pop()
                if kind == "function" and not any(outer == "function" for outer, _ in stack):
                    yield first, number
            if char in "{};":
                head, head_line = "", number
            else:
                if not head.strip() and not char.isspace():
                    head_line = number
                head += char
        head += " "


# --- build -------------------------------------------------------------------------------------------------------

def built(sources):
    """Every .cc is named in the meson.build of its folder or of one above it."""
    builds = {source.path: source.text for source in sources if source.path.endswith("meson.build")}
    for source in cxx(sources):
        folder, _, name = source.path.rpartition("/")
        if not name.endswith(".cc"):
            continue
        # Fuzz targets are rows: 'json' stands for json_fuzz.cc.
        wanted = [f"{name}'", f"'{name.removesuffix('_fuzz.cc')}'"]
        texts = []
        while folder:
            texts.append(builds.get(f"{folder}/meson.build", ""))
            folder = folder.rpartition("/")[0]
        if not any(row in text for row in wanted for text in texts):
            yield source.path, 1, "in no meson.build: it is not compiled"


def cxx(sources):
    return [source for source in sources if source.cxx]


def rooms(sources):
    """The house itself: tests and benchmarks may look into every room."""
    outside = ("tests/", "bench/")
    return [source for source in cxx(sources) if source.room(LAYERS) and not source.path.startswith(outside)]


RULES = (layers, owners, words, defaults, namespaces, log_keys, leftovers, spaces, heads, file_lengths,
         function_lengths, built)
