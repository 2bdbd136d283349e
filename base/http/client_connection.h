// SPDX-License-Identifier: Apache-2.0
// A client's connection to one HTTP/1.1 server: kept for one request after another, with answers
// that are handed over piece by piece and may never end (a watch). Each step has its own deadline:
// a server that accepts and is silent is not the same as one that answers slowly.
//
//   send() ▸ look up the name ▸ connect ▸ on_head ▸ on_piece, … ▸ on_complete
//
// A name is looked up again at each connect, and its addresses are tried in turn, one at each. With
// TLS, connecting includes the handshake, and the certificate has to be for the name.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/curl/curl.h"
#include "base/env.h"
#include "base/http/client.h"
#include "base/http/parser.h"
#include "base/name_lookup.h"

namespace outrider::http {

/// Of one exchange. Zero: no limit.
struct Deadlines {
  Duration connect = std::chrono::seconds(1);  // name lookup and TLS included
  Duration head = std::chrono::seconds(2);     // from the request until the head of the answer
  Duration silence = std::chrono::seconds(2);  // between pieces of the body
};

/// Of TCP connections that wait for a server to speak.
inline constexpr Duration kKeepAliveIdle = std::chrono::seconds(15);
inline constexpr Duration kUnacknowledgedMax = std::chrono::seconds(10);

class ClientConnection final : Stream::Sink {
 public:
  struct Exchange {
    std::string method = "POST";
    std::string target = "/";
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    Deadlines deadlines;
    /// Sent again, once, if a kept connection turns out to have been closed before a byte of the
    /// answer: only what may take effect twice.
    bool repeatable = false;
  };

  class Sink {
   public:
    virtual void on_head(int status, const Headers& headers) = 0;
    virtual void on_piece(std::string_view piece) = 0;
    /// The next request may be sent, here as well.
    virtual void on_complete() = 0;
    /// The exchange is over and the connection closed; the next request opens a new one.
    virtual void on_failed(const ClientError& error) = 0;

   protected:
    ~Sink() = default;
  };

  struct Server {
    std::string host;  // a name or an address, without brackets
    std::uint16_t port = 80;
    std::string authority;  // the Host header
    TlsOptions tls = {};
  };

  /// `names` may be null: then only addresses and "localhost" are known. It outlives this.
  ClientConnection(Env& env, Server server, NameLookup* names);
  ~ClientConnection();

  /// Only while it is not busy. The sink outlives the exchange; it may destroy the connection.
  void send(const Exchange& exchange, Sink& sink);
  bool is_busy() const { return sink_ != nullptr; }
  /// Ends the exchange, without a call, and closes the connection.
  void close();
  /// Where it is connected to, or was last.
  const std::optional<Endpoint>& peer() const { return peer_; }

 private:
  enum class Step : std::uint8_t { idle, connecting, head, body };

  void start();
  void on_found(NameLookup::Found found);
  void connect_to(const std::vector<IpAddress>& addresses);
  void connect_securely();
  void on_connected(std::unique_ptr<Stream> stream);
  void transmit();
  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  bool take(Bytes& data);
  void complete();
  void lost(ClientError::Kind kind, NetError network);
  std::string why_lost(NetError network) const;
  void fail(ClientError::Kind kind, const std::string& reason, NetError network = NetError::failed);
  void arm(Duration deadline, const char* what);
  void drop();

  Env& env_;
  const Server server_;
  NameLookup* names_;
  Step step_ = Step::idle;
  Sink* sink_ = nullptr;
  Deadlines deadlines_;
  std::string request_;
  bool repeatable_ = false;
  bool kept_ = false;  // the connection has served an exchange before
  bool to_head_ = false;
  std::size_t address_ = 0;  // the next one to try
  std::uint64_t exchange_ = 0;
  bool* destroyed_ = nullptr;
  std::optional<Endpoint> peer_;
  std::optional<ResponseParser> parser_;
  Timer timer_;
  std::unique_ptr<Pending> pending_;  // the lookup, or the connect
  std::unique_ptr<Stream> stream_;
  const curl::TlsStream* secure_ = nullptr;  // the same, with TLS
};

/// To the server of `url`, which says whether TLS is on; `tls` has the rest. Null: it is not an
/// http:// or https:// URL.
std::unique_ptr<ClientConnection> connection_to(Env& env, std::string_view url, TlsOptions tls,
                                                NameLookup* names);

}  // namespace outrider::http
