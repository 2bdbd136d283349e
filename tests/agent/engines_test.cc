// SPDX-License-Identifier: Apache-2.0
#include "agent/engines.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::test {
namespace {

using Texts = std::vector<std::string>;
using registries::Entry;
using registries::PlaceState;

class Scripted final : public registries::Engine {
 public:
  explicit Scripted(Sink*& sink) : sink_(sink) {}
  std::string_view name() const override { return "scripted"; }
  void start(Sink& sink) override { sink_ = &sink; }
  void put(const Entry&) override {}
  void remove(std::string_view) override {}
  void stop(Callback<void()>) override {}
  void write_status(json::Writer& out) const override { out.member("scripted", true); }
  std::vector<registries::PlaceStatus> places() const override {
    return {{.place = "/a",
             .endpoint = {},
             .state = PlaceState::current,
             .reason = {},
             .last_error = {},
             .since = {},
             .warnings = {}}};
  }

 private:
  Sink*& sink_;
};

struct Bed final : SourceSink {
  sim::World world{1};
  registry::Registry registry{"box"};
  Engines engines{world.env(), registry, *this};
  registries::Engine::Sink* engine = nullptr;
  Texts events;
  std::optional<registry::Sighting> last;

  Bed() {
    engines.add(std::make_unique<Scripted>(engine));
    engines.start({});
  }
  Texts take() { return std::exchange(events, {}); }
  static Entry entry(const std::string& id, Health health = Health::passing) {
    Entry out{.key = "/a web " + id, .place = "/a", .service = "web", .id = id};
    out.port = 80;
    out.addresses = {*IpAddress::parse("10.0.0.1")};
    out.health = health;
    out.on_this_host = true;
    return out;
  }

  void on_seen(registry::Sighting sighting) override {
    events.push_back("seen " + sighting.id.text() + ' ' + to_string(sighting.health));
    last = std::move(sighting);
  }
  void on_gone(const std::string& place_key) override { events.push_back("gone " + place_key); }
  void on_stale(const std::string& place_key, const registry::StaleFor&) override {
    events.push_back("stale " + place_key);
  }
  void on_source_state() override {}
};

TEST_CASE("a list is compared with what was known, and what is missing is gone") {
  Bed bed;
  bed.engine->on_listed("/a", {Bed::entry("w1"), Bed::entry("w2", Health::critical)});
  CHECK(bed.take() == Texts{"seen w1 passing", "seen w2 critical"});
  bed.engine->on_listed("/a", {Bed::entry("w2"), Bed::entry("w3")});
  CHECK(bed.take() == Texts{"gone /a web w1", "seen w2 passing", "seen w3 passing"});
  bed.engine->on_lost("/a", "/a web w3");
  bed.engine->on_lost("/a", "/a web w9");
  CHECK(bed.take() == Texts{"gone /a web w3"});
}

TEST_CASE("a list in part leaves alone what it could not list, and its losses are reported once") {
  Bed bed;
  bed.engine->on_listed("/a", {Bed::entry("w1"), Bed::entry("w2"), Bed::entry("w3"),
                               Bed::entry("w4"), Bed::entry("w5")});
  bed.take();
  bed.engine->on_listed_in_part("/a", {Bed::entry("w2"), Bed::entry("w4")}, {"/a web w5"});
  CHECK(bed.take() ==
        Texts{"gone /a web w1", "gone /a web w3", "seen w2 passing", "seen w4 passing"});
  CHECK(bed.world.host("here").log().last("source_changed") ==
        "info source_changed source=host peer=/a state=believed reason=2 of 5 entries are missing; "
        "1 cannot be read");
  bed.engine->on_listed("/a", {Bed::entry("w2"), Bed::entry("w4")});
  CHECK(bed.take() == Texts{"gone /a web w5", "seen w2 passing", "seen w4 passing"});
}

TEST_CASE("thousands of reports are passed on a portion in each turn, in their order") {
  Bed bed;
  constexpr std::size_t kCount = 1'000;
  std::vector<Entry> all;
  for (std::size_t i = 0; i < kCount; ++i)
    all.push_back(Bed::entry("w" + std::to_string(i)));
  std::size_t most = 0, told = 0;
  bed.engine->on_listed("/a", std::move(all));
  CHECK(bed.events.size() == kReportsPerTurn - 1);  // one was the comparison
  bed.engine->on_lost("/a", "/a web w0");
  bed.engine->on_sighting(Bed::entry("w1", Health::critical));
  bed.engine->on_state("/a", PlaceState::behind, "it has ended");
  bed.engine->on_listed("/a", {Bed::entry("w5")});
  told = bed.events.size();
  bed.world.run_until(
      [&] {
        most = std::max(most, bed.events.size() - std::exchange(told, bed.events.size()));
        return false;
      },
      1ms);
  const Texts events = bed.take();
  CHECK(most <= kReportsPerTurn);
  REQUIRE(events.size() == kCount + 2 + (kCount - 1) + (kCount - 2) + 1);
  CHECK(events[kCount - 1] == "seen w999 passing");
  CHECK(events[kCount] == "gone /a web w0");
  CHECK(events[kCount + 1] == "seen w1 critical");
  CHECK(events[kCount + 2] == "stale /a web w1");
  CHECK(events[2 * kCount] == "stale /a web w999");
  CHECK(events[2 * kCount + 1] == "gone /a web w1");
  CHECK(events.back() == "seen w5 passing");
}

/// An engine that reads a remote registry, whose long list has been reported.
struct LongList {
  Bed bed;
  registries::Engine::Sink* engine = nullptr;
  std::size_t seen_when_current = 0;

