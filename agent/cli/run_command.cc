// SPDX-License-Identifier: Apache-2.0
// `outrider run -- CMD`: a program and its agent in one command. It picks a port, starts the
// program, announces it once it is healthy, and at the end drains before it stops the program. It
// does not restart the program.
#include <algorithm>
#include <csignal>

#include "agent/cli/commands.h"
#include "agent/cli/load_config.h"
#include "agent/cli/output.h"
#include "agent/process/descendants.h"
#include "agent/process/supervisor.h"

namespace outrider::cli {
namespace {

/// How long after its signal the program is killed; the time that it has after a Ctrl-C, too.
constexpr Duration kKillAfter = std::chrono::seconds(10);
/// The interval at which killing is repeated.
constexpr Duration kKillAgain = std::chrono::seconds(1);

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

const char* signal_name(int signal) {
  return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGQUIT";
}

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

/// The program with everything that it has started, and how they are stopped.
class Child {
 public:
  Child(RealWorld& world, Supervisor& supervisor) : world_(world), supervisor_(supervisor) {}

  bool start(const std::vector<std::string>& words, std::uint16_t port);
  void on_signal(int signal, uv::SignalOrigin origin);
  /// Called when the agent is gone; the program may still be ending.
  void wait_for_end() {
    agent_closed_ = true;
    while (process_ || leaving_)
      world_.loop().run();
  }
  /// As a shell reports it: the program's own status, or 128 plus the signal.
  int exit_status() const {
    if (!status_) return kFailed;
    return status_->signal != 0 ? 128 + status_->signal : status_->code;
  }

 private:
  void stop(int signal, uv::SignalOrigin origin);
  void ask_to_end(int signal);
  void on_exit(uv::ExitStatus status);
  void on_child_signal();
  void end_the_rest();
  void kill_all();
  void forward(int signal) {
    if (process_) process_->kill(signal);
  }
  void say_stopping(std::string_view signal, std::size_t processes, std::string_view why) {
    world_.env().log.record(
        LogEvent::program_stopping,
        {{"signal", signal}, {"processes", processes}, {"duration", kKillAfter}, {"reason", why}});
    supervisor_.extend_timeout(kKillAfter + std::chrono::seconds(5));
    kill_timer_ = world_.env().after(kKillAfter, [this] { kill_all(); });
  }

