// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/machine.h"

#include <stdexcept>

#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "mdns/native/native_provider.h"

namespace outrider::test {
namespace {

std::string text_of(const dns::Record& record) {
  if (const auto* address = std::get_if<dns::AddressData>(&record.data))
    return address->address.to_string();
  if (const auto* name = std::get_if<dns::NameData>(&record.data)) return name->name.to_display();
  if (const auto* srv = std::get_if<dns::SrvData>(&record.data))
    return std::to_string(srv->weight) + ' ' + std::to_string(srv->port) + ' ' +
           srv->target.to_display();
  if (const auto* txt = std::get_if<dns::TxtData>(&record.data)) {
    std::string out;
    for (const std::string& string : txt->strings)
      out += (out.empty() ? "" : "|") + string;
    return out;
  }
  return dns::to_string(record);
}

/// RFC 8914 §2: option 15 holds a code and a text.
void read_extended_error(Bytes options, Reply& reply) {
  ByteReader reader(options);
  while (reader.left() >= 4) {
    const std::uint16_t code = reader.u16();
    const Bytes data = reader.take(reader.u16());
    if (code != 15 || data.size() < 2) continue;
    reply.extended_error = static_cast<std::uint32_t>(data[0] << 8 | data[1]);
    reply.why = as_text(data.subspan(2));
  }
}

class Asker final : public UdpSocket::Sink {
 public:
  Reply reply;
  void on_datagrams(std::span<const Datagram> datagrams) override {
    const auto view = dns::MessageView::parse(datagrams.front().payload);
    if (!view) throw std::runtime_error("a malformed reply");
    reply.came = true;
    reply.rcode = static_cast<dns::Rcode>(view->header().flags.rcode);
    reply.ttl = 0xffff'ffff;
    auto records = view->records();
    while (auto record = records.next()) {
      if (record->section != dns::Section::answer) continue;
      reply.answers.insert(text_of(record->record));
      reply.ttl = std::min(reply.ttl, record->record.ttl);
    }
    if (records.failed()) throw std::runtime_error("a malformed record");
    if (const auto edns = view->edns(); edns && *edns) read_extended_error((*edns)->options, reply);
  }
};

}  // namespace

std::string Reply::text() const {
  if (!came) return "SILENCE";
  if (rcode != dns::Rcode::noerror) return dns::to_string(rcode);
  if (answers.empty()) return "NODATA";
  std::string out = "NOERROR";
  for (const std::string& answer : answers)
    out += ' ' + answer;
  return out;
}

Machine::Machine(sim::World& world, const std::string& name, const std::string& prefix)
    : host_name(name),
      identity("identityof" + name),
      world_(world),
      name_(name),
      host_(world.host(name)) {
  host_.attach("eth0", world.link("lan"), {prefix});
}

Machine::~Machine() = default;

std::optional<Config> Machine::parse(const std::string& text, std::string& error) const {
  auto config = make_config({.files = {{name_ + ".json", text}}, .environment = {}, .sets = {}});
  if (config) return std::move(*config);
  error = config.error().to_string();
  return std::nullopt;
}

std::string Machine::start(const std::string& text) {
  std::string error;
  auto config = parse(text, error);
  if (!config) return error;
  AgentParts parts{.host_name = host_name, .host_identity = identity};
  if (config->mdns.provider != MdnsProvider::off)
    parts.make_provider = [this](Env& env) {
      mdns::NativeOptions options;
      options.host = options.machine = host_name;
      options.cookie = identity;
      return std::unique_ptr<mdns::Provider>(mdns::make_native_provider(env, options));
    };
  parts.load = [this](std::span<const Endpoint>) { return connections; };
  parts.exposure = {[this] { return listeners; }, [this] { return program_ports; }};
  if (history != nullptr)
    parts.history = std::make_unique<sim::SimStateFile>(host_.env(), *history);
  if (disk != nullptr) parts.state = std::make_unique<sim::SimStateFile>(host_.env(), *disk);
  if (etcd_disk != nullptr)
    parts.etcd_state = std::make_unique<sim::SimStateFile>(host_.env(), *etcd_disk);
  if (has_bridge) parts.relays = copy_relays(host_.env());
  parts.make_engine = make_engine;
  parts.writer = identity;
  stopped_ = false;
  agent_ = std::make_unique<Agent>(host_.env(), std::move(*config), std::move(parts));
  agent_->start();
  return {};
}

std::string Machine::reload(const std::string& text) {
  std::string error;
  if (auto config = parse(text, error)) refused_keys = agent_->reload(std::move(*config));
  return error;
}

void Machine::stop() {
  agent_->stop([this] {
    stopped_ = true;
    agent_.reset();
  });
}

sim::HttpServer& Machine::server(std::uint16_t port) {
  auto& server = servers_[port];
  if (!server) server = std::make_unique<sim::HttpServer>(host_.env(), port);
  return *server;
}

Reply Machine::ask(const std::string& name, dns::RrType type) {
  Asker asker;
  auto socket =
      host_.env().network.open_udp({.bind = *Endpoint::parse("127.0.0.1:0")}, asker).value();
  std::array<std::uint8_t, 512> buffer;
  dns::MessageBuilder builder(buffer);
  builder.reserve(dns::kOptBytes);
  builder.set_id(0x4242);
  builder.set_flags({.recursion_desired = true});
  if (!builder.add_question({.name = *dns::Name::parse(name), .type = type}) ||
      !builder.add_opt({.udp_size = 1'232}))
    throw std::runtime_error("the question does not fit");
  (void)socket->send(builder.finish(), *Endpoint::parse(kDns));
  world_.run_until([&] { return asker.reply.came; }, 2s);
  return asker.reply;
}

}  // namespace outrider::test
