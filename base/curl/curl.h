// SPDX-License-Identifier: Apache-2.0
// What the agent needs libcurl for: requests with TLS or over HTTP/2 (https and gRPC checks), and
// streams with TLS (registries). libcurl and its TLS library cost 8 MB of memory, so they are a
// module (base/curl/module), which is loaded when the first of them is needed.
//
//   a check      load_curl ▸ Curl::make_transfer ▸ Transfer::start ▸ Answer
//   a registry   connect_tls ▸ TlsStream, which is a Stream like any other
//
// Both look up no names, use no proxy, and read nothing from the environment. Files of TlsOptions
// are read at each connection, so that renewed certificates count without a restart.
//
//   curl.{h,cc}              this, in the program: finds and loads the module
//   module/multi             libcurl's sockets and timer on our loop
//   module/tls_settings      TlsOptions ▸ libcurl; what its errors mean, as sentences
//   module/transfer          Transfer
//   module/tls_stream        TlsStream
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/module.h"
#include "base/tls.h"

namespace outrider::curl {

/// Why there was no answer, or no connection.
struct Failure {
  enum class Kind : std::uint8_t {
    no_resources,  // of this process: says nothing about the server
    timeout,
    refused,
    reset,
    unreachable,
    protocol,  // not the protocol that was expected
    tls,
    other,
  };
  Kind kind = Kind::other;
  std::string text;  // for people
};

// --- Requests ----------------------------------------------------------------------------------

/// What all runs of one request share.
struct Request {
  StreamAddress to;
  std::string name;  // in the URL, for SNI and verification; empty: the address
  std::string target = "/";
  std::string method = "GET";
  std::string body;
  std::vector<std::string> headers;  // lines in libcurl's form
  bool http2 = false;                // with prior knowledge
  bool reuse = false;                // keep the connection for the next run
  TlsOptions tls;
  std::size_t body_bytes_max = 0;  // the rest is not read
  std::size_t head_bytes_max = 0;
  std::size_t headers_max = 0;
};

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // trailers as well
  std::string body;
  bool body_cut = false;
  std::optional<Failure> failure;  // nothing: the answer is complete, or its body was cut
};

class Transfer {
 public:
  virtual ~Transfer() = default;
  /// One run, which this must outlive. The callback comes once, not before this returns and not
  /// later than the timeout; destroying the token cancels.
  [[nodiscard]] virtual std::unique_ptr<Pending> start(Duration timeout,
                                                       Callback<void(Answer)> callback) = 0;
};

/// Outlives its transfers.
class Curl {
 public:
  virtual ~Curl() = default;
  virtual std::unique_ptr<Transfer> make_transfer(Request request) = 0;
};

// --- Streams -----------------------------------------------------------------------------------

struct TlsConnect {
  Endpoint to;
  std::string name;  // of the server, unless tls.server_name is set; empty: verified by address
  TlsOptions tls;
  Duration keep_alive{}, unacknowledged_max{};  // as in ConnectOptions
};

/// TLS over TCP. The promises of Stream hold, with these differences:
/// - finish() ends the TCP direction without TLS's own farewell, which libcurl cannot send alone.
/// - A peer that is cut off, without that farewell, may be reported as one that ended: what is said
///   over the stream has to have an end of its own, as messages of HTTP/1.1 do.
class TlsStream : public Stream {
 public:
  /// After on_broken: the reason for people. A server that refuses the client's certificate says
  /// so after the handshake (TLS 1.3).
  virtual const std::string& reason() const = 0;
};

using TlsCallback = Callback<void(Result<std::unique_ptr<TlsStream>, Failure>)>;

/// Connects and shakes hands, without a deadline of its own. The rules of Network::connect hold. A
/// module that is missing is a Failure like any other.
[[nodiscard]] std::unique_ptr<Pending> connect_tls(Env& env, const TlsConnect& options,
                                                   TlsCallback callback);

// --- The module --------------------------------------------------------------------------------

/// The struct that the module exports as outrider_curl.
struct CurlModule {
  ModuleHead head;
  Curl* (*make)(Env& env);  // null if libcurl cannot be started
  Pending* (*connect_tls)(Env& env, const TlsConnect& options, TlsCallback callback);
};

/// Loads the module. False, with the reason in `why`, if it is not available; `needed_by` begins
/// the reason: "https and gRPC checks".
bool have_module(const char* needed_by, std::string* why);
/// Null, with the reason in `why`, if the module is not available.
std::unique_ptr<Curl> load_curl(Env& env, const char* needed_by, std::string* why);

inline constexpr const char* kTlsRegistries = "registries with https URLs";

}  // namespace outrider::curl
