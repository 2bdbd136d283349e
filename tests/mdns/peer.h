// SPDX-License-Identifier: Apache-2.0
// What mDNS tests share: a provider on a simulated host that writes down what it is told, and a
// hand that puts messages on a link and reads those that are there.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "mdns/native/native_provider.h"
#include "tests/sim/world.h"

namespace outrider::mdns {

class Peer final : private Provider::Sink {
 public:
  explicit Peer(sim::Host& host, NativeOptions options = {});
  ~Peer();

  NativeProvider& operator*() { return *provider_; }
  NativeProvider* operator->() { return provider_.get(); }
  sim::Host& host() { return host_; }
  /// As by a crash: no goodbye.
  void kill() { provider_.reset(); }

  std::map<AnnouncementId, std::string> announced;  // the last label of each
  std::vector<std::string> log;                     // "announced 1 hello", "sighting hello", …
  std::map<SightingKey, Sighting> sightings;        // those that are there now
  std::map<SightingKey, LostReason> lost;           // why the others are not
  std::vector<AnnouncementId> conflicts;
  ProviderState state = ProviderState::starting;
  std::string why;
  bool stopped = false;

  const Sighting* sees(const std::string& label, const ServiceType& type = "_hello._tcp") const;
  std::size_t count(const std::string& line) const;
  void stop();

 private:
  void on_announced(AnnouncementId id, const std::string& label) override;
  void on_conflict(AnnouncementId id) override;
  void on_sighting(const Sighting& sighting) override;
  void on_lost(const SightingKey& key, LostReason reason) override;
  void on_state(ProviderState state, const std::string& why) override;

  sim::Host& host_;
  std::unique_ptr<NativeProvider> provider_;
};

/// Options whose host label is unlike those of other names.
NativeOptions options_for(const std::string& host);

Announcement hello(const std::string& label = "hello", std::uint16_t port = 8080);

/// A message that was on the wire.
struct Message {
  TimePoint at;
  std::string host;
  Endpoint from, to;
  int hop_limit = 0;
  std::size_t bytes = 0;
  dns::Header header;
  std::vector<dns::Question> questions;
  std::vector<dns::Record> answers, authorities, additionals;

  bool response() const { return header.flags.response; }
  const dns::Record* find(const std::string& name, dns::RrType type) const;
};
/// All that parse; those that do not are a failure of the test.
std::vector<Message> messages(const sim::Link& link,
                              const std::function<bool(const Message&)>& wanted = {});
bool is_probe(const Message& message);
bool asks(const Message& message, const std::string& name);

struct Sent {
  std::uint16_t id = 0;
  dns::Flags flags;
  std::vector<dns::Question> questions;
  std::vector<dns::Record> answers, authorities, additionals;
};
std::vector<std::uint8_t> encode(const Sent& message);
/// From port 5353 of `from` to the IPv4 group.
void inject(sim::Link& link, const std::string& from, const Sent& message,
            std::uint16_t port = 5353);

dns::Name name(const std::string& text);
dns::Question question(const std::string& owner, dns::RrType type, bool unicast = false);
dns::Record ptr(const std::string& owner, const std::string& target, dns::Ttl ttl = 75);
dns::Record srv(const std::string& owner, const std::string& target, std::uint16_t port,
                dns::Ttl ttl = 20);
dns::Record txt(const std::string& owner, std::vector<std::string> strings, dns::Ttl ttl = 75);
dns::Record address(const std::string& owner, const std::string& text, dns::Ttl ttl = 20);
/// A whole instance in one response, as peers announce it.
Sent instance(const std::string& label, const std::string& type, const std::string& host,
              const std::string& address_text, std::uint16_t port, dns::Ttl ttl = 75);

/// Every zeroconf.v1 reader of Go: an instance is there only if one message holds its PTR or is
/// asked by name, SRV, TXT, and an address whose owner is the SRV target byte for byte. Returns
/// the labels found in the message for `type`.
std::vector<std::string> assemble_per_packet(const Message& message, const std::string& type);

}  // namespace outrider::mdns
