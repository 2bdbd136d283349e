// SPDX-License-Identifier: Apache-2.0
// top, wait and open: what follows a running agent, or leads to what it knows.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/cli/live_table.h"
#include "agent/cli/local_time.h"
#include "agent/cli/places.h"
#include "agent/cli/run/needs.h"
#include "base/json_repeated.h"
#include "base/qr.h"
#include "base/text.h"
#include "base/uv/system.h"

namespace outrider::cli {
namespace {

/// The default of wait --timeout.
constexpr Duration kWaitTime = std::chrono::seconds(60);
constexpr std::uint32_t kCountMax = 10'000;
/// For a name whose turn comes when the time is over: the agent says whether it is there.
constexpr Duration kLeastWait = std::chrono::milliseconds(100);

/// The alternate screen of a terminal, without echo and by the key, for as long as it lives.
class FullScreen {
 public:
  FullScreen() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios modes = before_;
    modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &modes);
    print("\x1b[?1049h\x1b[?25l");
  }
  ~FullScreen() {
    print("\x1b[?25h\x1b[?1049l");
    (void)std::fflush(stdout);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  FullScreen(const FullScreen&) = delete;

  void show(const LiveTable& table) const {
    winsize size{};
    ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    LiveTable::Size screen;
    if (size.ws_col > 0 && size.ws_row > 0) screen = {size.ws_col, size.ws_row};
    const WallTime now = wall_now();
    const std::string clock = local_text(now, now);
    const std::string text = table.screen(screen, clock.substr(0, clock.rfind('.')));
    // Line by line over what was there, so that nothing flickers.
    print("\x1b[H" + replace_all(text, "\n", "\x1b[K\r\n") + "\x1b[J");
    (void)std::fflush(stdout);
  }

 private:
  termios before_{};
};

/// Applies an event with its text; false if it is none of JSON.
bool apply(LiveTable& table, std::string_view event, std::string_view data) {
  if (event.empty()) return true;
  const auto value = json::parse_repeated(data, kEventBytesMax);
  if (value) table.apply(event, *value);
  return value.has_value();
}

/// The services as they are, without a terminal.
int print_once(const Arguments& arguments) {
  LiveTable table;
  const int code = AgentClient(arguments.get("socket"))
                       .stream("/v1/outrider/watch", [&](std::string_view event, auto data) {
                         return event.empty() || (apply(table, event, data), false);
                       });
  if (code != kDone) return code;
  const WallTime now = wall_now();
  return print(table.screen({200, 100'000}, local_text(now, now).substr(0, 8))), kDone;
}

}  // namespace

int show_top(const Arguments& arguments) {
  if (arguments.has("json")) return list_services(arguments);
  if (::isatty(STDOUT_FILENO) != 1 || ::isatty(STDIN_FILENO) != 1) return print_once(arguments);
  AgentClient client(arguments.get("socket"));
  if (!client.any_agent()) return client.ask("GET", "/v1/outrider/status").error();
  LiveTable table;
  bool lagged = false;
  int code = kDone;
  {
    const FullScreen screen;
    const auto on_key = [] {
      char key = 0;
      return ::read(STDIN_FILENO, &key, 1) == 1 && lower(key) != 'q';
    };
    code = client.stream("/v1/outrider/watch",
                         [&](std::string_view event, std::string_view data) {
                           lagged = event == "lagged";
                           if (lagged || !apply(table, event, data)) return false;
                           screen.show(table);
                           return true;
                         },
                         {.limit = {}, .input = STDIN_FILENO, .on_input = on_key});
  }
  return lagged ? complain("disconnected: changes arrived faster than they were read", kFailed)
                : code;
}

namespace {

/// What `wait` was asked for.
struct Wanted {
  std::vector<std::string> names;
  std::size_t count = 1;  // healthy instances of each
  Duration limit = kWaitTime;
};

/// Nothing after the reason was printed.
std::optional<Wanted> read_wanted(const Arguments& arguments) {
  Wanted wanted;
  auto names = beside::parse_names(arguments.positional());
  if (!names) return complain(names.error(), kUsage), std::nullopt;
  wanted.names = std::move(*names);
  if (arguments.has("count")) {
    const auto given = parse_number<std::uint32_t>(arguments.get("count"));
    if (!given || *given == 0 || *given > kCountMax)
      return complain("--count: expected 1 to " + std::to_string(kCountMax), kUsage), std::nullopt;
    wanted.count = *given;
  }
  if (arguments.has("timeout")) {
    const auto given = parse_duration(arguments.get("timeout"));
    if (!given)
      return complain("--timeout: expected a duration such as \"30s\"", kUsage), std::nullopt;
    wanted.limit = *given;
  }
  return wanted;
}

std::string healthy_of(const std::string& name) {
  return http::percent_encode(name) + "?healthy";
}

/// What became of the wait for one name.
struct Waited {
  std::size_t lists = 0;  // that have come
  bool enough = false;    // healthy instances in the last one
  int code = kDone;
};

/// `limit` as in StreamOptions.
Waited wait_for(AgentClient& client, const std::string& name, std::size_t count, Duration limit) {
  Waited waited;
  const auto on_event = [&](std::string_view event, std::string_view data) {
    if (event != "list") return event.empty();
    const auto value = json::parse_repeated(data, kEventBytesMax);
    if (!value) return false;
    ++waited.lists;
    waited.enough = list_at(*value, "instances").size() >= count;
    return !waited.enough;
  };
  waited.code = client.stream("/v1/outrider/watch/" + healthy_of(name) + "&list", on_event,
                              {.limit = limit, .input = -1, .on_input = {}});
  return waited;
}

/// Names each service that is not there, and why.
int complain_of_missing(AgentClient& client, const Wanted& wanted) {
  Exit code = kFailed;
  bool complained = false;
  for (const std::string& name : wanted.names) {
    const auto why = get_document(client, "/v1/outrider/why/" + http::percent_encode(name),
                                  Accept::ok_and_not_found);
    if (!why) return why.error();
    const auto healthy = static_cast<std::size_t>(
        std::ranges::count_if(list_at(why->value, "instances"), [](const json::Value& entry) {
          const json::Value* const instance = entry.find("instance");
          return instance != nullptr && flag_at(*instance, "served") &&
                 !list_at(*instance, "addresses").empty();
        }));
    if (healthy >= wanted.count) continue;
    if (exit_code_of_name(*why) == kNotFound) code = kNotFound;
    complained = true;
    complain(std::to_string(healthy) + " of " + std::to_string(wanted.count) +
                 " healthy: " + text_at(why->value, "summary"),
             code);
  }
  return complained ? code : complain("not all were healthy at the same time", code);
}

/// The healthy instances of all names.
int print_healthy(AgentClient& client, const std::vector<std::string>& names) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("instances").begin_array();
  for (const std::string& name : names) {
    const auto found = get_document(client, "/v1/outrider/instances/" + healthy_of(name));
    if (!found) return found.error();
    for (const json::Value& instance : list_at(found->value, "instances"))
      out.value(instance);
  }
  out.end_array().end_object();
  return print_json(text + '\n'), kDone;
}

}  // namespace

/// In rounds, one name after the other: the wait is over when all names were there at once in the
/// same round, and so at the same time.
int wait_for_services(const Arguments& arguments) {
  const auto wanted = read_wanted(arguments);
  if (!wanted) return kUsage;
  AgentClient client(arguments.get("socket"));
  const TimePoint end = uv::now_outside() + wanted->limit;
  for (bool again = true; again;) {
    again = false;
    for (const std::string& name : wanted->names) {
      const Duration left = std::max<Duration>(end - uv::now_outside(), kLeastWait);
      const bool endless = wanted->limit == Duration::zero();
      const Waited waited =
          wait_for(client, name, wanted->count, endless ? Duration::zero() : left);
      if (waited.lists == 0) return waited.code;  // the reason has been printed
      if (!waited.enough) return complain_of_missing(client, *wanted);
      again = again || (waited.lists > 1 && wanted->names.size() > 1);
    }
  }
  return arguments.has("json") ? print_healthy(client, wanted->names) : int{kDone};
}

namespace {

/// A program that shows a URL to the person at this screen; empty: there is no screen.
std::string opener() {
  if (const char* browser = std::getenv("BROWSER"); browser != nullptr && *browser != '\0')
    return browser;
  for (const char* screen : {"WAYLAND_DISPLAY", "DISPLAY"})
    if (const char* value = std::getenv(screen); value != nullptr && *value != '\0')
      return "xdg-open";
  return {};
}

int print_code(const beside::Places& places) {
  if (places.lan.find("://") == std::string::npos)
    return complain("no QR code: other devices do not reach the service over HTTP", kFailed);
  const auto code = encode_qr(places.lan);
  if (!code) return complain(code.error(), kFailed);
  return print(beside::write_qr(*code) + places.lan + '\n'), kDone;
}

}  // namespace

int open_service(const Arguments& arguments) {
  AgentClient client(arguments.get("socket"));
  const std::string& name = arguments.positional().front();
  const auto selected = get_selection(client, name);
  if (!selected) return selected.error();
  const auto why = get_document(client, "/v1/outrider/why/" + http::percent_encode(name));
  if (!why) return why.error();
  const auto status = get_document(client, "/v1/outrider/status");
  if (!status) return status.error();
  const json::Value* const instance = selected->value.find("instance");
  const auto plan =
      plan_for(instance == nullptr ? json::Value() : *instance, why->value, status->value);
  if (!plan) return complain("the service has no address", kFailed);
  const beside::Places places = try_places({*plan}).front();
  if (places.here.empty())
    return complain(text_at(selected->value, "endpoint") + " does not answer", kFailed);
  if (arguments.has("qr")) return print_code(places);
  std::string url = !places.bridge.empty() ? places.bridge
                    : !places.name.empty() ? places.name
                                           : places.here;
  if (arguments.has("json")) {
    std::string out;
    json::Writer(out).begin_object().member("url", url).end_object();
    return print_json(out + '\n'), kDone;
  }
  print(url + '\n');
  (void)std::fflush(stdout);
  std::string program = opener();
  if (arguments.has("print") || program.empty() || !url.starts_with("http")) return kDone;
  std::array<char*, 3> words = {program.data(), url.data(), nullptr};
  ::execvp(words[0], words.data());
  return complain("cannot start " + program + "; open the address yourself", kFailed);
}

}  // namespace outrider::cli
