// SPDX-License-Identifier: Apache-2.0
#include "registries/host/host_engine.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::registries {
namespace {

using Texts = std::vector<std::string>;
std::string joined(const Texts& texts) {
  std::string out;
  for (const std::string& text : texts)
    out += (out.empty() ? "" : " | ") + text;
  return out;
}

std::string instance(const std::string& id, const std::string& health = "passing",
                     const std::string& source = "own") {
  return R"({"id":")" + id + R"(","service":"web","health":")" + health + R"(","source":")" +
         source + R"(","addresses":["10.0.0.1"],"port":80})";
}

/// Another agent: a control socket, and what it sends there.
class Other final : Listener::Sink, Stream::Sink {
 public:
  Other(sim::World& world, const std::string& path, const std::string& instances)
      : world_(world), snapshot_(snapshot(instances)) {
    listener_ = world.env().network.listen({.on = UnixPath{path}}, *this).value();
  }
  static std::string snapshot(const std::string& instances, const std::string& agent = "other",
                              const std::string& host = "this") {
    return "event: snapshot\nid: 1\ndata: {\"revision\":1,\"agent\":\"" + agent + "\",\"host\":\"" +
           host + "\",\"instances\":[" + instances + "]}\n\n";
  }
  void set_answer(const std::string& text) { answer_ = text; }
  void set_snapshot(const std::string& text) { snapshot_ = text; }
  /// The process is suspended: the kernel takes what is sent to it, and no process reads.
  void suspend() { suspended_ = true; }
  void go_on() {
    suspended_ = false;
    if (asked_) answer();
  }
  void send(const std::string& text) { REQUIRE(stream_->write(as_bytes(text))); }
  void change(const std::string& kind, const std::string& instance) {
    send("event: change\nid: 2\ndata: {\"revision\":2,\"changes\":[{\"kind\":\"" + kind +
         "\",\"instance\":" + instance + "}]}\n\n");
  }
  bool is_open() const { return stream_ != nullptr; }
  int connections = 0;
  std::string request;

 private:
  void on_accept(std::unique_ptr<Stream> stream) override {
    ++connections;
    stream_ = std::move(stream);
    stream_->start(*this);
  }
  void on_data(Bytes data) override {
    request = as_text(data);
    asked_ = true;
    if (!suspended_) answer();
  }
  void on_end() override { stream_.reset(); }
  void on_broken(NetError) override { stream_.reset(); }
  void answer() {
    asked_ = false;
    send(answer_);
    if (stream_ && !snapshot_.empty()) send(snapshot_);
  }

  sim::World& world_;
  std::string answer_ = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  std::string snapshot_;
  bool suspended_ = false, asked_ = false;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> stream_;
};

struct Bed final : Engine::Sink {
  sim::World world{1};
  std::vector<std::string> paths;
  std::function<void()> changed;
  Texts events;
  HostEngine engine{world.env(),
                    {[this] { return paths; },
                     [this](std::function<void()> callback) {
                       changed = std::move(callback);
                       return std::make_unique<Pending>();
                     }},
                    {"self", "this"}};

  void start() {
    engine.start(*this);
    settle();
  }
  void settle() { world.advance(5ms); }
  Texts take() { return std::exchange(events, {}); }
  std::string status() const {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    engine.write_status(out);
    out.end_object();
    return text;
  }

  void on_listed(const std::string& place, std::vector<Entry> entries) override {
    std::string line = place + " lists";
    for (const Entry& entry : entries)
      line += ' ' + entry.id;
    events.push_back(line);
  }
  void on_sighting(Entry entry) override {
    events.push_back(entry.place + " has " + entry.id +
                     (entry.health == Health::passing ? " passing" : " not passing"));
  }
  void on_lost(const std::string& place, const std::string& key) override {
    events.push_back(place + " lost " + key);
  }
  void on_state(const std::string& place, PlaceState state, const std::string& reason) override {
    events.push_back(place + ' ' + to_string(state) + (reason.empty() ? "" : ": " + reason));
  }
};

