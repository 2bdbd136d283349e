// SPDX-License-Identifier: Apache-2.0
// zone_server ADDRESS:PORT RECORDS [CHANGES]
//
// The stub with fixed names: dns::LocalZone filled from a file, dns::StubServer over base/uv, and
// nothing of the agent around it. RECORDS: "name TYPE value" a line, as bench/run writes it; the
// lines of one name are adjacent, and every name is under "svc". CHANGES per second (at most 1,000
// every 10 ms) each replace the records of one name, as instances do that come and go.
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "bench/src/bench_sink.h"

namespace outrider {
namespace {

std::optional<dns::ZoneRecord> make_record(const std::string& type, std::istream& value) {
  if (type == "A" || type == "AAAA") {
    std::string text;
    value >> text;
    const auto address = IpAddress::parse(text);
    if (!address) return std::nullopt;
    return dns::ZoneRecord{.type = type == "A" ? dns::RrType::a : dns::RrType::aaaa,
                           .data = dns::AddressData{*address}};
  }
  if (type == "SRV") {
    dns::SrvData srv;
    std::string target;
    value >> srv.priority >> srv.weight >> srv.port >> target;
    const auto name = dns::Name::parse(target);
    if (!name) return std::nullopt;
    srv.target = *name;
    return dns::ZoneRecord{.type = dns::RrType::srv, .data = srv};
  }
  if (type != "TXT") return std::nullopt;
  std::string text;
  std::getline(value >> std::ws, text);
  return dns::ZoneRecord{.type = dns::RrType::txt, .data = dns::TxtData{{text}}};
}

struct Entry {
  dns::Name owner;
  std::vector<dns::ZoneRecord> records;
};
constexpr std::size_t kChangingMax = 1'000;

/// Fills the zone, and `changing` with some of its names.
bool fill(dns::LocalZone& zone, const char* path, std::vector<Entry>& changing) {
  std::ifstream file(path);
  std::string current;
  std::vector<dns::ZoneRecord> records;
  const auto put = [&] {
    const auto owner = dns::Name::parse(current);
    if (!owner) return false;
    if (changing.size() < kChangingMax) changing.push_back({*owner, records});
    zone.set(*owner, std::exchange(records, {}));
    return true;
  };
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name, type;
    fields >> name >> type;
    const auto record = make_record(type, fields);
    if (!record) return false;
    if (name != current && !current.empty() && !put()) return false;
    current = name;
    records.push_back(*record);
  }
  return !current.empty() && put();
}

/// Every other time a name has no records.
class Changer {
 public:
  Changer(Env& env, dns::LocalZone& zone, std::vector<Entry> entries, unsigned a_second)
      : env_(env), zone_(zone), entries_(std::move(entries)), a_second_(a_second) {
    if (a_second_ > 0 && !entries_.empty()) arm();
  }

 private:
  static constexpr Duration kStep = std::chrono::milliseconds(10);

  void arm() {
    timer_ = env_.after(kStep, [this] {
      for (due_ += a_second_; due_ >= 100; due_ -= 100, ++next_) {
        const Entry& entry = entries_[next_ / 2 % entries_.size()];
        zone_.set(entry.owner, next_ % 2 == 0 ? std::vector<dns::ZoneRecord>() : entry.records);
      }
      arm();
    });
  }

  Env& env_;
  dns::LocalZone& zone_;
  std::vector<Entry> entries_;
  unsigned a_second_;
  unsigned due_ = 0;  // in hundredths of a change
  std::size_t next_ = 0;
  Timer timer_;
};

int serve(const Endpoint& on, const char* path, unsigned changes) {
  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::automatic);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  BenchSink sink;
  dns::StubServer server(env, {.listen = {on}, .share_address = false}, sink);
  dns::LocalZone& zone = server.add_zone({.origin = *dns::Name::parse("svc")});
  std::vector<Entry> changing;
  if (!fill(zone, path, changing)) {
    std::fprintf(stderr, "zone_server: %s: not as expected\n", path);
    return 1;
  }
  const Changer changer(env, zone, std::move(changing), changes);
  server.start();
  if (!sink.failed) loop.run();
  return 1;
}

}  // namespace
}  // namespace outrider

int main(int argc, char** argv) {
  const auto on = argc == 3 || argc == 4 ? outrider::Endpoint::parse(argv[1]) : std::nullopt;
  unsigned changes = 0;
  const std::string_view number = argc == 4 ? argv[3] : "0";
  const auto read = std::from_chars(number.data(), number.data() + number.size(), changes);
  if (!on || read.ec != std::errc() || changes > 100'000) {
    std::fprintf(stderr, "usage: zone_server ADDRESS:PORT RECORDS [CHANGES]\n");
    return 2;
  }
  return outrider::serve(*on, argv[2], changes);
}
