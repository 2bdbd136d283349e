// SPDX-License-Identifier: Apache-2.0
// zone_server ADDRESS:PORT RECORDS
//
// The stub with fixed names: dns::LocalZone filled from a file, dns::StubServer over base/uv, and
// nothing of the agent around it. RECORDS: "name TYPE value" a line, as bench/run writes it; the
// lines of one name stand together, and every name lies under "svc".
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "dns/stub_server.h"

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

bool fill(dns::LocalZone& zone, const char* path) {
  std::ifstream file(path);
  std::string current;
  std::vector<dns::ZoneRecord> records;
  const auto put = [&] {
    const auto owner = dns::Name::parse(current);
    if (owner) zone.set(*owner, std::exchange(records, {}));
    return owner.has_value();
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

class Sink final : public dns::StubServer::Sink {
 public:
  bool failed = false;

 private:
  void on_bind(const Endpoint& address, Result<void, NetError> result) override {
    if (result) return;
    std::fprintf(stderr, "zone_server: %s: %s\n", address.to_string().c_str(),
                 to_string(result.error()));
    failed = true;
  }
  Duration on_unknown_name(const dns::Name&, const dns::Name&) override { return Duration::zero(); }
};

int serve(const Endpoint& on, const char* path) {
  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::automatic);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  Sink sink;
  dns::StubServer server(env, {.listen = {on}, .share_address = false}, sink);
  if (!fill(server.add_zone({.origin = *dns::Name::parse("svc")}), path)) {
    std::fprintf(stderr, "zone_server: %s: not as expected\n", path);
    return 1;
  }
  server.start();
  if (!sink.failed) loop.run();
  return 1;
}

}  // namespace
}  // namespace outrider

int main(int argc, char** argv) {
  const auto on = argc == 3 ? outrider::Endpoint::parse(argv[1]) : std::nullopt;
  if (!on) {
    std::fprintf(stderr, "usage: zone_server ADDRESS:PORT RECORDS\n");
    return 2;
  }
  return outrider::serve(*on, argv[2]);
}
