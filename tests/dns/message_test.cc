// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "base/random.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "tests/dns/hex.h"
#include "tests/rr_type.h"

using namespace outrider;
using namespace outrider::dns;
using outrider::test::hex;
using outrider::test::parse_type;

namespace {

Name name(std::string_view text) {
  const auto parsed = Name::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

Record record(std::string_view owner, RrType type, Rdata data, Ttl ttl = 5) {
  Record made;
  made.name = name(owner);
  made.type = type;
  made.ttl = ttl;
  made.data = std::move(data);
  return made;
}

struct Walked {
  std::vector<SectionRecord> records;
  bool failed = false;
  WireError error = WireError::bad_record;
};
Walked walk(Bytes bytes) {
  Walked walked;
  const auto view = MessageView::parse(bytes);
  if (!view) {
    walked.failed = true;
    walked.error = view.error();
    return walked;
  }
  auto cursor = view->records();
  while (auto next = cursor.next())
    walked.records.push_back(std::move(*next));
  walked.failed = cursor.failed();
  walked.error = cursor.error();
  return walked;
}

/// One record of the type with this RDATA, after a header that announces one answer.
std::optional<Record> read_one(std::uint16_t type, std::string_view rdata,
                               std::uint16_t rr_class = 1) {
  std::array<std::uint8_t, 512> buffer{};
  MessageBuilder builder(buffer);
  Record raw = record("a.b", static_cast<RrType>(type), RawData{hex(rdata)});
  raw.rr_class = static_cast<RrClass>(rr_class);
  REQUIRE(builder.add(Section::answer, raw));
  const Walked walked = walk(builder.finish());
  if (walked.failed) {
    CHECK(walked.error == WireError::bad_rdata);
    return std::nullopt;
  }
  REQUIRE(walked.records.size() == 1);
  return walked.records[0].record;
}

Name random_name(SeededRandom& random) {
  static constexpr std::string_view kLabels[] = {"a", "B", "web", "_tcp", "svc", "local", "x-1"};
  Name made;
  for (auto labels = random.below(7); labels > 0; --labels)
    made = *made.child(kLabels[random.below(std::size(kLabels))]);
  return made;
}

std::string random_text(SeededRandom& random, std::size_t most) {
  std::string text(random.below(most + 1), '\0');
  for (char& c : text)
    c = static_cast<char>(random.u64());
  return text;
}

Record random_record(SeededRandom& random) {
  Record made;
  made.name = random_name(random);
  made.ttl = static_cast<Ttl>(random.below(0x8000'0000U));
  made.cache_flush = random.below(2) == 0;
  switch (random.below(8)) {
    case 0:
      made.data = AddressData{IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(random.u64()))};
      made.type = RrType::a;
      break;
    case 1:
      made.data = AddressData{*IpAddress::parse("2001:db8::" + std::to_string(random.below(999)))};
      made.type = RrType::aaaa;
      break;
    case 2:
      made.type = random.below(2) == 0 ? RrType::ptr : RrType::dname;
      made.data = NameData{random_name(random)};
      break;
    case 3:
      made.type = RrType::srv;
      made.data = SrvData{random.u16(), random.u16(), random.u16(), random_name(random)};
      break;
    case 4: {
      made.type = RrType::txt;
      TxtData txt;
      for (auto strings = 1 + random.below(3); strings > 0; --strings)
        txt.strings.push_back(random_text(random, 255));
      made.data = txt;
      break;
    }
    case 5:
      made.type = RrType::soa;
      made.data = SoaData{random_name(random), random_name(random), 1, 2, 3, 4, 0xffff'ffffU};
      break;
    case 6: {
      made.type = RrType::nsec;
      NsecData nsec{random_name(random), {}};
      for (unsigned type = 1; type < 0x1000; type += 1 + static_cast<unsigned>(random.below(300)))
        nsec.types.push_back(static_cast<RrType>(type));
      made.data = nsec;
      break;
    }
    default: {  // types that no host has given a meaning
      made.type = static_cast<RrType>(1'000 + random.below(50'000));
      const std::string text = random_text(random, 40);
      made.data = RawData{{text.begin(), text.end()}};
    }
  }
  return made;
}

}  // namespace

TEST_CASE("flags and types keep every bit") {
  for (unsigned bits = 0; bits <= 0xffff; ++bits) {
    const auto value = static_cast<std::uint16_t>(bits);
    REQUIRE(Flags::from_bits(value).to_bits() == (value & ~0x40));  // Z is not ours to send
  }
  RrType type{};
  for (unsigned number : {1U, 2U, 5U, 28U, 33U, 47U, 255U, 999U, 65'280U, 65'535U}) {
    REQUIRE(parse_type(to_string(static_cast<RrType>(number)), type));
    CHECK(static_cast<unsigned>(type) == number);
  }
  CHECK(parse_type("aaaa", type));
  CHECK(type == RrType::aaaa);
  CHECK(parse_type("type28", type));
  for (const std::string_view text : {"", "TYPE", "TYPE65536", "TYPE-1", "TYPE1x", "AAAAA"})
    CHECK(!parse_type(text, type));
  CHECK(to_string(Rcode::badvers) == "BADVERS");
  CHECK(to_string(static_cast<Rcode>(9)) == "RCODE9");
}

TEST_CASE("a response as it travels") {
  // hello.svc A as dig shows it: two answers that point to the question, and an OPT.
  const auto bytes =
      hex("04d2 8580 0001 0002 0000 0001  05 68656c6c6f 03 737663 00 0001 0001"
          "c00c 0001 0001 00000005 0004 0a000001  c00c 0001 0001 00000005 0004 0a000002"
          "00 0029 04d0 00 00 8000 0006 000f 0002 0000");
  const auto view = MessageView::parse(bytes);
  REQUIRE(view);
  CHECK(view->header().id == 1234);
  CHECK(view->header().flags.response);
  CHECK(view->header().flags.authoritative);
  CHECK(view->question().name.to_string() == "hello.svc.");
  CHECK(view->question_wire().size() == 15);
  const Walked walked = walk(bytes);
  REQUIRE(walked.records.size() == 3);
  CHECK(to_string(walked.records[0].record) == "hello.svc. 5 IN A 10.0.0.1");
  CHECK(walked.records[0].section == Section::answer);
  CHECK(walked.records[0].offset == 27);
  CHECK(walked.records[0].ttl_offset == 33);
  CHECK(walked.records[2].section == Section::additional);
  const auto edns = view->edns();
  REQUIRE(edns);
  REQUIRE(edns->has_value());
  CHECK((*edns)->udp_size == 1232);
  CHECK((*edns)->dnssec_ok);
  CHECK((*edns)->options.size() == 6);
}

TEST_CASE("truncation at every octet is an error and nothing else") {
  std::array<std::uint8_t, 1'024> buffer{};
  MessageBuilder builder(buffer, WireProfile::multicast);
  REQUIRE(builder.add_question({name("web.svc"), RrType::srv}));
  REQUIRE(builder.add(Section::answer,
                      record("web.svc", RrType::srv, SrvData{1, 2, 80, name("a.web.svc")})));
  REQUIRE(builder.add(Section::answer, record("web.svc", RrType::txt, TxtData{{"a=b", ""}})));
  REQUIRE(builder.add(Section::authority,
                      record("svc", RrType::soa, SoaData{name("ns.svc"), name("h.svc")})));
  REQUIRE(builder.add(Section::additional,
                      record("a.web.svc", RrType::nsec, NsecData{name("a.web.svc"), {RrType::a}})));
  REQUIRE(builder.add_opt({.udp_size = 1'232}));
  const Bytes whole = builder.finish();
  CHECK(!walk(whole).failed);
  CHECK(walk(whole).records.size() == 5);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(size));
    CHECK(walk(cut).failed);
    const auto view = MessageView::parse(cut);
    if (view) CHECK(!view->edns());
  }
}

TEST_CASE("every type is checked against its length") {
  CHECK(read_one(1, "0a000001"));
  CHECK(!read_one(1, "0a0000"));
  CHECK(!read_one(1, "0a00000100"));
  CHECK(std::holds_alternative<RawData>(read_one(1, "0a0000", 3)->data));  // class CH
  CHECK(read_one(28, "20010db8000000000000000000000001"));
  CHECK(!read_one(28, "0a000001"));
  CHECK(std::holds_alternative<RawData>(read_one(28, "00000000000000000000ffff0a000001")->data));
  CHECK(read_one(12, "0161 00"));
  CHECK(!read_one(12, "0161 00 00"));
  CHECK(!read_one(12, "0161"));
  CHECK(!read_one(12, ""));
  CHECK(read_one(33, "0001 0002 0050 0161 00"));
  CHECK(!read_one(33, "0001 0002 00"));
  CHECK(!read_one(33, "0001 0002 0050"));
  CHECK(std::get<TxtData>(read_one(16, "")->data).strings == std::vector<std::string>{""});
  CHECK(std::get<TxtData>(read_one(16, "00")->data).strings.size() == 1);
  CHECK(std::get<TxtData>(read_one(16, "0161 00 026263")->data).strings.size() == 3);
  CHECK(!read_one(16, "0261"));
  CHECK(read_one(6, "00 00 00000001 00000002 00000003 00000004 00000005"));
  CHECK(!read_one(6, "00 00 00000001 00000002 00000003 00000004"));
  CHECK(std::get<NsecData>(read_one(47, "00 00 01 40")->data).types ==
        std::vector<RrType>{RrType::a});
  CHECK(!read_one(47, "00 00 00"));
  CHECK(!read_one(47, "00 00 21" + std::string(66, '0')));
  CHECK(!read_one(47, "00 01 01 40 00 01 40"));  // windows descend
  CHECK(read_one(15, "000a 0161 00"));           // MX keeps its form
  CHECK(!read_one(15, "000a"));
  CHECK(read_one(65'280, ""));
}

TEST_CASE("names of old types are written out of their compression") {
  // MX with a target that points to the question's name.
  const auto bytes =
      hex("0000 8000 0001 0001 0000 0000  01 61 01 62 00 000f 0001"
          "c00c 000f 0001 00000001 0004 000a c00c");
  const Walked walked = walk(bytes);
  REQUIRE(walked.records.size() == 1);
  CHECK(std::get<RawData>(walked.records[0].record.data).bytes == hex("000a 0161 0162 00"));
}

TEST_CASE("no name stands in the header") {
  CHECK(walk(hex("0000 8000 0000 0001 0000 0000 c004 0001 0001 00000001 0004 0a000001")).error ==
        WireError::bad_name);
  CHECK(walk(hex("0000 8000 0000 0001 0000 0000 00 000c 0001 00000001 0002 c004")).error ==
        WireError::bad_rdata);
}

TEST_CASE("TTLs with the top bit count as zero, top bits of classes are flags") {
  const auto bytes =
      hex("0000 8000 0001 0001 0000 0000  01 61 00 0001 8001"
          "c00c 0001 8001 80000001 0004 0a000001");
  const auto view = MessageView::parse(bytes);
  REQUIRE(view);
  CHECK(view->question().unicast_response);
  CHECK(view->question().rr_class == RrClass::in);
  const Walked walked = walk(bytes);
  REQUIRE(walked.records.size() == 1);
  CHECK(walked.records[0].record.ttl == 0);
  CHECK(walked.records[0].record.cache_flush);
  CHECK(walked.records[0].record.rr_class == RrClass::in);
}

TEST_CASE("OPT stands once, at the root, in Additional") {
  const std::string opt = "00 0029 04d0 00000000 0000";
  const auto edns = [](const std::string& text) {
    const auto bytes = hex(text);
    const auto view = MessageView::parse(bytes);
    REQUIRE(view);
    return view->edns();
  };
  CHECK(edns("0000 0000 0000 0000 0000 0001" + opt)->has_value());
  CHECK(!edns("0000 0000 0000 0000 0000 0000")->has_value());
  CHECK(!edns("0000 0000 0000 0000 0000 0002" + opt + opt));
  CHECK(!edns("0000 0000 0000 0000 0001 0000" + opt));
  CHECK(!edns("0000 0000 0000 0000 0000 0001 0161" + opt));
  CHECK(!edns("0000 0000 0000 0000 0000 0001" + opt + "00"));
  CHECK(!edns("0000 0000 0000 0000 0000 0001 00 0029 04d0 00000000 0001"));
}

TEST_CASE("a record that does not fit leaves the message as it was") {
  std::array<std::uint8_t, 80> buffer{};
  MessageBuilder builder(buffer);
  REQUIRE(builder.add_question({name("web.svc"), RrType::a}));
  builder.reserve(11);
  const Record address = record("web.svc", RrType::a, AddressData{IpAddress::v4(10, 0, 0, 1)});
  REQUIRE(builder.add(Section::answer, address));
  REQUIRE(builder.add(Section::answer, address));
  const std::size_t before = builder.size();
  CHECK(before == 57);
  CHECK(!builder.add(Section::answer, address));  // 73 and 11 reserved pass 80
  CHECK(
      !builder.add(Section::answer, record("new.name", RrType::txt, TxtData{{"long text here"}})));
  CHECK(builder.size() == before);
  // The name that was taken back is not pointed to.
  CHECK(builder.add_opt(
      {.udp_size = 1'232, .extended_rcode = upper_bits(Rcode::badvers), .dnssec_ok = true}));
  const Walked walked = walk(builder.finish());
  CHECK(!walked.failed);
  CHECK(walked.records.size() == 3);
  CHECK(MessageView::parse(builder.finish())->header().flags.rcode == 0);
  CHECK(MessageView::parse(builder.finish())->edns().value()->extended_rcode == 1);
}

TEST_CASE("limits can be lowered and raised, not below what is written") {
  std::array<std::uint8_t, 512> buffer{};
  MessageBuilder builder(buffer);
  REQUIRE(builder.add_question({name("web.svc"), RrType::a}));
  builder.set_limit(0);
  const Record address = record("web.svc", RrType::a, AddressData{IpAddress::v4(10, 0, 0, 1)});
  CHECK(!builder.add(Section::answer, address));
  builder.set_limit(100'000);
  CHECK(builder.add(Section::answer, address));
}

TEST_CASE("SRV targets are compressed on multicast only") {
  const Record srv = record("web.svc", RrType::srv, SrvData{0, 0, 80, name("a.web.svc")});
  const Record ptr = record("svc", RrType::ptr, NameData{name("web.svc")});
  std::array<std::uint8_t, 512> buffer{};
  const auto size = [&](WireProfile profile, const Record& made) {
    MessageBuilder builder(buffer, profile);
    REQUIRE(builder.add_question({name("web.svc"), RrType::srv}));
    const std::size_t before = builder.size();
    REQUIRE(builder.add(Section::answer, made));
    return builder.size() - before;
  };
  CHECK(size(WireProfile::unicast, srv) == 12 + 6 + 11);
  CHECK(size(WireProfile::multicast, srv) == 12 + 6 + 4);
  CHECK(size(WireProfile::unicast, ptr) == 12 + 2);
}

TEST_CASE("what is built is read back, whatever the names share") {
  SeededRandom random(11);
  std::vector<std::uint8_t> buffer(65'535);
  for (int round = 0; round < 300; ++round) {
    const bool multicast = random.below(2) == 0;
    MessageBuilder builder(buffer, multicast ? WireProfile::multicast : WireProfile::unicast);
    builder.set_limit(512 + random.below(20'000));
    builder.set_id(random.u16());
    const Question question{random_name(random), RrType::any, RrClass::in, multicast};
    REQUIRE(builder.add_question(question));
    std::vector<std::pair<Section, Record>> added;
    for (std::size_t section = 0; section < 3; ++section) {
      for (auto n = random.below(30); n > 0; --n) {
        const Record made = random_record(random);
        if (builder.add(static_cast<Section>(section), made))
          added.emplace_back(static_cast<Section>(section), made);
      }
    }
    const Bytes message = builder.finish();
    REQUIRE(MessageView::parse(message)->question() == question);
    const Walked walked = walk(message);
    REQUIRE(!walked.failed);
    REQUIRE(walked.records.size() == added.size());
    for (std::size_t i = 0; i < added.size(); ++i) {
      const Record& in = added[i].second;
      const Record& out = walked.records[i].record;
      REQUIRE(walked.records[i].section == added[i].first);
      REQUIRE(out.same_as(in));
      REQUIRE(out.name.same_case(in.name));
      REQUIRE(out.ttl == in.ttl);
      REQUIRE(out.cache_flush == in.cache_flush);
      REQUIRE(rdata_wire(out.data) == rdata_wire(in.data));
    }
  }
}

TEST_CASE("noise is read to an end or an error") {
  SeededRandom random(3);
  std::size_t read = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::vector<std::uint8_t> bytes(12 + random.below(200));
    for (auto& octet : bytes)
      octet = static_cast<std::uint8_t>(random.below(3) == 0 ? random.u64() : random.below(12));
    std::fill(bytes.begin() + 4, bytes.begin() + 12, std::uint8_t{0});
    bytes[7] = 3;
    const Walked walked = walk(bytes);
    CHECK((walked.failed || walked.records.size() == 3));
    for (const SectionRecord& found : walked.records)
      CHECK(found.record.name.wire().size() <= kNameBytesMax);
    read += walked.records.size();
  }
  CHECK(read > 0);
}

TEST_CASE("64 KiB of pointers and counts stays bounded") {
  std::vector<std::uint8_t> bytes(65'535, 0);
  std::fill(bytes.begin() + 4, bytes.begin() + 12, std::uint8_t{0xff});
  CHECK(walk(bytes).failed);

  // Owners that are chains of as many pointers as allowed, to a name as long as allowed.
  std::vector<std::uint8_t> message = hex("0000 8000 0000 ffff 0000 0000");
  std::size_t last = message.size();
  for (int i = 0; i < 4; ++i) {
    const std::size_t size = i == 3 ? 61 : 63;
    message.push_back(static_cast<std::uint8_t>(size));
    message.insert(message.end(), size, 'x');
  }
  message.push_back(0);
  const auto point = [&message](std::size_t to) {
    message.push_back(static_cast<std::uint8_t>(0xc0 | to >> 8));
    message.push_back(static_cast<std::uint8_t>(to));
  };
  const auto fixed = hex("03e8 0001 00000001");
  message.insert(message.end(), fixed.begin(), fixed.end());
  message.insert(message.end(), {0, 0});
  std::size_t records = 1;
  for (unsigned hops = 1; message.size() + 30 < 65'535; ++records) {
    const std::size_t here = message.size();
    if (hops <= kPointerHopsMax && here < 0x3fff) {
      // The RDATA holds the next link of the chain; the owner uses it from the next record on.
      message.push_back(0);
      message.insert(message.end(), fixed.begin(), fixed.end());
      message.insert(message.end(), {0, 2});
      point(last);
      last = message.size() - 2;
      ++hops;
      if (hops == kPointerHopsMax) hops = kPointerHopsMax + 1;
      continue;
    }
    point(last);
    message.insert(message.end(), fixed.begin(), fixed.end());
    message.insert(message.end(), {0, 0});
  }
  message[6] = static_cast<std::uint8_t>(records >> 8);
  message[7] = static_cast<std::uint8_t>(records);
  const Walked walked = walk(message);
  CHECK(!walked.failed);
  CHECK(walked.records.size() == records);
  CHECK(walked.records.back().record.name.wire().size() == kNameBytesMax);
}

TEST_CASE("questions keep their case and serve as place to point to") {
  const auto question = hex("05 48654c4c6f 03 737663 00 0001 0001");
  std::array<std::uint8_t, 128> buffer{};
  MessageBuilder builder(buffer);
  REQUIRE(builder.add_question({name("HeLLo.svc"), RrType::a}));
  REQUIRE(builder.add(Section::answer,
                      record("HeLLo.svc", RrType::a, AddressData{IpAddress::v4(10, 0, 0, 1)})));
  const Bytes message = builder.finish();
  CHECK(std::ranges::equal(message.subspan(12, question.size()), question));
  CHECK(message.size() == 12 + question.size() + 16);
  CHECK(MessageView::parse(message)->header().questions == 1);
  CHECK(builder.count(Section::answer) == 1);
}

TEST_CASE("all questions of a message, the first one at hand") {
  std::array<std::uint8_t, 128> buffer{};
  MessageBuilder builder(buffer);
  REQUIRE(builder.add_question({name("a.local"), RrType::any, RrClass::in, true}));
  REQUIRE(builder.add_question({name("b.local"), RrType::ptr}));
  const auto view = MessageView::parse(builder.finish());
  REQUIRE(view);
  CHECK(view->questions().size() == 2);
  CHECK(view->questions()[1].name == name("b.local"));
  CHECK(view->question().unicast_response);
  CHECK(walk(hex("0000 0000 0001 0000 0000 0000 0161 00 0001")).error == WireError::bad_question);
  CHECK(walk(hex("0000 0000")).error == WireError::short_header);
}
