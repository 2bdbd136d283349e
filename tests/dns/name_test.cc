// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/name.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/dns/hex.h"

using namespace outrider;
using namespace outrider::dns;
using outrider::test::hex;

namespace {

Name name(std::string_view text) {
  const auto parsed = Name::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

std::optional<Name> read_at(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  ByteReader reader(bytes);
  reader.seek(at);
  auto found = Name::read(reader);
  CHECK(found.has_value() == reader.ok());
  return found;
}

Name random_name(SeededRandom& random) {
  Name made;
  const auto labels = random.below(6);
  for (std::uint64_t i = 0; i < labels; ++i) {
    std::string label(1 + random.below(random.below(8) == 0 ? 63 : 6), '\0');
    for (char& c : label)
      c = static_cast<char>(random.below(4) == 0 ? random.u64() : 'a' + random.below(26));
    if (const auto longer = made.child(label)) made = *longer;
  }
  return made;
}

}  // namespace

TEST_CASE("names are parsed from text and printed back") {
  struct Row {
    std::string_view text, printed;
  };
  for (const Row& row : {Row{"a.b.", "a.b."}, Row{"a.b", "a.b."}, Row{".", "."},
                         Row{"Hello.SVC", "Hello.SVC."}, Row{"a\\.b.c", "a\\.b.c."},
                         Row{"\\097\\010", "a\\010."}, Row{"_http._tcp.svc", "_http._tcp.svc."},
                         Row{"a b", "a\\032b."}, Row{"\\\"x\\\\", "\\\"x\\\\."}}) {
    CHECK(name(row.text).to_string() == row.printed);
    CHECK(name(row.printed) == name(row.text));
  }
  CHECK(name("a.b").to_display() == "a.b");
  CHECK(name(".").to_display() == ".");
}

TEST_CASE("text that is no name is refused") {
  const std::string label(63, 'a');
  for (const std::string& text :
       {std::string(), std::string(".."), std::string(".a"), std::string("a..b"), "a" + label,
        std::string("a\\"), std::string("\\25"), std::string("\\256"), std::string("\\1x2"),
        label + '.' + label + '.' + label + '.' + label}) {
    CHECK_MESSAGE(!Name::parse(text), text);
  }
  // 255 octets are just allowed: 63 + 63 + 63 + 61 and five length octets.
  const std::string longest = label + '.' + label + '.' + label + '.' + label.substr(2);
  CHECK(name(longest).wire().size() == kNameBytesMax);
  CHECK(!name(longest).child("x"));
  CHECK(!Name::parse(label + '.' + label + '.' + label + '.' + label.substr(1)));
}

TEST_CASE("labels, parents and zones") {
  const Name full = name("id.Hello.svc");
  CHECK(full.label_count() == 3);
  CHECK(full.label(0) == "id");
  CHECK(full.label(2) == "svc");
  CHECK(full.parent() == name("hello.SVC"));
  CHECK(full.parent().parent().parent().is_root());
  CHECK(Name().parent().is_root());
  CHECK(full.is_under(name("SVC")));
  CHECK(full.is_under(full));
  CHECK(full.is_under(Name()));
  CHECK(!full.is_under(name("vc")));
  CHECK(!name("svc").is_under(full));
  CHECK(!name("xsvc").is_under(name("svc")));
  CHECK(full.child("x")->to_string() == "x.id.Hello.svc.");
  CHECK(!full.child(""));
  CHECK(name("svc").prepend(name("a.b"))->to_string() == "a.b.svc.");
  CHECK(full.lowercase().to_string() == "id.hello.svc.");
  CHECK(Name::from_labels({"a", "b.c"})->to_string() == "a.b\\.c.");
  CHECK(!Name::from_labels({"a", ""}));
}

TEST_CASE("case is kept and does not matter") {
  const Name lower = name("hello.svc"), mixed = name("hELLo.Svc");
  CHECK(lower == mixed);
  CHECK(lower.hash(1) == mixed.hash(1));
  CHECK((lower <=> mixed) == 0);
  CHECK(!lower.same_case(mixed));
  CHECK(lower != name("hello.svd"));
  CHECK(name("[.svc") != name("{.svc"));  // only letters fold: 0x5b and 0x7b differ by 0x20 too
  CHECK(name("[").hash(1) != name("{").hash(1));
  CHECK(name("@").hash(1) != name("`").hash(1));
}

TEST_CASE("canonical order of RFC 4034 section 6.1") {
  const std::vector<std::string_view> ordered = {
      "example",   "a.example",       "yljkjljk.a.example", "Z.a.example",    "zABC.a.EXAMPLE",
      "z.example", "\\001.z.example", "*.z.example",        "\\200.z.example"};
  for (std::size_t i = 0; i < ordered.size(); ++i)
    for (std::size_t j = 0; j < ordered.size(); ++j)
      CHECK((name(ordered[i]) <=> name(ordered[j])) == (i <=> j));
}

TEST_CASE("a hash folds exactly the letters") {
  for (unsigned octet = 0; octet < 256; ++octet) {
    for (std::size_t place = 0; place < 9; ++place) {
      std::string plain(9, 'x'), folded(9, 'x');
      plain[place] = static_cast<char>(octet);
      folded[place] = static_cast<char>(octet >= 'A' && octet <= 'Z' ? octet + 32 : octet);
      const Name a = *Name::from_labels({plain}), b = *Name::from_labels({folded});
      CHECK(a == b);
      CHECK(a.hash(1) == b.hash(1));
      CHECK(a.lowercase().same_case(b));
    }
  }
}

TEST_CASE("compressed names are read") {
  // RFC 1035 §4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
  std::vector<std::uint8_t> bytes(93, 0xff);
  std::ranges::copy(hex("01 46 03 495349 04 41525041 00"), bytes.begin() + 20);
  std::ranges::copy(hex("03 464f4f c014"), bytes.begin() + 40);
  std::ranges::copy(hex("c01a"), bytes.begin() + 64);
  bytes[92] = 0;
  CHECK(read_at(bytes, 20)->to_string() == "F.ISI.ARPA.");
  CHECK(read_at(bytes, 40)->to_string() == "FOO.F.ISI.ARPA.");
  CHECK(read_at(bytes, 64)->to_string() == "ARPA.");
  CHECK(read_at(bytes, 92)->is_root());
  ByteReader reader(bytes);
  reader.seek(40);
  REQUIRE(Name::read(reader));
  CHECK(reader.position() == 46);
}

TEST_CASE("pointers that do not go strictly backwards are refused") {
  CHECK(!read_at(hex("c000"), 0));            // itself
  CHECK(!read_at(hex("c002 0161 00"), 0));    // forwards
  CHECK(!read_at(hex("0161 c000"), 0));       // into the name that is being read
  CHECK(!read_at(hex("c002 c000"), 2));       // itself
  CHECK(!read_at(hex("0161 c004 c000"), 4));  // back, then forwards to the start
  CHECK(!read_at(hex("c0"), 0));              // cut off
  CHECK(!read_at(hex("0561"), 0));
  CHECK(!read_at(hex("4161 00"), 0));  // label types 01 and 10
  CHECK(!read_at(hex("8161 00"), 0));
  CHECK(!read_at({}, 0));
}

TEST_CASE("pointer chains end at sixteen hops, names at 255 octets") {
  std::vector<std::uint8_t> chain = hex("0161 00");
  for (unsigned i = 0; i < kPointerHopsMax + 1; ++i) {
    const std::size_t last = i == 0 ? 0 : chain.size() - 2;
    chain.push_back(static_cast<std::uint8_t>(0xc0 | last >> 8));
    chain.push_back(static_cast<std::uint8_t>(last));
  }
  CHECK(read_at(chain, chain.size() - 4)->to_string() == "a.");
  CHECK(!read_at(chain, chain.size() - 2));

  // Each step adds 50 octets: five fit, the sixth does not.
  std::vector<std::uint8_t> grow = {0};
  std::vector<std::size_t> starts = {0};
  for (int i = 0; i < 6; ++i) {
    const std::size_t last = starts.back();
    starts.push_back(grow.size());
    grow.push_back(49);
    grow.insert(grow.end(), 49, 'x');
    grow.push_back(static_cast<std::uint8_t>(0xc0 | last >> 8));
    grow.push_back(static_cast<std::uint8_t>(last));
  }
  CHECK(read_at(grow, starts[5])->wire().size() == 251);
  CHECK(!read_at(grow, starts[6]));
}

TEST_CASE("names survive wire, text and order") {
  SeededRandom random(7);
  std::set<Name> seen;
  for (int i = 0; i < 2'000; ++i) {
    const Name made = random_name(random);
    CHECK(Name::from_wire(made.wire())->same_case(made));
    CHECK(Name::parse(made.to_string())->same_case(made));
    CHECK(made.lowercase() == made);
    CHECK(made.lowercase().hash(1) == made.hash(1));
    CHECK(made.is_under(made.parent()));
    seen.insert(made);
  }
  CHECK(std::ranges::is_sorted(seen));
}

TEST_CASE("a name of any length is copied and moved; what is left is the root") {
  SeededRandom random(8);
  const Name root;
  for (int i = 0; i < 500; ++i) {
    const Name first = random_name(random), second = random_name(random);
    Name copy = first;
    CHECK(copy.same_case(first));
    copy = second;
    CHECK(copy.same_case(second));
    Name& itself = copy;
    copy = itself;
    copy = std::move(itself);
    CHECK(copy.same_case(second));
    Name moved = std::move(copy);
    CHECK(moved.same_case(second));
    CHECK(copy.same_case(root));
    copy = first;
    moved = std::move(copy);
    CHECK(moved.same_case(first));
    CHECK(copy.is_root());
  }
}

TEST_CASE("from_wire takes exactly one name") {
  CHECK(Name::from_wire(hex("0161 00"))->to_string() == "a.");
  CHECK(!Name::from_wire(hex("0161 00 00")));
  CHECK(!Name::from_wire(hex("0161")));
  CHECK(!Name::from_wire(hex("c000")));
  CHECK(!Name::from_wire({}));
}
