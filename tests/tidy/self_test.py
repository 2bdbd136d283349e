#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad snippets that each rule must find, and good ones that no rule may."""

import sys

import rules
from source import Source

HEAD = "// SPDX-License-Identifier: Apache-2.0\n"
LONG = "  work();\n"

# (rule, path, text, a part of what it must say)
BAD = [
    ("layers", "base/x.cc", '#include "dns/wire/name.h"\n', "base must not lean on dns/wire"),
    ("layers", "mdns/x.h", '#include "dns/local_zone.h"\n', "mdns must not lean on dns "),
    ("layers", "mdns/x.h", '#include "probes/probe.h"\n', "mdns must not lean on probes"),
    ("layers", "dns/x.h", '#include "agent/agent.h"\n', "dns must not lean on agent"),
    ("layers", "agent/doors/x.cc", '#include "agent/farp/txt.h"\n', "must not lean on agent/farp"),
    ("layers", "agent/registry/x.cc", '#include "agent/doors/api.h"\n', "must not lean on agent/doors"),
    ("layers", "agent/agent.h", '#include "base/uv/loop.h"\n', "must not lean on base/uv"),
    ("layers", "agent/x.cc", '#include "agent/process/supervisor.h"\n', "must not lean on agent/process"),
    ("layers", "agent/farp/x.cc", '#include "agent/doors/api.h"\n', "must not lean on agent/doors"),
    ("layers", "mdns/avahi/x.cc", '#include "mdns/native/cache.h"\n', "must not lean on mdns/native"),
    ("layers", "mdns/native/x.cc", '#include "mdns/avahi/client.h"\n', "must not lean on mdns/avahi"),
    ("layers", "dns/x.cc", '#include "name.h"\n', "is in no room"),
    ("owners", "dns/x.cc", "#include <uv.h>\n", "belongs to base/uv/"),
    ("owners", "mdns/x.cc", "#include <ares.h>\n", "belongs to dns/"),
    ("owners", "dns/x.cc", "#include <avahi-client/client.h>\n", "belongs to mdns/avahi/"),
    ("owners", "agent/x.cc", "#include <simdjson.h>\n", "belongs to base/json.cc"),
    ("owners", "agent/x.cc", "#include <curl/curl.h>\n", "belongs to base/curl/module/"),
    ("owners", "probes/x.cc", "#include <http_parser.h>\n", "belongs to base/http/parser.cc"),
    ("owners", "dns/x.cc", "#include <sys/socket.h>\n", "spoken to in base/uv"),
    ("owners", "agent/x.cc", "#include <sys/socket.h>\n", "spoken to in base/uv"),
    ("words", "dns/x.cc", "int x = std::rand();\n", "Env::random"),
    ("words", "mdns/x.cc", "std::random_device device;\n", "Env::random"),
    ("words", "tests/dns/x.cc", "std::this_thread::sleep_for(1s);\n", "Env::timers"),
    ("words", "probes/x.cc", "auto now = std::chrono::steady_clock::now();\n", "Env::clock"),
    ("words", "dns/x.cc", "port = htons(53);\n", "ByteWriter"),
    ("words", "dns/x.cc", "std::memcpy(&header, data, sizeof header);\n", "ByteReader"),
    ("words", "dns/x.cc", "auto* header = reinterpret_cast<Header*>(data);\n", "as_bytes"),
    ("words", "agent/farp/x.cc", "throw std::runtime_error(why);\n", "Result"),
    ("words", "dns/x.cc", "std::mutex lock;\n", "one loop"),
    ("words", "agent/doors/x.cc", "int port = atoi(text);\n", "from_chars"),
    ("words", "dns/x.cc", "assert(size > 0);\n", "OUTRIDER_ASSERT"),
    ("defaults", "dns/x.cc", "    default:\n      break;\n", "enumerators to come"),
    ("namespaces", "dns/x.h", "using namespace outrider;\n", "reaches everybody"),
    ("log_keys", "dns/x.cc", 'EVENT(a_failed, info, "peer", "")\nlog.record(LogEvent::a_failed, {{"why", x}});\n',
     'has no key "why"'),
    ("leftovers", "dns/x.cc", "// TO" "DO: later\n", "finish it"),
    ("leftovers", "dns/x.cc", "  // cache.insert(name);\n", "code in a comment"),
    ("leftovers", "dns/x.cc", "//return found;\n", "code in a comment"),
    ("leftovers", "dns/x.cc", "// if (found) {\n", "code in a comment"),
    ("leftovers", "dns/x.cc", 'open("/home/me/file");\n', "one machine"),
    ("spaces", "dns/x.cc", "int a;" + " " * 90 + "int b;\n", "102 columns"),
    ("spaces", "dns/x.cc", "\tint a;\n", "a tab"),
    ("spaces", "dns/x.cc", "int a; \n", "blanks"),
    ("spaces", "dns/x.cc", "int a;", "one newline"),
    ("heads", "dns/x.cc", "// Names.\n", "SPDX"),
    ("heads", "tests/x.py", "#!/usr/bin/python3\nimport sys\n", "SPDX"),
    ("heads", "dns/x.h", HEAD + "int a;\n", "#pragma once"),
    ("file_lengths", "dns/x.cc", "\n" * 601, "601 lines, at most 600"),
    ("function_lengths", "dns/x.cc", "void f() {\n" + LONG * 69 + "}\n", "71 lines, at most 70"),
    ("function_lengths", "dns/x.cc", "struct S {\n  int f() const {\n" + LONG * 69 + "  }\n};\n", "71 lines"),
    ("function_lengths", "dns/x.cc", "template <class T>\nvoid f(T t) {\n" + LONG * 69 + "}\n", "72 lines"),
    ("built", "dns/x.cc", HEAD, "in no meson.build"),
]

