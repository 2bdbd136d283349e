// SPDX-License-Identifier: Apache-2.0
// `outrider run -- CMD`: a program and its agent in one command. It picks a port, starts the
// program, announces it once it is healthy, says where it is reached, and at the end drains before
// it stops the program. It does not restart the program. Its parts are in run/:
//
//   default_name, port_choice ▸ session (needs ▸ program) ▸ screen (trial ▸ block) ▸ terminal
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "agent/cli/advice.h"
#include "agent/cli/commands.h"
#include "agent/cli/load_config.h"
#include "agent/cli/output.h"
#include "agent/cli/run/default_name.h"
#include "agent/cli/run/look_up.h"
#include "agent/cli/run/port_choice.h"
#include "agent/cli/run/quiet_log.h"
#include "agent/cli/run/session.h"
#include "agent/cli/run/terminal.h"
#include "base/text_file.h"
#include "base/uv/sock_diag.h"

namespace outrider::cli {
namespace {

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

struct Discard final : Listener::Sink {
  void on_accept(std::unique_ptr<Stream>) override {}
};

/// The port that a listener gets.
Result<std::uint16_t, NetError> try_port(Network& network, const Endpoint& on) {
  Discard discard;
  const auto listener = network.listen({.on = on}, discard);
  if (!listener) return failure(listener.error());
  return std::get<Endpoint>((*listener)->local()).port;
}

Endpoint at_any(std::uint16_t port) {
  return {IpAddress::any(IpAddress::Family::v4), port};
}

/// Also where a program listens at other addresses only.
std::uint16_t free_port(Network& network, std::string_view service, std::string_view folder) {
  const auto sockets = uv::list_listeners();
  const auto is_free = [&](std::uint16_t port) {
    const bool listened = sockets && std::ranges::any_of(*sockets, [port](const auto& socket) {
                            return socket.local.port == port;
                          });
    return !listened && try_port(network, at_any(port)).has_value();
  };
  const std::uint16_t usual = beside::choose_port(service, folder, is_free);
  return usual != 0 ? usual : try_port(network, at_any(0)).value_or(0);
}

std::string current_folder() {
  std::string folder(4096, '\0');
  if (::getcwd(folder.data(), folder.size()) == nullptr) return {};
  folder.resize(folder.find('\0'));
  return folder;
}

void add_member(json::Object& object, const char* key, std::string text) {
  object.emplace_back(key, json::Value(json::Value::Data(std::move(text))));
}

/// What the service is called, and the id of its instance if a flag asks for one.
struct Naming {
  std::string name, id;
};
Naming naming_of(const Arguments& arguments) {
  const char* const home = std::getenv("HOME");
  const beside::Project project =
      beside::find_project(current_folder(), home == nullptr ? "" : home,
                           [](const std::string& path) { return read_text_file(path); });
  Naming naming{arguments.get("name"), arguments.get("id")};
  const bool automatic = naming.name == "auto";
  if (naming.name.empty() || automatic)
    naming.name =
        project.name.empty() ? beside::stem_of(arguments.positional().front()) : project.name;
  if (automatic && naming.id.empty()) naming.id = project.branch;
  return naming;
}

/// The service that the flags describe, in the form of the configuration.
json::Value service_of(const Arguments& arguments, const Naming& naming, std::uint16_t port) {
  json::Object service, check;
  add_member(service, "name", naming.name);
  if (!naming.id.empty() || arguments.has("id")) add_member(service, "id", naming.id);
  if (arguments.has("scope")) add_member(service, "scope", arguments.get("scope"));
  service.emplace_back("local_name", json::Value(json::Value::Data(true)));
  service.emplace_back("port", json::Value(json::Value::Data(std::int64_t{port})));
  if (arguments.has("address")) add_member(service, "address", arguments.get("address"));
  json::Array tags;
  for (const std::string& tag : arguments.all("tag"))
    tags.emplace_back(json::Value::Data(tag));
  service.emplace_back("tags", json::Value(json::Value::Data(std::move(tags))));
  if (arguments.has("health"))
    add_member(check, "http", arguments.get("health"));
  else
    add_member(check, "tcp", "auto");
  json::Array checks;
  checks.emplace_back(json::Value::Data(std::move(check)));
  service.emplace_back("checks", json::Value(json::Value::Data(std::move(checks))));
  if (arguments.has("openapi")) {
    json::Object farp;
    add_member(farp, "openapi", arguments.get("openapi"));
    service.emplace_back("farp", json::Value(json::Value::Data(std::move(farp))));
  }
  return json::Value(json::Value::Data(std::move(service)));
}

/// The message for an error in service_of(). It names the flag that was typed, not the path.
std::string complaint_about(const registry::SpecError& error, const Arguments& arguments) {
  constexpr std::pair<std::string_view, std::string_view> kFlags[] = {
      {"name", "name"},    {"id", "id"},    {"address", "address"}, {"checks", "health"},
      {"farp", "openapi"}, {"tags", "tag"}, {"scope", "scope"}};
  if (error.path.starts_with("name") && !arguments.has("name"))
    return "neither the project nor the command has a name that a service can have: " +
           error.expected + "; choose one with --name";
  for (const auto& [path, flag] : kFlags)
    if (error.path.starts_with(path))
      return "--" + std::string(flag) + ": " +
             registry::SpecError{{}, error.expected, error.nearest}.to_string();
  return error.to_string();
}

/// A sentence if the configuration holds the registration that the flags describe.
std::optional<std::string> registered_twice(const Config& config,
                                            const registry::ServiceSpec& spec) {
  for (const registry::ServiceSpec& other : config.services) {
    const bool same_id = spec.id && other.id && *spec.id == *other.id;
    const bool same_automatic_id =
        !spec.id && !other.id && spec.name == other.name && spec.port == other.port;
    if (!same_id && !same_automatic_id) continue;
    return "the configuration already registers " + spec.name.text() +
           (same_id ? " with the id " + spec.id->text() : " on port " + std::to_string(spec.port)) +
           "; choose another with " + (same_id ? "--id" : "--port or --id");
  }
  return std::nullopt;
}

/// Without a word about it, a person at a terminal gets the log's warnings only.
bool wants_whole_log(const Arguments& arguments) {
  const auto sets = arguments.all("set");
  return arguments.has("verbose") || std::getenv("OUTRIDER_LOG_LEVEL") != nullptr ||
         std::ranges::any_of(sets, [](const auto& set) { return set.starts_with("log.level="); });
}

/// Whether the log is one of lines for people, among which others may stand.
bool has_plain_log(const LogConfig& log) {
  return log.format == "auto" || log.format == "text" || log.format == "logfmt";
}

/// The log among our other lines, so that none of them is written into what the program draws.
std::unique_ptr<Log> log_on(beside::Terminal*& screen, uv::Loop& loop, const LogConfig& config) {
  auto log = uv::make_terminal_log(
      loop.clock(), log_format(config.format), [&screen](const std::string& line) {
        const std::string whole = line + '\n';
        return screen != nullptr ? screen->say(whole) : beside::write_line(whole);
      });
  log->set_least(log_level(config.level));
  return log;
}

/// Whether another program has the port: what answers there would be taken for the program. A
/// service manager's sockets listen before the program starts.
bool is_taken(const Arguments& arguments, Network& network, std::uint16_t port) {
  if (std::getenv("LISTEN_FDS") != nullptr) return false;
  Endpoint on = at_any(port);
  if (const auto address = IpAddress::parse(arguments.get("address"))) on.address = *address;
  const auto tried = try_port(network, on);
  return !tried && tried.error() == NetError::in_use;
}

/// The port to listen on, or nothing after the reason was printed; `status` is that of the end.
std::optional<std::uint16_t> port_of(const Arguments& arguments, Network& network,
                                     const std::string& name, int& status) {
  status = kUsage;
  if (const std::string text = arguments.get("port"); !text.empty()) {
    const auto parsed = Endpoint::parse("127.0.0.1:" + text);
    if (!parsed || parsed->port == 0) {
      complain("--port: expected 1 to 65535, not \"" + text + '"', kUsage);
      return std::nullopt;
    }
    if (!is_taken(arguments, network, parsed->port)) return parsed->port;
    status = complain("--port: another program listens on port " + text, kFailed);
    return std::nullopt;
  }
  status = kFailed;
  const std::uint16_t port = free_port(network, name, current_folder());
  if (port == 0) complain("no free port found; choose one with --port", kFailed);
  return port == 0 ? std::nullopt : std::optional(port);
}

/// What --need and --timeout say; nothing after the reason was printed.
bool read_needs(const Arguments& arguments, beside::SessionPlan& plan) {
  auto needs = beside::parse_needs(arguments.all("need"));
  if (!needs) return complain(needs.error(), kUsage), false;
  plan.needs = std::move(*needs);
  if (!arguments.has("timeout")) return true;
  const auto time = parse_duration(arguments.get("timeout"));
  if (!time || *time == Duration::zero())
    return complain("--timeout: expected a duration such as \"30s\", not \"" +
                        arguments.get("timeout") + '"',
                    kUsage),
           false;
  plan.need_time = *time;
  return true;
}

/// What the parts write through.
struct Face {
  beside::Session::Write write;          // our own lines; empty: the log is for programs
  beside::Terminal* terminal = nullptr;  // null: there is none
};

/// The last line of ours, about a program that has ended by itself. Its last words stand above.
void tell_of_death(const beside::Program& program, const std::string& command, const Face& face) {
  if (!program.ended_by_itself() || program.exit_status() == 0 || !program.status()) return;
  const uv::ExitStatus status = *program.status();
  const std::string how = status.signal != 0
                              ? "was ended by signal " + std::to_string(status.signal) + " (" +
                                    ::strsignal(status.signal) + ')'
                              : "ended with status " + std::to_string(status.code);
  if (face.terminal != nullptr)
    face.terminal->say(beside::write_death(command, how));
  else if (face.write)
    beside::write_last_line(beside::write_death(command, how));
}

/// The program has ended: its terminal is put back as it was.
void leave_terminal(const beside::SavedModes& modes, const Face& face) {
  modes.restore();
  if (face.terminal != nullptr) face.terminal->release();
}

int run_with(RealWorld& world, Config config, const std::string& own, beside::SessionPlan plan,
             const Face& face) {
  beside::Program* running = nullptr;
  bool has_keys = false;
  const beside::SavedModes modes;
  beside::Screen screen(
      world.env(),
      {.write = face.write,
       .pid = [&running] { return running != nullptr ? running->pid() : 0; },
       .look_up = face.terminal != nullptr ? beside::system_look_up(world.loop(), world.env())
                                           : beside::LookUp(),
       .has_keys = [&has_keys] { return has_keys; },
       .can_be_installed = can_be_installed});
  const std::string command = plan.words.front();
  const registry::ServiceSpec spec = plan.spec;
  beside::Session session(world, std::move(plan), screen, face.write);
  Supervisor supervisor(world, std::move(config), own);
  beside::Program program(world, supervisor);
  running = &program;
  // Before the program starts: an early signal must not leave it behind. What we were started to
  // ignore (nohup, a job in the background), the program ignores too.
  std::vector<int> signals;
  std::ranges::copy_if(kSignals, std::back_inserter(signals),
                       [](int signal) { return signal == SIGTERM || !uv::is_ignored(signal); });
  const auto taken = world.loop().take_signals(
      signals,
      [&program](int signal, uv::SignalOrigin origin) { program.on_signal(signal, origin); });
  has_keys = face.terminal != nullptr &&
             face.terminal->read_keys([&screen](char key) { screen.on_key(key); });
  const registry::HostId& host = supervisor.agent().registry().host();
  screen.follow(
      supervisor.agent(), (spec.id ? *spec.id : automatic_id(spec, host)).text(),
      face.terminal != nullptr ? beside::Screen::Face::terminal : beside::Screen::Face::plain);
  supervisor.start();
  session.start(supervisor, program);
  world.loop().run();
  session.end();
  program.wait_for_end();
  leave_terminal(modes, face);
  tell_of_death(program, command, face);
  return program.exit_status();
}

}  // namespace

int run_beside(const Arguments& arguments) {
  auto config = load_config(arguments.all("config"), arguments.all("set"));
  if (!config) return kUsage;
  const bool plain_log = has_plain_log(config->log);
  const bool terminal_face = plain_log && beside::has_screen();
  RealWorld::Ground ground = RealWorld::ground_of_process(config->log);
  beside::Terminal* screen = nullptr;  // once there is one
  if (terminal_face) ground.log = log_on(screen, *ground.loop, config->log);
  beside::QuietLog* quiet = nullptr;
  if (config->log.level == "info" && !wants_whole_log(arguments)) {
    auto log = std::make_unique<beside::QuietLog>(
        std::move(ground.log),
        terminal_face ? beside::Surroundings::screen : beside::Surroundings::lines);
    if (terminal_face) log->set_least(LogLevel::warning);
    quiet = log.get();
    ground.log = std::move(log);
  }
  RealWorld world(std::move(ground));
  Env& env = world.env();

  beside::SessionPlan plan{.words = arguments.positional(), .spec = {}, .needs = {}};
  if (!read_needs(arguments, plan)) return kUsage;
  const Naming naming = naming_of(arguments);
  int status = kFailed;
  const auto port = port_of(arguments, env.network, naming.name, status);
  if (!port) return status;
  auto spec = registry::ServiceSpec::parse(service_of(arguments, naming, *port));
  if (!spec) return complain(complaint_about(spec.error(), arguments), kUsage);
  const std::string own = '/' + spec->name.label() + '/' + std::to_string(*port);
  if (const auto twin = registered_twice(*config, *spec)) return complain(*twin, kUsage);
  // Neither the limit of descriptors is raised nor are a service manager's sockets taken: the
  // program inherits both, as it would without us.
  config->api.persist = false;  // what registers here is gone with the program
  // While the program restarts, its URL and its cookies go to no other host.
  if (!config->web.locality) config->web.locality = registry::Locality::strict;
  if (plan.needs.empty()) config->services.push_back(*spec);
  plan.spec = std::move(*spec);
  if (quiet != nullptr) quiet->set_service(plan.spec.name.text());

  std::optional<beside::Terminal> terminal;
  Face face;
  if (terminal_face) {
    face.terminal = screen = &terminal.emplace(env);
    face.write = [&terminal](std::string_view text) { terminal->say(text); };
  } else if (plain_log) {
    face.write = beside::write_line;
  }
  status = run_with(world, std::move(*config), own, std::move(plan), face);
  screen = nullptr;
  return status;
}

}  // namespace outrider::cli