TEST_CASE("a sibling's own registrations are followed, healthy or not, and nothing else of it") {
  Bed bed;
  Other other(bed.world, "/a",
              instance("w1") + ',' + instance("w2", "critical") + ',' +
                  instance("far", "passing", "sighting"));
  bed.paths = {"/a"};
  bed.start();
  CHECK(joined(bed.take()) == joined({"/a lists w1 w2", "/a current"}));
  CHECK(other.request.starts_with("GET /v1/outrider/watch?source=own HTTP/1.1\r\n"));
  other.change("changed", instance("w1", "critical"));
  other.change("added", instance("far2", "passing", "host"));
  other.change("removed", instance("w2"));
  other.send(":\n\n");
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a has w1 not passing", "/a lost /a web w2"}));
}

TEST_CASE("siblings come and go with their sockets") {
  Bed bed;
  bed.start();
  CHECK(bed.take().empty());
  auto other = std::make_unique<Other>(bed.world, "/a", instance("w1"));
  bed.paths = {"/a"};
  bed.changed();
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a lists w1", "/a current"}));
  bed.changed();  // nothing is new
  bed.settle();
  CHECK(bed.take().empty());
  other.reset();
  bed.paths.clear();
  bed.changed();
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a behind: it has ended", "/a gone: its socket is gone"}));
}

TEST_CASE(
    "a socket that appears before its process listens is tried again, a dead one not forever") {
  Bed bed;
  bed.paths = {"/a", "/dead"};
  bed.world.host("here").leave_dead_socket("/dead");
  bed.start();
  Other other(bed.world, "/a", instance("w1"));
  bed.world.advance(1s);
  const Texts seen = bed.take();
  CHECK(std::ranges::count(seen, "/a lists w1") == 1);
  bed.world.advance(10s);
  bed.take();
  CHECK_FALSE(bed.world.run_until([&] { return !bed.events.empty(); }, 20s));
  // The folder of the socket changes: it is taken over by a new agent.
  Other taken_over(bed.world, "/dead", instance("w2"));
  bed.changed();
  bed.settle();
  CHECK(joined(bed.take()) == "/dead lists w2 | /dead current");
}

TEST_CASE("a suspended sibling is behind in bounded time, and current when it goes on") {
  Bed bed;
  Other other(bed.world, "/a", instance("w1"));
  bed.paths = {"/a"};
  bed.start();
  bed.take();
  for (int i = 0; i < 10; ++i) {  // comments keep it current
    bed.world.advance(25s);
    other.send(":\n\n");
  }
  bed.settle();
  CHECK(bed.take().empty());
  other.suspend();
  bed.world.advance(kSilenceMax + kSilenceGrace);
  CHECK(joined(bed.take()) == joined({"/a behind: it has not answered for 40s"}));
  CHECK(bed.status().find(R"("state":"behind")") != std::string::npos);
  bed.world.advance(10min);
  CHECK(bed.take().empty());
  CHECK(other.connections == 2);  // the second request waits
  other.go_on();
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a lists w1", "/a current"}));
}

TEST_CASE("a new sibling that accepts and never answers is reported") {
  Bed bed;
  Other other(bed.world, "/a", instance("w1"));
  other.suspend();
  bed.paths = {"/a"};
  bed.start();
  bed.world.advance(kAnswerMax);
  CHECK(joined(bed.take()) == joined({"/a behind: it does not answer"}));
  other.go_on();
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a lists w1", "/a current"}));
}

TEST_CASE("a sibling whose process ends and starts again on the same socket is listed again") {
  Bed bed;
  auto other = std::make_unique<Other>(bed.world, "/a", instance("w1"));
  bed.paths = {"/a"};
  bed.start();
  bed.take();
  other.reset();
  bed.settle();
  CHECK(joined(bed.take()) == joined({"/a behind: it has ended"}));
  other = std::make_unique<Other>(bed.world, "/a", instance("w2"));
  bed.world.advance(1s);
  CHECK(joined(bed.take()).ends_with("/a lists w2 | /a current"));
}