# (path, text): clean under every rule but `heads`, `built` and the length of its own head.
GOOD = [
    ("dns/x.cc", '#include "base/net.h"\n#include "dns/wire/name.h"\n#include <vector>\n#include <cstdint>\n'),
    ("agent/cli/main.cc", '#include "base/uv/loop.h"\n#include <unistd.h>\n'),
    ("base/uv/x.cc", "#include <uv.h>\n#include <sys/socket.h>\n"),
    ("dns/x.cc", 'log("std::rand() and htons( in a string, /* too");  // and sleep( in a comment\n'),
    ("dns/x.cc", "    default:  // numbers without a meaning\n"),
    ("dns/x.cc", "static_assert(sizeof(int) == 4);\nOUTRIDER_ASSERT(ok);\nhost.sleep();\n"),
    ("dns/x.h", "//   Cache cache(100);    // an example is indented\n// It ends here; nothing follows.\n"),
    ("dns/x.cc", "struct S {\n" + "  int f() { return 1'000'000; }\n" * 100 + "};\n"),
    ("base/callback.h", "template <class R, class... A>\nclass C<R(A...)> {\n" + "  int a;\n" * 100 + "};\n"),
    ("dns/x.cc", "constexpr int kTable[] = {\n" + "    1,\n" * 100 + "};\n"),
    ("dns/x.cc", 'auto s = R"(a "quoted" { thing // )";\nvoid f() {}\n'),
]


def main():
    by_name = {rule.__name__: rule for rule in rules.RULES}
    failures = []
    for name, path, text, said in BAD:
        found = [what for _, _, what in by_name[name]([Source(path, text)])]
        if not any(said in what for what in found):
            failures.append(f"{name} did not say \"{said}\" of {path}: {text[:60]!r}; it said {found}")
    for path, text in GOOD:
        for rule in rules.RULES:
            if rule.__name__ not in ("heads", "built"):
                found = rule([Source(path, text)])
                failures += [f"{rule.__name__} said \"{what}\" of {text[:60]!r}" for _, _, what in found]
    untried = set(by_name) - {name for name, *_ in BAD}
    failures += [f"no bad snippet for {name}" for name in untried]
    print("\n".join(failures) if failures else "all found, nothing else")
    print(f"{len(BAD) + len(GOOD) - len(failures)} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
