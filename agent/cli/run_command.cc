// SPDX-License-Identifier: Apache-2.0
// `outrider run -- CMD`: a program with an agent beside it, in one command. It picks a port, starts
// the program, announces it once it is healthy, and on the way out drains before it stops the
// program. It restarts nothing.
#include <csignal>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "agent/process/supervisor.h"

namespace outrider::cli {
namespace {

/// A program that does not end after its signal is killed.
constexpr Duration kKillAfter = std::chrono::seconds(10);

std::uint16_t free_port(Network& network) {
  struct Nobody final : Listener::Sink {
    void on_accept(std::unique_ptr<Stream>) override {}
  } nobody;
  const auto any = IpAddress::any(IpAddress::Family::v4);
  const auto listener = network.listen({.on = Endpoint{any, 0}}, nobody);
  if (!listener) return 0;
  return std::get<Endpoint>((*listener)->local()).port;
}

void set_member(json::Object& object, const char* key, std::string text) {
  object.emplace_back(key, json::Value(json::Value::Data(std::move(text))));
}

/// The name of a program without its folder and extension.
std::string stem_of(const std::string& command) {
  const std::string file = command.substr(command.rfind('/') + 1);
  const std::size_t dot = file.rfind('.');
  return dot == 0 ? file : file.substr(0, dot);
}

/// The service as the flags tell it, in the form of the configuration.
json::Value service_of(const Arguments& arguments, std::uint16_t port) {
  json::Object service, check;
  set_member(
      service, "name",
      arguments.has("name") ? arguments.get("name") : stem_of(arguments.positional().front()));
  if (arguments.has("id")) set_member(service, "id", arguments.get("id"));
  service.emplace_back("port", json::Value(json::Value::Data(std::int64_t{port})));
  if (arguments.has("address")) set_member(service, "address", arguments.get("address"));
  json::Array tags;
  for (const std::string& tag : arguments.all("tag"))
    tags.emplace_back(json::Value::Data(tag));
  service.emplace_back("tags", json::Value(json::Value::Data(std::move(tags))));
  if (arguments.has("health"))
    set_member(check, "http", arguments.get("health"));
  else
    set_member(check, "tcp", "auto");
  json::Array checks;
  checks.emplace_back(json::Value::Data(std::move(check)));
  service.emplace_back("checks", json::Value(json::Value::Data(std::move(checks))));
  if (arguments.has("openapi")) {
    json::Object farp;
    set_member(farp, "openapi", arguments.get("openapi"));
    service.emplace_back("farp", json::Value(json::Value::Data(std::move(farp))));
  }
  return json::Value(json::Value::Data(std::move(service)));
}

/// Ctrl-C and Ctrl-\ go to every process in the foreground of the terminal: to the program as to
/// us. That we are there is as near as one comes to knowing who sent a signal.
bool came_from_terminal(int signal) {
  if (signal != SIGINT && signal != SIGQUIT) return false;
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  const bool in_front = ::tcgetpgrp(terminal) == ::getpgrp();
  ::close(terminal);
  return in_front;
}

/// The program and its end.
class Child {
 public:
  Child(RealWorld& world, Supervisor& supervisor) : world_(world), supervisor_(supervisor) {}

  bool start(const std::vector<std::string>& words, std::uint16_t port) {
    auto process =
        world_.loop().spawn({.arguments = words, .environment = {"PORT=" + std::to_string(port)}},
                            [this](uv::ExitStatus status) { ended(status); });
    if (!process) {
      std::fprintf(stderr, "outrider: cannot run %s: %s\n", words.front().c_str(),
                   process.error().c_str());
      return false;
    }
    process_ = std::move(*process);
    return true;
  }

  /// First out of DNS and a goodbye, and only then the signal: nobody is sent to what is gone. A
  /// second signal ends the wait (the supervisor hurries); later ones reach the program too.
  /// What it has from the terminal it does not get from us again: to many programs a second Ctrl-C
  /// means not to finish what they are at.
  void stop_asked(int signal) {
    const bool has_it = came_from_terminal(signal);
    if (stopping_) {
      if (told_ && !has_it) forward(signal);
      return;
    }
    stopping_ = true;
    supervisor_.stop([this, last = has_it ? SIGTERM : signal] {
      told_ = true;
      forward(last);
      supervisor_.extend_timeout(kKillAfter + std::chrono::seconds(5));
      kill_timer_ = world_.env().after(kKillAfter, [this] { forward(SIGKILL); });
    });
  }

  void forward(int signal) {
    if (process_) process_->kill(signal);
  }

  /// The agent is gone; the program may still be on its way out.
  void wait_for_end() {
    agent_closed_ = true;
    while (process_)
      world_.loop().run();
  }

  /// As a shell has it: the program's own status, or 128 and the signal.
  int exit_status() const {
    if (!status_) return kFailed;
    return status_->signal != 0 ? 128 + status_->signal : status_->code;
  }

 private:
  void ended(uv::ExitStatus status) {
    status_ = status;
    process_.reset();
    kill_timer_.reset();
    if (agent_closed_) return world_.loop().stop();
    world_.env().log.info("program_ended", {{"status", exit_status()}});
    if (!stopping_) {
      stopping_ = true;
      supervisor_.stop();
    }
    // There is nothing left to drain for.
    supervisor_.agent().hurry();
  }

  RealWorld& world_;
  Supervisor& supervisor_;
  std::unique_ptr<uv::Process> process_;
  std::optional<uv::ExitStatus> status_;
  Timer kill_timer_;
  bool stopping_ = false;
  bool told_ = false;  // the program has got the signal that ends it
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
    if (!parsed || parsed->port == 0) {
      std::fprintf(stderr, "outrider: --port: expected 1 to 65535, not \"%s\"\n", text.c_str());
      return kUsage;
    }
    port = parsed->port;
  } else {
    port = free_port(world.env().network);
    if (port == 0) {
      std::fputs("outrider: no free port is to be had; name one with --port\n", stderr);
      return kFailed;
    }
  }
  auto spec = registry::ServiceSpec::parse(service_of(arguments, port));
  if (!spec) {
    std::fprintf(stderr, "outrider: %s\n", spec.error().to_string().c_str());
    return kUsage;
  }
  const std::string own = '/' + spec->name.label() + '/' + std::to_string(port);
  config->services.push_back(std::move(*spec));

  Supervisor supervisor(world, std::move(*config), own);
  Child child(world, supervisor);
  // Before there is a program: it must not be left behind by a signal that comes early.
  supervisor.pass_signals([&child](int signal) { child.stop_asked(signal); });
  // What says nothing of ending is for the program alone: SIGHUP is how many are told to reload.
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
