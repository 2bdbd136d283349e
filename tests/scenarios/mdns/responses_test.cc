// SPDX-License-Identifier: Apache-2.0
// RFC 6762 §6: what is answered, when, and with what beside it.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

TEST_CASE("required additional records: one datagram has all that a reader needs") {
  Bench bench(1, options_for("box"), {"192.168.1.2/24", "2001:db8::2/64", "fe80::2/64"});
  bench.settle();
  bench.ask({question(kType, RrType::ptr)});
  bench.world.advance(1s);
  const auto responses = bench.responses();
  REQUIRE(responses.size() == 1);
  const Message& response = responses[0];
  REQUIRE(response.answers.size() == 1);
  CHECK(response.answers[0].type == RrType::ptr);
  const auto& more = response.additionals;
  REQUIRE(more.size() == 6);
  CHECK(more[0].type == RrType::srv);
  CHECK(more[1].type == RrType::txt);
  CHECK(more[2].type == RrType::a);
  CHECK(more[3].type == RrType::aaaa);
  CHECK(more[4].type == RrType::nsec);
  CHECK(more[5].type == RrType::nsec);
  CHECK(std::get<dns::AddressData>(more[2].data).address.to_string() == "192.168.1.2");
  // No link-local ones beside better ones: an AAAA has no scope.
  CHECK(std::get<dns::AddressData>(more[3].data).address.to_string() == "2001:db8::2");
  CHECK(more[0].name.same_case(std::get<dns::NameData>(response.answers[0].data).name));
  CHECK(more[2].name.same_case(std::get<dns::SrvData>(more[0].data).target));
  CHECK(assemble_per_packet(response, "_hello._tcp") == std::vector<std::string>{"hello"});
  CHECK(response.bytes <= 1'472);
}

TEST_CASE("announcements are whole for a reader that assembles from one packet") {
  Bench bench;
  for (AnnouncementId id = 1; id <= 40; ++id) {
    Announcement wanted = hello("i" + std::to_string(id));
    wanted.txt.push_back("long=" + std::string(200, 'x'));
    REQUIRE((*bench.device)->publish(id, wanted).has_value());
  }
  bench.world.advance(3s);
  std::set<std::string> seen;
  std::size_t count = 0;
  for (const Message& response : bench.responses()) {
    CHECK(response.bytes <= 1'472);
    const auto whole = assemble_per_packet(response, "_hello._tcp");
    seen.insert(whole.begin(), whole.end());
    count += static_cast<std::size_t>(
        std::count_if(response.answers.begin(), response.answers.end(),
                      [](const dns::Record& r) { return r.type == RrType::srv; }));
  }
  CHECK(seen.size() == 40);
  CHECK(count == 80);
  // And so are the answers to one question.
  bench.world.advance(10s);
  bench.lan.clear_capture();
  bench.ask({question(kType, RrType::ptr)});
  bench.world.advance(1s);
  seen.clear();
  for (const Message& response : bench.responses()) {
    CHECK(response.bytes <= 1'472);
    const auto whole = assemble_per_packet(response, "_hello._tcp");
    CHECK(whole.size() == response.answers.size());
    seen.insert(whole.begin(), whole.end());
  }
  CHECK(seen.size() == 40);
}

TEST_CASE("NSEC for types that do not exist, at once") {
  Bench bench;
  bench.settle();
  const TimePoint asked = bench.world.now();
  bench.ask({question(bench.host(), RrType::aaaa)});
  bench.world.advance(100ms);
  auto responses = bench.responses();
  REQUIRE(responses.size() == 1);
  CHECK(responses[0].at - asked <= 10ms);
  REQUIRE(responses[0].answers.size() == 1);
  CHECK(responses[0].answers[0].type == RrType::nsec);
  CHECK(responses[0].answers[0].cache_flush);
  const auto& nsec = std::get<dns::NsecData>(responses[0].answers[0].data);
  CHECK(nsec.next == name(bench.host()));
  CHECK(nsec.types == std::vector<RrType>{RrType::a});
  CHECK(has(responses[0].additionals, bench.host(), RrType::a));

  bench.world.advance(5s);
  bench.lan.clear_capture();
  bench.ask({question(kInstance, RrType::a)});
  bench.world.advance(100ms);
  responses = bench.responses();
  REQUIRE(responses.size() == 1);
  CHECK(std::get<dns::NsecData>(responses[0].answers[0].data).types ==
        std::vector<RrType>{RrType::txt, RrType::srv});
  // Names that are not ours alone are not spoken about.
  bench.lan.clear_capture();
  bench.ask({question(kType, RrType::a), question("nobody.local.", RrType::a)});
  bench.world.advance(1s);
  CHECK(bench.responses().empty());
}

TEST_CASE("a record is multicast once a second, and those who ask meanwhile wait for it") {
  Bench bench;
  bench.settle();
  bench.ask({question(kType, RrType::ptr)});
  bench.world.advance(300ms);
  REQUIRE(bench.responses().size() == 1);
  const TimePoint first = bench.responses()[0].at;
  bench.ask({question(kType, RrType::ptr)}, {}, "192.168.1.10");
  bench.world.advance(3s);
  REQUIRE(bench.responses().size() == 2);
  CHECK(bench.responses()[1].at - first >= 1s);
  CHECK(bench.responses()[1].at - first <= 1'010ms);
}

TEST_CASE("a defending answer to a probe comes at once, four times a second at most") {
  Bench bench;
  bench.settle();
  for (int i = 0; i < 4; ++i) {
    Sent probe;
    probe.questions = {question(kInstance, RrType::any, true)};
    probe.authorities = {srv(kInstance, "other.local.", 1)};
    const TimePoint asked = bench.world.now();
    bench.lan.clear_capture();
    inject(bench.lan, kTester, probe);
    bench.world.advance(250ms);
    REQUIRE(bench.responses().size() == 1);
    CHECK(bench.responses()[0].at - asked <= 10ms);
    // For all to hear, although the question would like unicast.
    CHECK(bench.responses()[0].to.address.is_multicast());
  }
}

TEST_CASE("unicast answers where they are asked for, unless the record has not been heard lately") {
  Bench bench;
  bench.settle();
  bench.ask({question(kInstance, RrType::srv, true)});
  bench.world.advance(1s);
  REQUIRE(bench.responses().size() == 1);
  CHECK(bench.responses()[0].to.address.is_multicast());  // 12 s are more than a quarter of 20 s
  bench.lan.clear_capture();
  bench.ask({question(kInstance, RrType::srv, true)});
  bench.world.advance(1s);
  REQUIRE(bench.responses().size() == 1);
  CHECK(bench.responses()[0].to.to_string() == "192.168.1.9:5353");
}

TEST_CASE("case is kept and does not matter") {
  Bench bench;
  Announcement wanted = hello("MyLabel");
  wanted.type = "_Hello-Service._tcp";
  bench.settle(wanted);
  bench.ask({question("_hello-SERVICE._TCP.local.", RrType::ptr)});
  bench.world.advance(1s);
  REQUIRE(bench.responses().size() == 1);
  const dns::Record answer = bench.responses()[0].answers[0];
  CHECK(answer.name.same_case(name("_Hello-Service._tcp.local.")));
  CHECK(std::get<dns::NameData>(answer.data)
            .name.same_case(name("MyLabel._Hello-Service._tcp.local.")));
}

TEST_CASE("legal characters in address names") {
  CHECK(host_label("Müller's box.example.org", "c")
            .find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
  CHECK(host_label("", "c").starts_with("host-"));
  CHECK(host_label(std::string(200, 'x'), "c").size() <= 63);
  CHECK(host_label("box", "a") != host_label("box", "b"));
  CHECK(host_label("box", "a") == host_label("box", "a"));
}

TEST_CASE("the address in a text is that of the interface") {
  sim::World world(2);
  sim::Host& box = world.host("box");
  box.attach("eth0", world.link("one"), {"192.168.1.2/24"});
  box.attach("eth1", world.link("two"), {"2001:db8::2/64"});
  Peer device(box, options_for("box"));
  Announcement wanted = hello();
  wanted.txt = {"farp.manifest=http://{address}:8080/_farp/manifest"};
  REQUIRE(device->publish(1, wanted).has_value());
  world.advance(5s);
  for (const auto& [link, expected] :
       {std::pair{"one", "farp.manifest=http://192.168.1.2:8080/_farp/manifest"},
        std::pair{"two", "farp.manifest=http://[2001:db8::2]:8080/_farp/manifest"}}) {
    std::size_t count = 0;
    for (const Message& message : messages(world.link(link))) {
      const dns::Record* record = message.find(kInstance, RrType::txt);
      if (record == nullptr) continue;
      ++count;
      CHECK(std::get<dns::TxtData>(record->data).strings == std::vector<std::string>{expected});
    }
    CHECK(count > 0);
  }
}

namespace {

std::string subtype_of(const std::string& label) {
  return label + "._sub." + kType;
}

std::vector<std::string> labels(std::size_t count, std::size_t bytes) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(std::string(bytes - 2, '_') + std::to_string(10 + i));
  return out;
}

}  // namespace

TEST_CASE("subtypes: as many and as long as may be stay within frames, all of them taken back") {
  Bench bench;
  Announcement wanted = hello();
  wanted.subtypes = labels(kSubtypesMax, dns::kLabelBytesMax);
  wanted.txt = std::vector<std::string>(4, "k=" + std::string(253, 'x'));
  REQUIRE((*bench.device)->publish(1, wanted).has_value());
  bench.world.advance(5s);
  const auto carried = [&](bool goodbye) {
    std::multiset<std::string> out;
    for (const Message& message : bench.responses()) {
      CHECK(message.bytes <= kPayloadV4);
      for (const dns::Record& record : message.answers)
        if (record.name.label_count() == 5 && (record.ttl == 0) == goodbye)
          out.insert(std::string(record.name.label(0)));
    }
    return out;
  };
  const auto announced = carried(false);
  for (const std::string& label : wanted.subtypes)
    CHECK(announced.count(label) == kAnnounceCount);
  bool whole = false;  // with the longest TXT that fits beside them, still whole in one datagram
  for (const Message& message : bench.responses())
    whole = whole || !assemble_per_packet(message, "_hello._tcp").empty();
  CHECK(whole);

  bench.lan.clear_capture();
  (*bench.device)->withdraw(1);
  bench.world.advance(1s);
  const auto taken_back = carried(true);
  for (const std::string& label : wanted.subtypes)
    CHECK(taken_back.count(label) == kGoodbyeCount);
}

TEST_CASE("subtypes come and go while the instance stays") {
  Bench bench;
  Announcement wanted = hello();
  wanted.subtypes = {"_printer", "_old"};
  bench.settle(wanted);
  wanted.subtypes = {"_scanner", "_printer"};
  REQUIRE((*bench.device)->publish(1, wanted).has_value());
  bench.world.advance(5s);
  CHECK(bench.probes().empty());
  std::set<std::string> there, gone;
  for (const Message& message : bench.responses())
    for (const dns::Record& record : message.answers)
      (record.ttl > 0 ? there : gone).insert(record.name.to_string());
  CHECK(gone == std::set<std::string>{subtype_of("_old")});
  CHECK(there.contains(subtype_of("_scanner")));
  CHECK(there.contains(subtype_of("_printer")));
  CHECK(there.contains(kInstance));

  for (const auto& [label, answers] :
       std::map<std::string, std::size_t>{{"_scanner", 1}, {"_printer", 1}, {"_old", 0}}) {
    bench.lan.clear_capture();
    bench.ask({question(subtype_of(label), RrType::ptr)});
    bench.world.advance(2s);
    CHECK(bench.responses().size() == answers);
  }
}
