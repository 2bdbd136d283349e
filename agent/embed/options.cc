// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/options.h"

#include "agent/embed/remote.h"
#include "agent/process/needed_modules.h"
#include "agent/process/runtime_dir.h"

namespace outrider::embed {
namespace {

constexpr const char* kDefaults =
    R"({"dns": {"listen": []}, "api": {"socket": "off"}, "mdns": {"provider": "native"},
        "web": {"listen": []}})";
/// An agent that is not running answers at once: this is for one that hangs.
constexpr Duration kLookMax = std::chrono::seconds(2);
constexpr int kTimeoutDefault = 5'000;

std::string text_of(const char* text) {
  return text != nullptr ? text : "";
}

Failure wrong(std::string text) {
  return {OUTRIDER_EINVAL, std::move(text)};
}

Result<Settings, Failure> read(const outrider_options& options) {
  Settings settings;
  if (options.mode > OUTRIDER_LOOP)
    return failure(wrong("mode: expected OUTRIDER_THREAD, OUTRIDER_FD or OUTRIDER_LOOP"));
  if (options.flags > OUTRIDER_KEEP_LOOP_ALIVE) return failure(wrong("flags: unknown flag"));
  if ((options.mode == OUTRIDER_LOOP) != (options.uv_loop != nullptr))
    return failure(wrong("uv_loop: expected with OUTRIDER_LOOP, and only then"));
  settings.mode = options.mode == OUTRIDER_FD     ? Mode::fd
                  : options.mode == OUTRIDER_LOOP ? Mode::loop
                                                  : Mode::thread;
  settings.uv_loop = static_cast<uv_loop_s*>(options.uv_loop);
  settings.keeps_loop_alive = (options.flags & OUTRIDER_KEEP_LOOP_ALIVE) != 0;
  settings.name = text_of(options.name);
  settings.state_directory = text_of(options.state_directory);
  settings.socket = text_of(options.socket);
  settings.log = options.log;
  settings.log_fd = options.log_fd;
  settings.closed = options.closed;
  settings.user = options.user;
  if (options.timeout_ms <= 0) return failure(wrong("timeout_ms: expected more than 0"));
  settings.timeout = std::chrono::milliseconds(options.timeout_ms);
  return settings;
}

std::optional<Failure> configure(Settings& settings, const char* text, bool is_shared) {
  if (settings.name.empty())
    return wrong("name: expected a name that tells this agent apart from others on the host");
  ConfigSources sources;
  sources.files.push_back({"defaults", kDefaults});
  if (is_shared)
    sources.sets.push_back("api.socket=" + (settings.socket.empty() ? "auto" : settings.socket));
  if (text != nullptr) sources.files.push_back({"config", text});
  auto config = make_config(sources);
  if (!config) return wrong(config.error().to_string());
  if (const auto missing = missing_module(*config)) return wrong(missing->to_string());
  if (const auto unusable = unusable_tls(*config)) return wrong(unusable->to_string());
  config->api.persist = config->api.persist && !settings.state_directory.empty();
  settings.config = std::move(*config);
  settings.socket.clear();
  return std::nullopt;
}

FoundSockets sockets_of(const Settings& settings) {
  if (!settings.socket.empty())
    return {.sockets = {settings.socket}, .closed = {}, .passed_over = {}};
  return look_for_sockets(usual_runtime_dir(), kSystemRuntimeDir);
}

}  // namespace

outrider_options default_options() {
  outrider_options options{};
  options.size = sizeof options;
  options.log_fd = -1;
  options.timeout_ms = kTimeoutDefault;
  return options;
}

Result<Session*, Failure> make_session(Way way, const outrider_options& options) {
  auto settings = read(options);
  if (!settings) return failure(std::move(settings.error()));
  if (way != Way::start) {
    const Duration look = std::min(settings->timeout, kLookMax);
    auto socket =
        find_agent(sockets_of(*settings), look, way == Way::connect ? settings->timeout : look);
    if (socket) {
      settings->socket = std::move(*socket);
      return Session::make(std::move(*settings));
    }
    if (way == Way::connect) return failure(std::move(socket.error()));
  }
  if (auto why = configure(*settings, options.config, way == Way::open))
    return failure(std::move(*why));
  return Session::make(std::move(*settings));
}

}  // namespace outrider::embed
