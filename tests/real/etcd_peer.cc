// SPDX-License-Identifier: Apache-2.0
// The etcd engine alone, on real sockets; one line an event, with milliseconds since its start.
// SIGUSR1: its status. SIGTERM: takes everything back and ends.
//
//   etcd_peer ENDPOINT[,ENDPOINT]... [kratos] [goframe] [forge] [gozero=KEY[,KEY]...] [ttl=SECONDS]
//             [writer=NAME] [user=NAME,PASSWORD_FILE] [put=SERVICE,ID,ADDRESS,PORT]... [quiet]
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <signal.h>

#include "base/text.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "registries/etcd/etcd_engine.h"

using namespace outrider;
using namespace outrider::registries;

namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

class Printer final : public Engine::Sink {
 public:
  Printer(uv::Loop& loop, bool quiet) : loop_(loop), start_(loop.clock().now()), quiet_(quiet) {}

  void on_listed(const std::string&, std::vector<Entry> entries) override {
    say("listed " + std::to_string(entries.size()));
    for (const Entry& entry : entries)
      show(entry);
  }
  void on_sighting(Entry entry) override { show(entry); }
  void on_lost(const std::string&, const std::string& key) override {
    if (!quiet_) say("lost " + key);
  }
  void on_state(const std::string&, PlaceState state, const std::string& reason) override {
    say(std::string("state ") + to_string(state) + ' ' + reason);
  }
  void on_restarted(const std::string&, const std::string& reason) override {
    say("restarted " + reason);
  }
  void on_conflict(const std::string& id, const std::string& key,
                   const std::string& holder) override {
    say("conflict " + id + ' ' + key + ' ' + (holder.empty() ? "over" : holder));
  }
  void say(const std::string& line) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(loop_.clock().now() - start_);
    std::printf("%lld %s\n", static_cast<long long>(ms.count()), line.c_str());
    std::fflush(stdout);
  }

 private:
  void show(const Entry& entry) {
    if (quiet_) return;
    std::string line = "entry " + entry.service + " id=" + entry.id + " version=" + entry.version +
                       ' ' + entry.protocol + ' ' + to_string(entry.health) +
                       " writer=" + entry.writer + " key=" + entry.where.key;
    for (const IpAddress& address : entry.addresses)
      line += ' ' + Endpoint{address, entry.port}.to_string();
    say(line);
  }

  uv::Loop& loop_;
  TimePoint start_;
  bool quiet_;
};

Entry parse_entry(const std::string& text) {
  const auto words = split(text);
  Entry entry;
  if (words.size() != 4) return entry;
  entry.service = words[0];
  entry.id = entry.key = words[1];
  entry.version = "v1.0.0";
  entry.protocol = "http";
  if (const auto address = IpAddress::parse(words[2])) entry.addresses = {*address};
  entry.port = parse_number<std::uint16_t>(words[3]).value_or(0);
  return entry;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  etcd::Options options;
  options.endpoints = split(argv[1]);
  std::vector<Entry> entries;
  bool quiet = false;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string key = word.substr(0, word.find('='));
    const std::string value = word.substr(std::min(word.size(), key.size() + 1));
    if (key == "kratos") options.layouts.kratos.emplace();
    if (key == "goframe") options.layouts.goframe.emplace();
    if (key == "forge") options.layouts.forge.emplace();
    if (key == "gozero") options.layouts.gozero.emplace().keys = split(value);
    if (key == "ttl") options.ttl = std::chrono::seconds(parse_number<int>(value).value_or(15));
    if (key == "writer") options.writer = value;
    if (key == "user") {
      const auto words = split(value);
      options.user = words.front();
      options.password_file = words.back();
    }
    if (key == "put") entries.push_back(parse_entry(value));
    quiet = quiet || key == "quiet";
  }

  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::text);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  Printer printer(loop, quiet);
  etcd::EtcdEngine engine(env, options, nullptr);
  engine.start(printer);
  for (const Entry& entry : entries)
    engine.put(entry);
  const auto status = loop.watch_signal(SIGUSR1, [&] {
    for (const PlaceStatus& place : engine.places()) {
      std::string line = std::string("status ") + to_string(place.state) + " at " + place.endpoint +
                         " read=" + std::to_string(place.read) +
                         " skipped=" + std::to_string(place.skipped) +
                         " written=" + std::to_string(place.written) +
                         " lease=" + std::to_string(place.lease) + " error=" + place.last_error;
      for (const std::string& warning : place.warnings)
        line += " warning=" + warning;
      printer.say(line);
    }
  });
  const auto end = loop.watch_signal(SIGTERM, [&] {
    engine.stop([&] {
      printer.say("stopped");
      loop.stop();
    });
  });
  loop.run();
  return 0;
}
