// SPDX-License-Identifier: Apache-2.0
// The native mDNS provider alone, on real sockets; one line an event, with milliseconds since its
// start. SIGUSR1: a TXT change. SIGTERM: goodbye and end.
//
//   mdns_peer HOST [publish=LABEL,TYPE,PORT[,KEY=VALUE]...]... [browse=TYPE]... [many=COUNT]
//             [ttl=rfc] [interface=GLOB]
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <signal.h>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "mdns/native/native_provider.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

std::uint16_t number(const std::string& text) {
  std::uint16_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

class Printer final : public Provider::Sink {
 public:
  Printer(uv::Loop& loop, bool quiet) : loop_(loop), start_(loop.clock().now()), quiet_(quiet) {}
  NativeProvider* provider = nullptr;

  void on_announced(AnnouncementId id, const std::string& label) override {
    if (!quiet_ || ++announced_ % 100 == 0) say("announced " + std::to_string(id) + " " + label);
  }
  void on_conflict(AnnouncementId id) override { say("conflict " + std::to_string(id)); }
  void on_sighting(const Sighting& sighting) override {
    std::string line = sighting.key.label + " " + sighting.key.type + " " + sighting.host + " " +
                       std::to_string(sighting.port);
    for (const SightedAddress& address : sighting.addresses)
      line += " " + address.address.to_string();
    for (const std::string& string : sighting.txt.strings())
      line += " " + string;
    std::string& told = seen_[sighting.key];
    const bool fresh = told.empty();
    if (told == line) return;
    told = line;
    if (!quiet_) say("sighting " + line);
    if (fresh && seen_.size() % 100 == 0) say("sightings " + std::to_string(seen_.size()));
    if (fresh && !quiet_) say("count " + std::to_string(seen_.size()));
  }
  void on_lost(const SightingKey& key, LostReason reason) override {
    seen_.erase(key);
    if (!quiet_) say("lost " + key.label + " " + key.type + " " + to_string(reason));
    if (seen_.empty()) say("all lost");
  }
  void on_state(ProviderState state, const std::string& why) override {
    say("state " + std::to_string(static_cast<int>(state)) + " " + why);
  }
  void say(const std::string& line) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(loop_.clock().now() - start_);
    std::printf("%lld %s\n", static_cast<long long>(ms.count()), escape_untrusted(line).c_str());
    std::fflush(stdout);
  }

 private:
  uv::Loop& loop_;
  TimePoint start_;
  bool quiet_;
  std::size_t announced_ = 0;
  std::map<SightingKey, std::string> seen_;
};

Announcement parse(const std::string& text) {
  const auto words = split(text, ',');
  Announcement out;
  if (words.size() < 3) return out;
  out.label = words[0];
  out.type = words[1];
  out.port = number(words[2]);
  out.txt.assign(words.begin() + 3, words.end());
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  NativeOptions options;
  options.host = options.cookie = argv[1];
  std::vector<Announcement> wanted;
  std::vector<ServiceType> types;
  std::uint16_t many = 1;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string key = word.substr(0, word.find('='));
    const std::string value = word.substr(std::min(word.size(), key.size() + 1));
    if (key == "publish") wanted.push_back(parse(value));
    if (key == "browse") types.push_back(value);
    if (key == "many") many = number(value);
    if (key == "interface") options.interfaces.include.push_back(value);
    if (key == "ttl" && value == "rfc") options.ttl = TtlProfile::rfc;
  }

  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::text);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  Printer printer(loop, many > 1 || argc > 1'000);
  const auto provider = make_native_provider(env, options);
  provider->start(printer);
  provider->browse(types);
  AnnouncementId id = 0;
  for (const Announcement& one : wanted) {
    for (unsigned n = 0; n < many; ++n) {
      Announcement each = one;
      if (many > 1) each.label += std::to_string(n);
      if (!provider->publish(++id, each)) printer.say("refused " + each.label);
    }
  }
  unsigned generation = 0;
  const auto update = loop.watch_signal(SIGUSR1, [&] {
    AnnouncementId next = 0;
    ++generation;
    for (Announcement& one : wanted) {
      one.txt.push_back("generation=" + std::to_string(generation));
      (void)provider->publish(++next, one);
    }
    printer.say("updated");
  });
  const auto end = loop.watch_signal(SIGTERM, [&] {
    const NativeCounters counters = provider->counters();
    printer.say("counters sent=" + std::to_string(counters.sent) +
                " bytes=" + std::to_string(counters.sent_bytes) + " received=" +
                std::to_string(counters.received) + " echoes=" + std::to_string(counters.echoes) +
                " dropped=" + std::to_string(counters.dropped) +
                " cached=" + std::to_string(counters.cached_records) +
                " cached_bytes=" + std::to_string(counters.cached_bytes));
    provider->stop([&] {
      printer.say("stopped");
      loop.stop();
    });
  });
  loop.run();
  return 0;
}
