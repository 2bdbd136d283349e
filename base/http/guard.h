// SPDX-License-Identifier: Apache-2.0
// Which requests are accepted. A Unix socket is guarded by its file mode, and the kernel identifies
// the caller. A loopback TCP port can be reached by every user and by every page in a browser (DNS
// rebinding, cross-site requests), so there: the Host must be a loopback literal, localhost or a
// listed name, an Origin must be that Host or listed, changes need a token and, unless a header
// that no page of another origin can set carries the token, the JSON content type if they have a
// body.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http/parser.h"
#include "base/net.h"

namespace outrider::http {

struct Caller {
  bool unix_socket = true;
  std::optional<PeerCredentials> credentials;  // Unix sockets
  std::string address;                         // for logs
  std::optional<Endpoint> local;               // TCP: the address that was reached
};

struct GuardOptions {
  std::string token;                 // empty: no changes over TCP at all
  std::vector<std::string> origins;  // allowed Origin values, exact
  /// Paths for clients that cannot send a token ("/": all). Opening them means trusting every user
  /// of this host. Host and Origin are still checked, so that no page in a browser gets through.
  std::vector<std::string> open_prefixes;
  /// Paths that change something whatever the method (decoded, by prefix): a GET to them passes as
  /// a PUT would, and never from a browser, which sends GETs for any page without asking.
  std::vector<std::string> changing_prefixes;
  /// For what any host on the LAN may read (FARP): any address and Host, but no changing method.
  bool public_reading = false;
  /// Host names that are accepted besides loopback ones, without ports.
  std::vector<std::string> host_names = {};
};

struct Refusal {
  int status = 403;
  std::string why;
};

/// nullopt if the request is accepted. `target` is the request's own, parsed.
std::optional<Refusal> guard(const Request& request, const Target& target, const Caller& caller,
                             const GuardOptions& options);

/// A loopback literal ("127.0.0.1", "[::1]") or "localhost", with or without a port. Names cannot
/// be: a page's own name may point to us (DNS rebinding).
bool is_loopback_host(std::string_view host);
/// A name as GuardOptions::host_names takes it.
bool is_host_name(std::string_view text);
/// True for methods that may change something.
bool is_mutating(std::string_view method);
/// True if a request may change something, by its method or its path.
bool is_changing(std::string_view method, const Target& target, const GuardOptions& options);
/// Judged by headers that every browser sends.
bool is_browser(const Request& request);
/// Takes the same time wherever the first difference is.
bool equal_secret(std::string_view a, std::string_view b);

}  // namespace outrider::http