  RealWorld& world_;
  Supervisor& supervisor_;
  std::unique_ptr<Pending> child_watch_;
  std::unique_ptr<uv::Process> process_;
  std::optional<uv::ExitStatus> status_;
  Timer term_timer_, kill_timer_;
  bool stopping_ = false;
  bool hurried_ = false;    // a second signal has come
  bool signalled_ = false;  // the program has been sent the signal that ends it
  bool leaving_ = false;    // the program has ended, what it has started has not
  bool agent_closed_ = false;
};

bool Child::start(const std::vector<std::string>& words, std::uint16_t port) {
  // What the program leaves behind (npm's server, a daemon) must not outlive it.
  uv::adopt_orphans();
  child_watch_ = world_.loop().watch_signal(SIGCHLD, [this] { on_child_signal(); });
  // The service manager talks to the agent; the program would be believed to be it. Sockets that
  // were handed over are the program's: spawn() gives LISTEN_PID its value, and the number that
  // tells processes with one id apart is ours.
  auto process = world_.loop().spawn(
      {.arguments = words,
       .environment = {"PORT=" + std::to_string(port)},
       .without = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PIDFDID"},
       .ends_with_us = true},
      [this](uv::ExitStatus status) { on_exit(status); });
  if (!process) {
    complain("cannot run " + words.front() + ": " + process.error(), kFailed);
    return false;
  }
  process_ = std::move(*process);
  return true;
}

/// Each signal reaches the program once. It shares the terminal with us, so it has those of the
/// terminal already: to many programs a second Ctrl-C means to abandon their work.
void Child::on_signal(int signal, uv::SignalOrigin origin) {
  if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) return stop(signal, origin);
  // Signals that do not ask to end are for the program alone; many reload on SIGHUP.
  if (origin == uv::SignalOrigin::process) forward(signal);
}

/// Leaves DNS and says goodbye before the signal is sent, so that no client is sent to a program
/// that is gone. A second signal ends the wait; later ones reach the program too.
void Child::stop(int signal, uv::SignalOrigin origin) {
  const bool has_it = origin == uv::SignalOrigin::terminal;
  if (stopping_) {
    hurried_ = true;
    supervisor_.agent().hurry();
    if (signalled_ && !has_it) return forward(signal);
    if (term_timer_.pending()) ask_to_end(SIGTERM);
    return;
  }
  stopping_ = true;
  const TimePoint asked = world_.env().now();
  supervisor_.stop([this, asked, has_it, signal] {
    // What the terminal has asked to end is ending, and needs its time for that.
    const bool waits = has_it && !hurried_;
    const TimePoint due = waits ? asked + kKillAfter : world_.env().now();
    if (due <= world_.env().now()) return ask_to_end(has_it ? SIGTERM : signal);
    if (process_) term_timer_ = world_.env().timers.at(due, [this] { ask_to_end(SIGTERM); });
  });
}

void Child::ask_to_end(int signal) {
  term_timer_.reset();
  signalled_ = true;
  if (!process_) return;
  forward(signal);
  say_stopping(signal_name(signal), 1, "the drain is over");
}

void Child::on_exit(uv::ExitStatus status) {
  status_ = status;
  process_.reset();
  term_timer_.reset();
  kill_timer_.reset();
  world_.env().log.record(LogEvent::program_exited, {{"status", exit_status()}});
  end_the_rest();
  if (agent_closed_) return leaving_ ? void() : world_.loop().stop();
  if (!stopping_) {
    stopping_ = true;
    supervisor_.stop();
  }
  // Without the program there is nothing to drain for.
  supervisor_.agent().hurry();
}

/// Whatever the program has started and left behind: its parents may have ended, it may lead a
/// session of its own.
void Child::end_the_rest() {
  uv::reap_adopted(0);
  const std::vector<std::int64_t> left = descendants();
  leaving_ = !left.empty();
  if (!leaving_) return;
  for (const std::int64_t pid : left)
    uv::send_signal(pid, SIGTERM);
  say_stopping("SIGTERM", left.size(), "left behind by the program");
}

void Child::on_child_signal() {
  uv::reap_adopted(process_ ? process_->pid() : 0);
  if (!leaving_ || !descendants().empty()) return;
  leaving_ = false;
  kill_timer_.reset();
  if (agent_closed_) world_.loop().stop();
}

/// What is killed may have started more meanwhile, and what the kernel holds cannot be killed.
void Child::kill_all() {
  const std::vector<std::int64_t> left = descendants();
  if (!left.empty())
    world_.env().log.record(
        LogEvent::program_killed,
        {{"processes", left.size()},
         {"reason", "still running " + format_duration(kKillAfter) + " after being asked to end"}});
  for (const std::int64_t pid : left)
    uv::send_signal(pid, SIGKILL);
  kill_timer_ = world_.env().after(kKillAgain, [this] { kill_all(); });
}

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
  if (const auto twin = registered_twice(*config, *spec)) return complain(*twin, kUsage);
  // Neither the limit of descriptors is raised nor are a service manager's sockets taken: the
  // program inherits both, as it would without us.
  config->api.persist = false;  // what registers here is gone with the program
  config->services.push_back(std::move(*spec));

  Supervisor supervisor(world, std::move(*config), own);
  Child child(world, supervisor);
  // Before the program starts: an early signal must not leave it behind. What we were started to
  // ignore (nohup, a job in the background), the program ignores too.
  std::vector<int> signals;
  std::ranges::copy_if(kSignals, std::back_inserter(signals),
                       [](int signal) { return signal == SIGTERM || !uv::is_ignored(signal); });
  const auto taken = world.loop().take_signals(
      signals, [&child](int signal, uv::SignalOrigin origin) { child.on_signal(signal, origin); });
  if (!child.start(arguments.positional(), port)) return kFailed;
  supervisor.start();
  world.loop().run();
  child.wait_for_end();
  return child.exit_status();
}

}  // namespace outrider::cli
