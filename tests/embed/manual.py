# SPDX-License-Identifier: Apache-2.0
"""outrider.3 from outrider.h: what the header's comments say, in mdoc(7)."""

import re


def escape(text):
    text = text.replace("\\", "\\e").replace("…", "...")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.splitlines())


def filled(lines):
    """A paragraph, each sentence on a line of its own."""
    text = " ".join(line.strip() for line in lines)
    return re.sub(r"(?<=[A-Za-z0-9_)}\"]\.) (?=[A-Z`{]|outrider_)", "\n", text)


def paragraphs(comment):
    lines = [re.sub(r"^\s*(/\*+|\*/|\*)? ?", "", line).removesuffix("*/").rstrip() for line in comment.splitlines()]
    found = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [filled(one) for one in found if one]


def overview(header):
    """The paragraphs of the first comment that are no programs."""
    first = header.split("*/")[0]
    for paragraph in paragraphs(first):
        if "SPDX" in paragraph or "#include" in paragraph or re.match(r"Program \d", paragraph):
            continue
        yield paragraph.replace("outrider.h: an Outrider", "An Outrider", 1)


def functions(header):
    """(section, name, declaration, comment)"""
    section = ""
    pattern = re.compile(r"/\* --- (?P<section>[^-]*?) -+ \*/|"
                         r"/\* (?P<comment>(?:(?!\*/).)*)\*/\nOUTRIDER_API (?P<declaration>[^;]*);", re.S)
    for found in pattern.finditer(header):
        if found["section"]:
            section = found["section"]
        else:
            declaration = re.sub(r"\s+", " ", found["declaration"])
            yield section, re.search(r"\b(outrider_\w+)\(", declaration)[1], declaration, found["comment"]


def declaration_rows(declaration):
    result, name, arguments = re.match(r"(.*?)(outrider_\w+)\((.*)\)$", declaration).groups()
    words = " ".join(f'"{one.strip()}"' for one in arguments.split(",")) if arguments != "void" else "void"
    return [f".Ft {escape(result.strip())}", f".Fn {name} {words}"]


def members(header):
    body = re.search(r"typedef struct outrider_options \{(.*?)\n\}", header, re.S)[1]
    pattern = re.compile(r"(?:/\*(?P<before>(?:(?!\*/).)*)\*/\s*)?"
                         r"(?P<declaration>\w[^;]*?);(?:[ \t]*/\*(?P<behind>(?:(?!\*/).)*)\*/)?", re.S)
    for found in pattern.finditer(body):
        yield re.sub(r"\s+", " ", found["declaration"]), " ".join(paragraphs(found["before"] or found["behind"] or ""))


def errors(header):
    return re.findall(r"#define (OUTRIDER_E\w+) \((-\d+)\)\s*/\* (.*?) \*/", header)


def manual(header, programs, date):
    out = [".\\\" SPDX-License-Identifier: Apache-2.0",
           ".\\\" Made from include/outrider.h: OUTRIDER_WRITE_MAN=1 tests/embed/header_test.py BUILD",
           f".Dd {date}", ".Dt OUTRIDER 3", ".Os", ".Sh NAME", ".Nm outrider",
           ".Nd an agent for service discovery inside a program", ".Sh LIBRARY", "liboutrider, -loutrider",
           ".Sh SYNOPSIS", ".In outrider.h"]
    rows = list(functions(header))
    for _, _, declaration, _ in rows:
        out += declaration_rows(declaration)
    out.append(".Sh DESCRIPTION")
    for number, paragraph in enumerate(overview(header)):
        out += [".Pp"] * (number > 0) + [escape(paragraph)]
    section = None
    for where, name, _, comment in rows:
        if where != section:
            out += [".El"] * (section is not None) + [f".Ss {escape(where)}", ".Bl -tag -width Ds"]
            section = where
        out += [f".It Fn {name}"]
        for number, paragraph in enumerate(paragraphs(comment)):
            out += [".Pp"] * (number > 0) + [escape(paragraph)]
    out += [".El", ".Ss Options", ".Bl -tag -width Ds"]
    for declaration, text in members(header):
        out += [f".It Vt {escape(declaration)}", escape(text)]
    out += [".El", ".Sh RETURN VALUES", ".Bl -tag -width Ds"]
    for name, number, text in errors(header):
        out += [f".It Dv {name} Pq {number}", escape(text[0].upper() + text[1:] + ".")]
    out += [".El", ".Sh EXAMPLES"]
    for program, what in zip(programs, re.findall(r"Program \d: (.*)", header)):
        out += [f"{escape(what[0].upper() + what[1:])}:", ".Bd -literal -offset indent",
                escape(program.rstrip("\n")), ".Ed", ".Pp"]
    out.pop()
    out += [".Sh SEE ALSO", ".Xr outrider 1 ,", ".Xr outrider.json 5 ,", ".Xr outrider-api 7 ,",
            ".Xr outrider-agent 8"]
    return "\n".join(out) + "\n"
