// SPDX-License-Identifier: Apache-2.0
// `outrider run -- CMD`: a program and its agent in one command. It picks a port, starts the
// program, announces it once it is healthy, and at the end drains before it stops the program. It
// does not restart the program.
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "agent/cli/load_config.h"
#include "agent/cli/output.h"
#include "agent/process/supervisor.h"

namespace outrider::cli {
namespace {

/// How long after its signal the program is killed.
constexpr Duration kKillAfter = std::chrono::seconds(10);

std::uint16_t free_port(Network& network) {
  struct Discard final : Listener::Sink {
    void on_accept(std::unique_ptr<Stream>) override {}
  } discard;
  const auto any = IpAddress::any(IpAddress::Family::v4);
  const auto listener = network.listen({.on = Endpoint{any, 0}}, discard);
  if (!listener) return 0;
  return std::get<Endpoint>((*listener)->local()).port;
}

void add_member(json::Object& object, const char* key, std::string text) {
  object.emplace_back(key, json::Value(json::Value::Data(std::move(text))));
}

/// The name of a program without its folder and extension.
std::string stem_of(const std::string& command) {
  const std::string file = command.substr(command.rfind('/') + 1);
  const std::size_t dot = file.rfind('.');
  return dot == 0 ? file : file.substr(0, dot);
}

/// The service that the flags describe, in the form of the configuration.
json::Value service_of(const Arguments& arguments, std::uint16_t port) {
  json::Object service, check;
  add_member(
      service, "name",
      arguments.has("name") ? arguments.get("name") : stem_of(arguments.positional().front()));
  if (arguments.has("id")) add_member(service, "id", arguments.get("id"));
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
      {"name", "name"},     {"id", "id"},        {"address", "address"},
      {"checks", "health"}, {"farp", "openapi"}, {"tags", "tag"}};
  if (error.path.starts_with("name") && !arguments.has("name"))
    return "the command's name cannot be the name of a service: " + error.expected +
           "; choose one with --name";
  for (const auto& [path, flag] : kFlags)
    if (error.path.starts_with(path))
      return "--" + std::string(flag) + ": " +
             registry::SpecError{{}, error.expected, error.nearest}.to_string();
  return error.to_string();
}

/// Ctrl-C and Ctrl-\ reach every process in the foreground of the terminal: the program and us.
/// That we are in the foreground is the best evidence that the terminal sent the signal.
bool is_from_terminal(int signal) {
  if (signal != SIGINT && signal != SIGQUIT) return false;
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  const bool in_front = ::tcgetpgrp(terminal) == ::getpgrp();
  ::close(terminal);
  return in_front;
}

/// The program, and how it is stopped.
class Child {
 public:
  Child(RealWorld& world, Supervisor& supervisor) : world_(world), supervisor_(supervisor) {}

  bool start(const std::vector<std::string>& words, std::uint16_t port) {
    auto process =
        world_.loop().spawn({.arguments = words, .environment = {"PORT=" + std::to_string(port)}},
                            [this](uv::ExitStatus status) { on_exit(status); });
    if (!process) {
      complain("cannot run " + words.front() + ": " + process.error(), kFailed);
      return false;
    }
    process_ = std::move(*process);
    return true;
  }

  /// Leaves DNS and says goodbye before it sends the signal, so that no client is sent to a program
  /// that is gone. A second signal ends the wait (the supervisor hurries); later ones reach the
  /// program too. A signal that the terminal has sent to the program is not sent again: to many
  /// programs a second Ctrl-C means to abandon their work.
  void on_stop_signal(int signal) {
    const bool has_it = is_from_terminal(signal);
    if (stopping_) {
      if (signalled_ && !has_it) forward(signal);
      return;
    }
    stopping_ = true;
    supervisor_.stop([this, last = has_it ? SIGTERM : signal] {
      signalled_ = true;
      forward(last);
      supervisor_.extend_timeout(kKillAfter + std::chrono::seconds(5));
      kill_timer_ = world_.env().after(kKillAfter, [this] { forward(SIGKILL); });
    });
  }

  void forward(int signal) {
    if (process_) process_->kill(signal);
  }

  /// Called when the agent is gone; the program may still be ending.
  void wait_for_end() {
    agent_closed_ = true;
    while (process_)
      world_.loop().run();
  }

  /// As a shell reports it: the program's own status, or 128 plus the signal.
  int exit_status() const {
    if (!status_) return kFailed;
    return status_->signal != 0 ? 128 + status_->signal : status_->code;
  }

 private:
  void on_exit(uv::ExitStatus status) {
    status_ = status;
    process_.reset();
    kill_timer_.reset();
    if (agent_closed_) return world_.loop().stop();
    world_.env().log.record(LogEvent::program_exited, {{"status", exit_status()}});
    if (!stopping_) {
      stopping_ = true;
      supervisor_.stop();
    }
    // Without the program there is nothing to drain for.
    supervisor_.agent().hurry();
  }

  RealWorld& world_;
  Supervisor& supervisor_;
  std::unique_ptr<uv::Process> process_;
  std::optional<uv::ExitStatus> status_;
  Timer kill_timer_;
  bool stopping_ = false;
  bool signalled_ = false;  // the program has been sent the signal that ends it
  bool agent_closed_ = false;
};

}  // namespace

int run_beside(const Arguments& arguments) {
  auto config = load_config(arguments.all("config"), arguments.all("set"));
  if (!config) return kUsage;
  RealWorld world(config->log);

  std::uint16_t port = 0;
  if (const std::string text = arguments.get("port"); !text.empty()) {
    const auto parsed = Endpoint::parse("127.0.0.1:" + text);
    if (!parsed || parsed->port == 0)
      return complain("--port: expected 1 to 65535, not \"" + text + '"', kUsage);
    port = parsed->port;
  } else {
    port = free_port(world.env().network);
    if (port == 0) return complain("no free port found; choose one with --port", kFailed);
  }
  auto spec = registry::ServiceSpec::parse(service_of(arguments, port));
  if (!spec) return complain(complaint_about(spec.error(), arguments), kUsage);
  const std::string own = '/' + spec->name.label() + '/' + std::to_string(port);
  config->services.push_back(std::move(*spec));

  Supervisor supervisor(world, std::move(*config), own);
  Child child(world, supervisor);
  // Before the program starts: an early signal must not leave it behind.
  supervisor.pass_signals([&child](int signal) { child.on_stop_signal(signal); });
  // Signals that do not ask to end are for the program alone; many reload on SIGHUP.
  std::vector<std::unique_ptr<Pending>> passed_on;
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2})
    passed_on.push_back(
        world.loop().watch_signal(signal, [&child, signal] { child.forward(signal); }));
  if (!child.start(arguments.positional(), port)) return kFailed;
  supervisor.start();
  world.loop().run();
  child.wait_for_end();
  return child.exit_status();
}

}  // namespace outrider::cli
