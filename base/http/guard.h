// SPDX-License-Identifier: Apache-2.0
// Who may ask what. A Unix socket is guarded by its file mode, and the kernel says who calls. A
// loopback TCP port can be reached by every user and by every page in a browser (DNS rebinding,
// cross-site requests), so there: the Host must be a loopback literal or localhost, an Origin must
// be listed, changes need a bearer token and, if they carry a body, the JSON content type.
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
  /// Paths for clients that know no token ("/": all): who opens them trusts everybody on this
  /// host. Host and Origin are looked at all the same, so no page of a browser gets through.
  std::vector<std::string> open_prefixes;
  /// Paths that change something whatever the method (decoded, by prefix): a GET to them passes as
  /// a PUT would, and never from a browser, which sends GETs for any page without asking.
  std::vector<std::string> changing_prefixes;
  /// What everybody on the LAN may read (FARP): any address and Host, but no method that changes.
  bool public_reading = false;
};

struct Refusal {
  int status = 403;
  std::string why;
};

/// Nothing if the request may pass.
std::optional<Refusal> guard(const Request& request, const Caller& caller,
                             const GuardOptions& options);

/// A loopback literal ("127.0.0.1", "[::1]") or "localhost", with or without a port. Names cannot
/// be: a page's own name may point to us (DNS rebinding).
bool is_loopback_host(std::string_view host);
/// True for methods that may change something.
bool is_mutating(std::string_view method);
/// By what every browser says of itself.
bool is_browser(const Request& request);
/// Takes the same time whatever the first difference is.
bool equal_secret(std::string_view a, std::string_view b);

}  // namespace outrider::http
