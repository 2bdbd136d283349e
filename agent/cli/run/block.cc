// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/block.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "base/utf8.h"

namespace outrider::cli::beside {
namespace {

constexpr std::string_view kBetween = " \xc2\xb7 ";  // a middle dot
constexpr std::size_t kQuietZone = 4;                // ISO/IEC 18004, 6.3.8
/// The columns of a second address in a line.
constexpr std::size_t kFirstColumn = 36;

void add_line(std::string& out, std::string_view label, std::string_view text) {
  std::string head = "    " + std::string(label);
  head.resize(11, ' ');
  out += head + escape_untrusted(text) + '\n';
}

/// Two in a line, the second in a column of its own.
std::string in_columns(std::string first, const std::string& second) {
  if (second.empty()) return first;
  if (first.empty()) return second;
  first.resize(std::max(first.size() + 2, kFirstColumn), ' ');
  return first + second;
}

std::string here_line(const Block& block) {
  const Places& places = block.places;
  if (places.here.empty() && !block.silent.empty()) return block.silent + " does not answer";
  if (!places.name.empty()) return in_columns(places.name, places.here);
  return places.here;
}

/// Whether the program reads the keyboard is known only when something is typed, for it may begin
/// at any time. So not every letter is named: "q" ends some programs that do. "h" is what they
/// explain their keys by, too.
std::string keys_line(const Block& block) {
  if (!block.has_keys) return {};
  const std::string between(kBetween);
  return "  h, then Enter: keys (QR code, why, log, drain)" + between + "Ctrl-C stops\n";
}

}  // namespace

std::string check_text(std::string_view kind, std::string_view output, Duration latency) {
  std::string said(first_line(output));
  cut_text_to(said, kOutputShown);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(latency).count();
  return std::string(kind) + ": " + said + ", " + std::to_string(milliseconds) + " ms";
}

std::string write_lan_line(const Block& block) {
  const std::string lan = in_columns(block.places.lan_name, block.places.lan);
  std::string out;
  if (!lan.empty()) add_line(out, "LAN", lan);
  return out;
}

std::string write_block(const Block& block) {
  const Places& places = block.places;
  std::string out =
      "\n  " + escape_untrusted(block.service) + "  " + escape_untrusted(block.health);
  if (!block.check.empty()) out += std::string(kBetween) + escape_untrusted(block.check);
  if (block.pid != 0) out += std::string(kBetween) + "pid " + std::to_string(block.pid);
  out += '\n';
  if (!places.bridge.empty()) add_line(out, "open", places.bridge);
  if (const std::string here = here_line(block); !here.empty()) add_line(out, "here", here);
  // On a line of its own: terminals have 80 columns.
  if (places.name.empty() && places.here.find("://") != std::string::npos)
    add_line(out, "",
             block.is_installable
                 ? "(outrider dns install makes the name " + block.dns_name + " work here)"
                 : "(outrider doctor says how to make " + block.dns_name + " work here)");
  if (const std::string lan = write_lan_line(block); !lan.empty())
    out += lan;
  else if (!block.lan_limit.empty())
    add_line(out, "LAN", "not reachable: " + block.lan_limit);
  if (!places.page.empty()) add_line(out, "page", places.page);
  out += keys_line(block);
  return out + '\n';
}

std::string write_plain(const Block& block) {
  const Places& places = block.places;
  std::string out = "outrider: " + escape_untrusted(block.service) + " is " + block.health;
  std::string_view before = " at ";
  for (const std::string* place : {&places.here, &places.bridge, &places.lan, &places.lan_name}) {
    if (place->empty()) continue;
    out += std::string(before) + *place;
    before = " ";
  }
  if (!places.page.empty()) out += ", page " + places.page;
  return out + '\n';
}

std::string write_plain_name(const Block& block) {
  return "outrider: " + escape_untrusted(block.service) + " is also at " + block.places.lan_name +
         '\n';
}

std::string write_change(std::string_view service, std::string_view health, std::string_view since,
                         std::string_view reason) {
  std::string out = "  " + escape_untrusted(service) + "  " + std::string(health) + " since " +
                    std::string(since);
  if (!reason.empty()) out += std::string(kBetween) + escape_untrusted(reason);
  return out + '\n';
}

std::string write_waiting(std::string_view service, Duration since, std::string_view reason) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  std::string out = "  " + escape_untrusted(service) + "  starting for " + format_duration(seconds);
  if (!reason.empty()) out += std::string(kBetween) + escape_untrusted(reason);
  return out + '\n';
}

std::string write_reasons(const std::string& summary,
                          const std::vector<std::pair<std::string, std::string>>& lines) {
  std::string out = "  " + escape_untrusted(summary) + '\n';
  for (const auto& [id, reason] : lines)
    out += "    " + escape_untrusted(id) + "  " + escape_untrusted(reason) + '\n';
  return out;
}

std::string write_qr(const QrCode& code) {
  constexpr std::string_view kUpper = "\xe2\x96\x80", kLower = "\xe2\x96\x84",
                             kBoth = "\xe2\x96\x88";
  const std::size_t side = code.width + 2 * kQuietZone;
  const auto is_dark = [&](std::size_t x, std::size_t y) {
    const bool inside = x >= kQuietZone && y >= kQuietZone && x < kQuietZone + code.width &&
                        y < kQuietZone + code.width;
    return inside && code.is_dark(x - kQuietZone, y - kQuietZone);
  };
  std::string out;
  for (std::size_t y = 0; y < side; y += 2) {
    out += "\x1b[30;107m";  // whatever the colours of the terminal are
    for (std::size_t x = 0; x < side; ++x) {
      const bool upper = is_dark(x, y), lower = is_dark(x, y + 1);
      out += upper && lower ? kBoth : upper ? kUpper : lower ? kLower : std::string_view(" ");
    }
    out += "\x1b[0m\n";
  }
  return out;
}

std::string write_death(std::string_view command, std::string_view how) {
  return "outrider: " + escape_untrusted(command) + ' ' + std::string(how) + '\n';
}

}  // namespace outrider::cli::beside