TEST_CASE("a sibling that drops this agent every time is asked ever more rarely") {
  Bed bed;
  Other other(bed.world, "/a", "");
  std::string sends = "event: lagged\ndata: {}\n\n";
  SUBCASE("at once") {}
  SUBCASE("after its snapshot") {
    sends = Other::snapshot(instance("w1")) + sends;
  }
  other.set_snapshot(sends);
  bed.paths = {"/a"};
  bed.start();
  bed.world.advance(1min);
  CHECK(other.connections <= 35);
  other.set_snapshot(Other::snapshot(instance("w2")));
  bed.world.advance(kStreamLasts);
  bed.take();
  other.change("changed", instance("w2", "critical"));
  bed.settle();
  CHECK(joined(bed.take()) == "/a has w2 not passing");
  // A stream that lasted is asked for again at once.
  const int before = other.connections;
  bed.world.advance(kStreamLasts);
  other.send(sends);
  bed.settle();
  CHECK(other.connections == before + 1);
}

TEST_CASE("this process itself, and an agent of another namespace, are no siblings") {
  Bed bed;
  Other self(bed.world, "/a", ""), far(bed.world, "/b", "");
  self.set_snapshot(Other::snapshot(instance("w1"), "self"));
  far.set_snapshot(Other::snapshot(instance("w1"), "other", "elsewhere"));
  bed.paths = {"/a", "/b"};
  bed.start();
  CHECK(bed.take().empty());
  CHECK(bed.status() == R"({"siblings":[]})");
  bed.changed();
  bed.settle();
  CHECK(self.connections == 1);
}

TEST_CASE("what is no stream of events is left alone") {
  Bed bed;
  Other refuses(bed.world, "/a", ""), garbage(bed.world, "/b", ""), broken(bed.world, "/c", ""),
      endless(bed.world, "/d", "");
  refuses.set_answer("HTTP/1.1 404 Not Found\r\n\r\n");
  refuses.set_snapshot("");
  garbage.set_answer(std::string(20'000, 'x'));
  garbage.set_snapshot("");
  broken.set_snapshot("event: snapshot\ndata: {\"instances\":\n\n");
  endless.set_snapshot("event: snapshot\ndata: ");
  bed.paths = {"/a", "/b", "/c", "/d"};
  bed.start();
  for (std::size_t sent = 0; sent <= kEventBytesMax && endless.is_open(); sent += 1U << 20) {
    endless.send(std::string(1U << 20, 'x'));
    bed.settle();
  }
  bed.settle();
  CHECK(bed.take().empty());
  bed.changed();
  bed.settle();
  for (const Other* other : {&refuses, &garbage, &broken, &endless})
    CHECK(other->connections == 1);
}

TEST_CASE("the entries of a sibling and the siblings of a host are bounded") {
  Bed bed;
  std::string many;
  for (std::size_t i = 0; i <= kEntriesPerSiblingMax; ++i)
    many += (i == 0 ? "" : ",") + instance("w" + std::to_string(i));
  Other other(bed.world, "/a", many);
  bed.paths = {"/a"};
  bed.start();
  bed.world.advance(1s);
  const Texts events = bed.take();
  REQUIRE(events.size() == 2);
  CHECK(static_cast<std::size_t>(std::ranges::count(events[0], ' ')) == 1 + kEntriesPerSiblingMax);
  CHECK(events[1] == "/a current: it has more than 4096 registrations");
  for (std::size_t i = 0; i < 2 * kSiblingsMax; ++i)
    bed.paths.push_back("/b" + std::to_string(i));
  bed.changed();
  bed.world.advance(10s);
  const std::string status = bed.status();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = status.find("\"socket\"", at)) != std::string::npos; ++at)
    ++count;
  CHECK(count == kSiblingsMax);
}

TEST_CASE("stop closes every connection and reports once") {
  Bed bed;
  Other other(bed.world, "/a", instance("w1"));
  bed.paths = {"/a"};
  bed.start();
  bool stopped = false;
  bed.engine.stop([&] { stopped = true; });
  CHECK_FALSE(stopped);
  bed.settle();
  CHECK(stopped);
}

TEST_CASE("it has settled when every agent was listed or is out of reach") {
  Bed bed;
  Other slow(bed.world, "/run/a.sock", instance("a"));
  slow.suspend();
  bed.paths = {"/run/a.sock", "/run/dead.sock"};
  bed.engine.start(bed);
  CHECK_FALSE(bed.engine.is_settled());  // before the first look
  bed.world.advance(100ms);
  CHECK_FALSE(bed.engine.is_settled());
  slow.go_on();
  bed.settle();
  CHECK(bed.engine.is_settled());
}

}  // namespace
}  // namespace outrider::registries
