// SPDX-License-Identifier: Apache-2.0
// A stub server on 127.0.0.55:53 of a simulated machine, and a client beside it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dns/stub_server.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "tests/sim/world.h"

namespace outrider::test {

dns::Name name(std::string_view text);

/// A question as a client sends it.
struct Ask {
  std::string name;
  dns::RrType type = dns::RrType::a;
  std::optional<std::uint16_t> edns_size = {};  // with OPT if set
  bool dnssec_ok = false;
  std::uint8_t edns_version = 0;
  std::vector<std::uint8_t> edns_options = {};
  dns::RrClass rr_class = dns::RrClass::in;
  dns::Flags flags = {.recursion_desired = true};

  std::vector<std::uint8_t> wire(std::uint16_t id = 0x1234) const;
};

/// A reply, taken apart.
struct Answer {
  std::uint16_t id = 0;
  dns::Flags flags;
  dns::Rcode rcode = dns::Rcode::noerror;                  // with the bits from OPT
  std::string question;                                    // as echoed
  std::vector<std::string> answer, authority, additional;  // "web.svc. 5 IN A 10.0.0.1", no OPT
  bool has_edns = false;
  std::uint16_t edns_size = 0;
  bool dnssec_ok = false;
  std::optional<unsigned> error;  // RFC 8914
  std::string error_text;
  std::size_t size = 0;

  /// Fails the test if the bytes are no well-formed response.
  static Answer read(Bytes message);
  /// "NOERROR", "NODATA" (no error, no answer), "NXDOMAIN", …
  std::string outcome() const;
};

class Bed final : public dns::StubServer::Sink, UdpSocket::Sink, Stream::Sink {
 public:
  explicit Bed(dns::StubOptions options = {});

  // What the server told and what it is told.
  void on_bind(const Endpoint& address, Result<void, NetError> result) override;
  Duration on_unknown_name(const dns::Name& name, const dns::Name& zone) override;
  std::vector<std::string> binds;
  std::vector<std::string> unknown;
  Duration hold{};
  Duration until_complete() const override { return incomplete; }
  bool may_come(const dns::Name&, const dns::Name&) const override { return behind; }
  Duration incomplete{};  // until the zone's source is complete
  bool behind = false;    // every name may still come

  /// Asks over UDP from a loopback address and waits until the world is at rest.
  Answer ask(const Ask& question);
  /// The bytes of all replies to one datagram.
  std::vector<std::vector<std::uint8_t>> exchange(Bytes datagram);
  /// The same over one TCP connection, all at once. `close`: half-closes after the last.
  std::vector<Answer> ask_tcp(const std::vector<Ask>& questions, bool close = false);

  // Replies that have come since the last call.
  std::vector<std::vector<std::uint8_t>> take_replies() { return std::exchange(replies_, {}); }
  void send(Bytes datagram);

  sim::World world{1};
  dns::StubServer server;
  dns::LocalZone& zone;

  // One TCP client.
  void connect();
  void write(Bytes bytes);
  void disconnect() { stream_.reset(); }
  bool tcp_ended = false;
  Stream& stream() { return *stream_; }
  std::vector<Answer> take_frames();

  static constexpr std::uint16_t kPort = 53;

 private:
  void on_datagrams(std::span<const Datagram> datagrams) override;
  void on_data(Bytes data) override {
    tcp_input_.insert(tcp_input_.end(), data.begin(), data.end());
  }
  void on_end() override { tcp_ended = true; }
  void on_broken(NetError) override { tcp_ended = true; }

  std::vector<std::vector<std::uint8_t>> replies_;
  std::unique_ptr<UdpSocket> client_;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Stream> stream_;
  std::vector<std::uint8_t> tcp_input_;
};

dns::ZoneRecord a(std::string_view address, std::uint8_t rank = 0, std::uint16_t weight = 1);
dns::ZoneRecord srv(std::uint16_t port, std::string_view target, std::uint8_t rank = 0);
dns::ZoneRecord txt(std::vector<std::string> strings);
dns::ZoneRecord ptr(std::string_view target);

}  // namespace outrider::test
