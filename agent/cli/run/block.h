// SPDX-License-Identifier: Apache-2.0
// What `outrider run` writes on a terminal. Pure; everything untrusted is escaped here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"
#include "base/qr.h"

namespace outrider::cli::beside {

/// Where a program is reached: each of these has answered when it was tried. Empty: it has not, or
/// there is none.
struct Places {
  std::string bridge;    // http://hello.localhost:5380/
  std::string here;      // http://127.0.0.1:41449/, or 127.0.0.1:5432 for what speaks no HTTP
  std::string name;      // http://hello.svc:41449/
  std::string lan_name;  // http://hello.local:41449/
  std::string lan;       // http://192.168.1.10:41449/
  std::string page;      // http://127.0.0.1:5380/hello
  bool operator==(const Places&) const = default;
};

struct Block {
  std::string service;
  std::string dns_name;  // "hello.svc"
  /// Whether `outrider dns install` is all that the name needs to work here.
  bool is_installable = false;
  std::string health;  // "passing", "critical for 3s, check http: HTTP 503: db down"
  std::string check;   // "http: HTTP 200 in 3 ms"; empty: not known
  std::int64_t pid = 0;
  Places places;
  std::string silent;     // "10.0.0.2:5432", if that is its place and has not answered
  std::string lan_limit;  // why there is no place on the LAN; empty: not known
  bool has_keys = false;  // lines of one letter are ours, unless the program reads them
};
/// "http: HTTP 200: ok, 3 ms": what a probe has seen, cut to kOutputShown octets.
inline constexpr std::size_t kOutputShown = 60;
std::string check_text(std::string_view kind, std::string_view output, Duration latency);
std::string write_block(const Block& block);
/// Of that its line about the LAN; empty: the LAN does not reach it.
std::string write_lan_line(const Block& block);
/// The same in one line, for logs: "outrider: hello is passing at http://…".
std::string write_plain(const Block& block);
/// "outrider: hello is also at http://hello-2.local:41449/"
std::string write_plain_name(const Block& block);

/// "hello  critical since 12:03:10 · check http: HTTP 503: db down"
std::string write_change(std::string_view service, std::string_view health, std::string_view since,
                         std::string_view reason);
/// "hello  starting for 4s · …"
std::string write_waiting(std::string_view service, Duration since, std::string_view reason);
/// The instances of a name, and why each is in the answer or not.
std::string write_reasons(const std::string& summary,
                          const std::vector<std::pair<std::string, std::string>>& lines);

/// In half blocks, black on white, with the quiet zone of four modules. A URL of 78 octets fits
/// into 80 columns and 24 lines.
std::string write_qr(const QrCode& code);

/// The end of a program by itself.
std::string write_death(std::string_view command, std::string_view how);

}  // namespace outrider::cli::beside