  LongList() {
    bed.engines.set_maker([this](Env&, const RegistryConfig&,
                                 const std::string&) { return std::make_unique<Scripted>(engine); },
                          "me");
    bed.engines.start({RegistryConfig{.options = registries::etcd::Options{}}});
    std::vector<Entry> all;
    for (std::size_t i = 0; i < 10 * kReportsPerTurn; ++i)
      all.push_back(Bed::entry("w" + std::to_string(i)));
    engine->on_listed("/a", std::move(all));
    engine->on_state("/a", PlaceState::current, "");
  }
  std::string logged() { return bed.world.host("here").log().last("source_changed"); }
  std::string failed() { return bed.world.host("here").log().last("source_failed"); }
  std::string shown() const {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    bed.engines.write_registries(out);
    out.end_object();
    const std::size_t at = text.find("\"state\":\"") + 9;
    return text.substr(at, text.find('"', at) - at);
  }
  bool is_counted_as_current() const {
    doors::Metrics out;
    bed.engines.write_metrics(out);
    return out.text().find("place=\"/a\"} 1\n") != std::string::npos;
  }
};

TEST_CASE("a place is current when everything that it reported has been passed on") {
  LongList list;
  CHECK(list.logged().empty());
  CHECK(list.shown() == "connecting");
  CHECK_FALSE(list.is_counted_as_current());
  CHECK(list.engine->shown_state("/a", PlaceState::current) == PlaceState::connecting);
  CHECK(list.bed.world.run_until([&] { return !list.logged().empty(); }, 1s));
  CHECK(list.bed.events.size() == 10 * kReportsPerTurn);
  CHECK(list.logged().find("state=current") != std::string::npos);
  CHECK(list.shown() == "current");
  CHECK(list.is_counted_as_current());
  CHECK(list.engine->shown_state("/a", PlaceState::current) == PlaceState::current);
}

TEST_CASE("a place that is behind is so at once, and not current by what was reported before") {
  LongList list;
  list.engine->on_state("/a", PlaceState::behind, "it has ended");
  CHECK(list.failed().find("state=behind") != std::string::npos);
  CHECK(list.engine->shown_state("/a", PlaceState::behind) == PlaceState::behind);
  list.bed.world.advance(1s);
  CHECK(list.logged().empty());
  CHECK(list.bed.events.size() == 20 * kReportsPerTurn);
  CHECK(list.bed.events.back().starts_with("stale "));
  // All are stale before the first one is seen again, and the place is current after the last one.
  list.bed.take();
  list.engine->on_listed("/a", {Bed::entry("w0")});
  list.engine->on_state("/a", PlaceState::current, "");
  list.bed.world.advance(1s);
  CHECK(list.bed.events.back() == "seen w0 passing");
  CHECK(list.logged().find("state=current") != std::string::npos);
}

TEST_CASE("what comes faster than it can be passed on for long does not grow without bound") {
  Bed bed;
  for (std::size_t i = 0; i < 2 * kReportsWaitingMax; ++i)
    bed.engine->on_sighting(Bed::entry("w" + std::to_string(i % 7)));
  CHECK(bed.events.size() == kReportsWaitingMax);
  bed.world.settle();
  bed.world.advance(1s);
  CHECK(bed.events.size() == 2 * kReportsWaitingMax);
}

TEST_CASE("entries of a place that is behind are stale; those that were leaving are gone") {
  Bed bed;
  bed.engine->on_listed("/a", {Bed::entry("w1"), Bed::entry("w2", Health::draining)});
  bed.take();
  bed.engine->on_state("/a", PlaceState::behind, "it has ended");
  CHECK(bed.take() == Texts{"stale /a web w1", "gone /a web w2"});
  bed.engine->on_state("/a", PlaceState::current, "");
  bed.engine->on_listed("/a", {Bed::entry("w1")});
  CHECK(bed.take() == Texts{"seen w1 passing"});
  bed.engine->on_state("/a", PlaceState::gone, "its socket is gone");
  CHECK(bed.take() == Texts{"stale /a web w1"});
  bed.engine->on_state("/b", PlaceState::behind, "refused");
  CHECK(bed.take().empty());
}

TEST_CASE("an entry keeps everything that people are shown of it") {
  Bed bed;
  Entry entry = Bed::entry("w1", Health::maintenance);
  entry.maintenance_reason = "disk";
  entry.checks = {{"http", "n", "http", CheckHealth::critical, "HTTP 503"},
                  {"tcp", "", "tcp", CheckHealth::passing, ""}};
  entry.limit = "l";
  entry.advice = "d";
  entry.host_only = true;
  bed.engine->on_sighting(entry);
  REQUIRE(bed.last);
  CHECK(bed.last->source == registry::Source::host);
  CHECK(bed.last->scope == registry::Scope::host);
  CHECK(bed.last->maintenance_reason == "disk");
  CHECK(bed.last->exposure->limit == "l");
  REQUIRE(bed.last->checks.size() == 2);
  CHECK(kind_name(bed.last->checks[0].spec) == std::string("http"));
  CHECK(kind_name(bed.last->checks[1].spec) == std::string("tcp"));
  CHECK(bed.last->checks[0].output == "HTTP 503");
  entry.service = "not a name!";
  bed.take();
  bed.engine->on_sighting(entry);
  CHECK(bed.take() == Texts{"gone /a web w1"});  // it was one before
}

registries::Entry remote(std::initializer_list<const char*> addresses) {
  registries::Entry entry{.key = "etcd web", .place = "http://e"};
  entry.service = "web";
  entry.id = "w1";
  entry.port = 80;
  for (const char* address : addresses)
    entry.addresses.push_back(*IpAddress::parse(address));
  return entry;
}

TEST_CASE("of an entry that names no host, only addresses that lead somewhere are kept") {
  const EntryReader reader{
      .source = registry::Source::etcd,
      .own_addresses = {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("127.0.0.1")},
      .writer = "me"};
  const auto read = [&](registries::Entry entry) {
    return to_sighting(std::move(entry), reader, registry::Moment{});
  };
  CHECK_FALSE(read(remote({"127.0.0.1", "0.0.0.0", "224.0.0.251"})));
  CHECK_FALSE(read(remote({})));
  const auto other = read(remote({"127.0.0.1", "10.0.0.9"}));
  REQUIRE(other);
  CHECK(other->addresses.size() == 1);
  CHECK_FALSE(other->on_this_host);
  const auto here = read(remote({"127.0.0.1", "10.0.0.1"}));
  REQUIRE(here);
  CHECK(here->addresses.size() == 1);
  CHECK(here->on_this_host);
  for (const char* address :
       {"127.9.9.9", "::1", "169.254.169.254", "fe80::1", "fe80::1%2", "::", "0.1.2.3",
        "255.255.255.255", "240.0.0.1", "239.1.1.1", "ff0e::1", "::ffff:127.0.0.1", "::127.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::", "64:ff9b::f000:1"}) {
    CAPTURE(address);
    CHECK_FALSE(read(remote({address})));
    registries::Entry said = remote({address});
    said.on_this_host = true;
    CHECK_FALSE(read(said));
    CHECK(read(remote({"10.0.0.1", address}))->addresses.size() == 1);
  }
  for (const char* address : {"1.0.0.0", "223.255.255.255", "169.253.0.1", "64:ff9b::10.0.0.9",
                              "2001:db8::1", "fd00::1", "::ffff:10.0.0.9"})
    CHECK_MESSAGE(read(remote({address})), address);
  registries::Entry mine = remote({"10.0.0.9"});
  mine.writer = "me";
  CHECK_FALSE(read(mine));
}

TEST_CASE("an entry without an id gets one of its address and port") {
  const EntryReader reader{.source = registry::Source::etcd, .own_addresses = {}, .writer = {}};
  registries::Entry entry = remote({"10.0.0.9"});
  entry.id.clear();
  entry.service = "prod/order";
  entry.writer = "0123abcd.box";
  const auto read = to_sighting(entry, reader, registry::Moment{});
  REQUIRE(read);
  CHECK(read->service.label() == "prod-order");
  CHECK(read->id.text() == "prod-order-10.0.0.9-80");
  CHECK_FALSE(read->own_id);
  CHECK(read->stated->identity == "0123abcd");
}

TEST_CASE("what others wrote is cut to the limits of registrations") {
  const EntryReader reader{.source = registry::Source::consul, .own_addresses = {}, .writer = {}};
  registries::Entry entry = remote({"10.0.0.9"});
  for (std::size_t i = 0; i < 2 * registry::kTagsMax; ++i)
    entry.tags.push_back("t" + std::to_string(i));
  entry.tags.front().assign(registry::kTagBytesMax + 1, 'x');
  for (std::size_t i = 0; i < 2 * registry::kMetadataMax; ++i)
    entry.metadata.emplace("k" + std::to_string(i), "v");
  entry.metadata["a"].assign(registry::kMetadataValueBytesMax + 1, 'x');
  entry.version.assign(1'000, '1');
  entry.checks.resize(2 * registry::kChecksPerInstanceMax);
  entry.checks[0].id.assign(1'000, 'i');
  entry.checks[0].name.assign(1'000, 'n');
  entry.protocol.assign(registry::kLabelBytesMax + 1, 'p');
  const auto read = to_sighting(entry, reader, registry::Moment{});
  REQUIRE(read);
  CHECK(read->tags.size() == registry::kTagsMax);
  CHECK(read->metadata.size() == registry::kMetadataMax);
  CHECK_FALSE(read->metadata.contains("a"));
  CHECK(read->version.size() == registry::kVersionBytesMax);
  CHECK(read->checks.size() == registry::kChecksPerInstanceMax);
  CHECK(read->checks[0].spec.id.size() == registry::kIdBytesMax);
  CHECK(read->checks[0].spec.name.size() == registry::kIdBytesMax);
  CHECK(read->protocol == "http");
  entry.protocol.assign(registry::kLabelBytesMax, 'p');
  CHECK(to_sighting(entry, reader, registry::Moment{})->protocol == entry.protocol);
}

}  // namespace
}  // namespace outrider::test
