// SPDX-License-Identifier: Apache-2.0
// `outrider why NAME`: what DNS answers for the name, and why, instance by instance.
#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/cli/local_time.h"
#include "base/text.h"
#include "base/utf8.h"

namespace outrider::cli {
namespace {

/// Recent probes shown for each check.
constexpr std::size_t kProbesShown = 3;
/// Octets of a probe's output that are shown.
constexpr std::size_t kSaidMax = 100;

/// The extended error of an answer (RFC 8914).
void print_error(const json::Value& dns) {
  const json::Value* const error = dns.find("ede");
  if (error == nullptr) return;
  const std::string text = text_at(*error, "text");
  print(tinted("    extended error " + std::to_string(number_at(*error, "code")) +
                   (text.empty() ? "" : ": " + text),
               Tint::faint) +
        '\n');
}

void print_dns(const json::Value& document) {
  for (const json::Value& dns : list_at(document, "dns")) {
    const std::string answer = text_at(dns, "answer");
    const std::string v4 = joined_at(dns, "A", ", ");
    const std::string v6 = joined_at(dns, "AAAA", ", ");
    print("  " + tinted(text_at(dns, "name"), Tint::strong) + "  ");
    if (answer != "NOERROR") {
      print(tinted(answer, Tint::bad) + '\n');
      print_error(dns);
      continue;
    }
    std::string line = v4;
    if (!v6.empty()) line += (line.empty() ? "" : ", ") + v6;
    if (line.empty()) line = joined_at(dns, "SRV", ", ");  // a name without addresses
    print(tinted(line, Tint::good) + tinted("  TTL " + text_at(dns, "ttl"), Tint::faint) + '\n');
    for (const json::Value& record : list_at(dns, "HTTPS"))
      if (record.as_string() != nullptr)
        print(tinted("    HTTPS " + *record.as_string(), Tint::faint) + '\n');
    print_error(dns);
  }
  const std::string listen = joined_at(document, "listen", ", ");
  print(listen.empty() ? tinted("  (DNS does not answer: no address could be bound)", Tint::bad)
                       : tinted("  answered by " + listen, Tint::faint));
  print("\n");
}

void print_check(const json::Value& check) {
  const std::string health = text_at(check, "health");
  std::string line = "      check " + tinted(text_at(check, "check"), Tint::plain) + " (" +
                     tinted(text_at(check, "kind"), Tint::plain) +
                     "): " + tinted(health, tint_of(health));
  const auto passes = static_cast<std::uint64_t>(number_at(check, "passes_in_a_row"));
  const auto failures = static_cast<std::uint64_t>(number_at(check, "failures_in_a_row"));
  if (passes > 0) line += ", " + counted(passes, "pass");
  if (failures > 0) line += ", " + counted(failures, "failure");
  if (flag_at(check, "flapping")) line += ", flapping";
  if (const std::string next = text_at(check, "next_in"); !next.empty())
    line += ", next probe in " + tinted(next, Tint::plain);
  if (const std::string left = text_at(check, "expires_in"); !left.empty())
    line += ", fails without a heartbeat in " + tinted(left, Tint::plain);
  print(line + '\n');
  std::size_t shown = 0;
  for (const json::Value& probe : list_at(check, "recent")) {
    if (++shown > kProbesShown) break;
    // The time of day is enough: "2026-01-31T09:30:00.123Z".
    std::string at = text_at(probe, "at");
    if (at.size() >= 19) at = at.substr(11, 8) + 'Z';
    const bool passed = flag_at(probe, "passed");
    std::string says = text_at(probe, "output");
    says = says.substr(0, says.find('\n'));
    if (says.empty()) says = text_at(probe, "kind");
    cut_text_to(says, kSaidMax);
    print("        " + tinted(at, Tint::faint) + "  " +
          tinted(says, passed ? Tint::plain : Tint::bad) + '\n');
  }
}

/// "lease 77 with 14s of 15s left", "TTL with 14s of 15s left"; empty: there is none.
std::string lease_text(const json::Value& place) {
  const std::string left = text_at(place, "lease_left");
  std::string text = text_at(place, "lease");
  if (text.empty() && left.empty()) return text;
  text = text.empty() ? "TTL" : "lease " + text;
  if (flag_at(place, "lease_ended")) return text + " that has ended";
  return left.empty() ? text
                      : text + " with " + left + " of " + text_at(place, "lease_granted") + " left";
}

/// " (lease 77 with 14s of 15s left, revision 1225)"; empty: nothing is known.
std::string numbers_of(const json::Value& place) {
  std::string numbers = lease_text(place);
  if (const std::int64_t revision = number_at(place, "revision"); revision != 0)
    numbers += (numbers.empty() ? "" : ", ") + ("revision " + std::to_string(revision));
  return numbers.empty() ? numbers : " (" + numbers + ')';
}

/// "seen by mdns on box.local", "in etcd: /services/web/web-1 (lease 77 with 14s of 15s left,
/// revision 1225) on http://10.0.0.5:2379"
std::string place_text(const json::Value& place) {
  const std::string key = text_at(place, "key");
  const std::string via = text_at(place, "via");
  const std::string copied = via.empty() ? "" : ", a copy of what is in " + via;
  if (key.empty())
    return "seen by " + text_at(place, "engine") + " on " + text_at(place, "host") + copied;
  std::string text = "in " + text_at(place, "engine") + ": " + key + numbers_of(place) + " on " +
                     text_at(place, "endpoint") + copied;
  if (flag_at(place, "stale")) text += ", stale: " + text_at(place, "reason");
  return text;
}

/// "written to etcd: /services/web/web-1 (lease 77 with 14s of 15s left, revision 1225) on
/// http://10.0.0.5:2379", "not written to consul: web-1 on http://127.0.0.1:8500, as … has it"
std::string written_text(const json::Value& place) {
  const std::string state = text_at(place, "state");
  const std::string reason = text_at(place, "reason");
  const std::string where = ' ' + text_at(place, "engine") + ": " + text_at(place, "key") +
                            numbers_of(place) + " on " + text_at(place, "endpoint");
  if (state == "written") return "written to" + where;
  if (state == "conflict")
    return "not written to" + where + ", which is held by " + text_at(place, "holder");
  return (state == "refused" ? "refused by" : "not yet written to") + where +
         (reason.empty() ? "" : ": " + reason);
}

void print_instance(const json::Value& entry) {
  const json::Value* instance = entry.find("instance");
  if (instance == nullptr) return;
  const bool in_answer = flag_at(entry, "in_answer");
  print("\n  " + tinted(in_answer ? "+" : "-", in_answer ? Tint::good : Tint::bad) + ' ' +
        tinted(text_at(entry, "id"), Tint::strong) + "  " +
        tinted(endpoint_of(*instance), Tint::plain) + "  " +
        tinted(text_at(entry, "place"), Tint::faint) + '\n');
  print("      " + tinted(text_at(entry, "reason"), Tint::plain) + '\n');
  if (const std::string limit = text_at(*instance, "limit"); !limit.empty())
    print("      " + tinted(limit, Tint::fair) + "\n      " +
          tinted(text_at(*instance, "advice"), Tint::faint) + '\n');
  if (const std::string name = text_at(*instance, "local_name"); !name.empty())
    print(tinted("      " + name + " leads to this host", Tint::faint) + '\n');
  if (const std::string door = text_at(*instance, "door"); !door.empty()) {
    const std::string key = text_at(*instance, "key"), lease = text_at(*instance, "lease");
    print(tinted("      registered here through " + door + (key.empty() ? "" : ": " + key) +
                     (lease.empty() ? "" : " (lease " + lease + ')'),
                 Tint::faint) +
          '\n');
  }
  for (const json::Value& place : list_at(*instance, "seen_at"))
    print(tinted("      " + place_text(place), Tint::faint) + '\n');
  for (const json::Value& place : list_at(*instance, "written_to"))
    print(tinted("      " + written_text(place),
                 text_at(place, "state") == "written" ? Tint::faint : Tint::fair) +
          '\n');
  for (const json::Value& copy : list_at(entry, "copies"))
    print(tinted("      copied from " + text_at(copy, "from") + " to " + text_at(copy, "to") +
                     ": " + text_at(copy, "by"),
                 Tint::faint) +
          '\n');
  for (const json::Value& check : list_at(entry, "probes"))
    print_check(check);
}

}  // namespace

int explain_name(const Arguments& arguments) {
  std::string target = "/v1/outrider/why/" + http::percent_encode(arguments.positional().front());
  std::optional<WallTime> when;
  const WallTime now = wall_now();
  if (arguments.has("at")) {
    when = parse_local_moment(arguments.get("at"), now);
    if (!when)
      return complain(
          "--at: expected a time such as 12:03:10 or 2026-01-31T09:30:00Z, or how long "
          "ago, such as 5m; not \"" +
              arguments.get("at") + '"',
          kUsage);
    target += "?at=" + http::percent_encode(format_wall_time(*when));
  }
  const auto found = get_document(arguments, target, Accept::ok_and_not_found);
  if (!found) return found.error();
  // A name without instances may be that of a zone, a host or an address.
  const bool bare = found->status == 200 && list_at(found->value, "instances").empty();
  const Exit code = bare ? kDone : exit_code_of_name(*found);
  if (arguments.has("json")) {
    print_json(found->text);
    return code;
  }
  if (when) print(tinted("At " + local_text(*when, now) + ":\n", Tint::faint));
  print(tinted(text_at(found->value, "summary"), Tint::strong) + "\n\n");
  print_dns(found->value);
  for (const json::Value& entry : list_at(found->value, "instances"))
    print_instance(entry);
  return code;
}

}  // namespace outrider::cli
