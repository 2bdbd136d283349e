// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/service_binding.h"

#include <doctest/doctest.h>

#include "tests/dns/bed.h"
#include "tests/dns/hex.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

ZoneRecord https(std::uint16_t priority, std::string_view target, std::uint8_t rank = 0) {
  return {RrType::https,
          encode({.priority = priority, .target = name(target), .alpn = {"h2"}, .port = 8443}),
          rank};
}

}  // namespace

TEST_CASE("bindings are encoded as in the vectors of RFC 9460") {
  const Name org = name("foo.example.org"), com = name("foo.example.com");
  CHECK(encode({.priority = 16, .target = com, .port = 53}).bytes ==  // D.2, figure 5
        hex("0010 03666f6f 076578616d706c65 03636f6d 00 0003 0002 0035"));
  CHECK(encode({.priority = 1,
                .target = com,
                .hints = {*IpAddress::parse("2001:db8::1"), *IpAddress::parse("2001:db8::53:1")}})
            .bytes ==  // figure 7
        hex("0001 03666f6f 076578616d706c65 03636f6d 00 0006 0020"
            "20010db8000000000000000000000001 20010db8000000000000000000530001"));
  CHECK(encode({.priority = 1, .target = name(".")}).bytes == hex("0001 00"));
  // Figure 9 with a port in place of a list of its own under "mandatory".
  CHECK(encode({.priority = 16,
                .target = org,
                .port_is_mandatory = true,
                .alpn = {"h2", "h3-19"},
                .port = 53,
                .hints = {*IpAddress::parse("2001:db8::1"), IpAddress::v4(192, 0, 2, 1)}})
            .bytes == hex("0010 03666f6f 076578616d706c65 036f7267 00 0000 0002 0003"
                          "0001 0009 026832 0568332d3139 0003 0002 0035 0004 0004 c0000201"
                          "0006 0010 20010db8000000000000000000000001"));
}

TEST_CASE("bindings are shown as zone files have them") {
  CHECK(to_text({.priority = 2,
                 .target = name("web-1.web.svc"),
                 .alpn = {"h2", "http/1.1"},
                 .port = 8443,
                 .hints = {*IpAddress::parse("fd00::1"), IpAddress::v4(192, 0, 2, 1),
                           IpAddress::v4(192, 0, 2, 2)}}) ==
        "2 web-1.web.svc alpn=\"h2,http/1.1\" port=8443 ipv4hint=192.0.2.1,192.0.2.2 "
        "ipv6hint=fd00::1");
  CHECK(to_text({.target = name("."), .port_is_mandatory = true, .port = 53}) ==
        "1 . mandatory=port port=53");
  CHECK(to_text({.target = name("a")}) == "1 a");
}

TEST_CASE("a port that is not said is not mandatory") {
  CHECK(encode({.target = name("."), .port_is_mandatory = true}).bytes == hex("0001 00"));
}

TEST_CASE("the target is found in what was encoded, and nowhere else") {
  const Name com = name("foo.example.com");
  const auto wire = encode({.target = com, .alpn = {"h2"}, .port = 53}).bytes;
  const Bytes target = target_of_binding(wire);
  CHECK(std::vector(target.begin(), target.end()) == hex("03666f6f 076578616d706c65 03636f6d 00"));
  for (const char* text : {"", "00", "0001", "0001 03666f", "0001 03666f6f"})
    CHECK(target_of_binding(hex(text)).empty());
}

TEST_CASE("parameters are read in order, up to one that is cut off") {
  const auto wire = encode({.target = name("a.b"),
                            .alpn = {"h2"},
                            .port = 53,
                            .hints = {IpAddress::v4(192, 0, 2, 1)}})
                        .bytes;
  const auto keys = [](Bytes rdata) {
    std::vector<BindingKey> found;
    BindingReader reader(rdata);
    while (const auto parameter = reader.next())
      found.push_back(parameter->key);
    return found;
  };
  using Keys = std::vector<BindingKey>;
  CHECK(keys(wire) == Keys{BindingKey::alpn, BindingKey::port, BindingKey::ipv4hint});
  for (std::size_t size = 0; size < wire.size(); ++size) {
    CAPTURE(size);
    const Keys read = keys(Bytes(wire).first(size));
    // Seven octets before the parameters, then 7, 6 and 8.
    CHECK(read.size() == (size < 14 ? 0U : size < 20 ? 1U : 2U));
  }
  const auto other = hex("0000 00 ff00 0001 07 0003 0002 0035");  // a key for private use
  CHECK(keys(other) == Keys{static_cast<BindingKey>(0xff00), BindingKey::port});
}

TEST_CASE("an HTTPS answer comes with the addresses of its targets") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1"), https(1, "one.web.svc"), https(3, "two.web.svc", 2),
                                 https(4, "elsewhere.net", 3)});
  bed.zone.set(name("one.web.svc"), {a("10.0.0.1"), a("2001:db8::1")});
  bed.zone.set(name("two.web.svc"), {a("10.0.0.2")});
  bed.zone.set(name("job.svc"), {a("10.0.0.3")});
  const Answer answer = bed.ask({"web.svc", RrType::https, 1'232});
  REQUIRE(answer.answer.size() == 3);
  CHECK(answer.answer[0].starts_with("web.svc. 5 IN HTTPS \\# 28 0001"));  // in order of rank
  CHECK(answer.answer[1].starts_with("web.svc. 5 IN HTTPS \\# 28 0003"));
  CHECK(answer.additional == std::vector<std::string>{"one.web.svc. 5 IN A 10.0.0.1",
                                                      "one.web.svc. 5 IN AAAA 2001:db8::1",
                                                      "two.web.svc. 5 IN A 10.0.0.2"});
  CHECK(bed.ask({"web.svc", RrType::svcb}).outcome() == "NODATA");
  CHECK(bed.ask({"job.svc", RrType::https}).outcome() == "NODATA");
  CHECK(bed.ask({"none.svc", RrType::https}).outcome() == "NXDOMAIN");
}

TEST_CASE("an HTTPS answer holds dns.answers records, the nearest first") {
  Bed bed;
  std::vector<ZoneRecord> many;
  for (int i = 0; i < 20; ++i)
    many.push_back(https(static_cast<std::uint16_t>(i + 1), "i" + std::to_string(i) + ".web.svc",
                         static_cast<std::uint8_t>(i)));
  bed.zone.set(name("web.svc"), many);
  const Answer answer = bed.ask({"web.svc", RrType::https, 1'232});
  REQUIRE(answer.answer.size() == 8);
  CHECK_FALSE(answer.flags.truncated);
  CHECK(answer.answer.front().find(" 0001") != std::string::npos);
  CHECK(answer.answer.back().find(" 0008") != std::string::npos);
}
