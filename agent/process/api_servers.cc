// SPDX-License-Identifier: Apache-2.0
#include "agent/process/api_servers.h"

#include <array>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/runtime_dir.h"

namespace outrider {
namespace {

constexpr std::size_t kTokenBytesMax = 128;

doors::ApiOptions api_options(const ApiConfig& config) {
  doors::ApiOptions options;
  options.article = config.article;
  options.bilibili = config.bilibili;
  return options;
}

/// The token of an earlier start, so that clients keep theirs over a restart. Only a regular file
/// of this user that others cannot read is trusted.
std::string read_token(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return {};
  struct stat info {};
  std::array<char, kTokenBytesMax> text{};
  ssize_t size = 0;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
      (info.st_mode & 07) == 0) {
    size = ::read(fd, text.data(), text.size());
  }
  ::close(fd);
  std::string token(text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, size)));
  while (!token.empty() && token.back() == '\n')
    token.pop_back();
  return token.size() >= 32 ? token : std::string();
}

bool write_token(const std::string& path, const std::string& token) {
  ::unlink(path.c_str());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return false;
  const std::string line = token + '\n';
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  return ::close(fd) == 0 && written;
}

}  // namespace

ApiServers::ApiServers(Env& env, Agent& agent, const ApiConfig& config)
    : env_(env), config_(config), api_(env, agent, api_options(config)), dir_(runtime_dir()) {
  agent.watch([this](const registry::Changes& changes) { api_.on_changes(changes); });
  missing_ports_ = config.consul_listen;
  socket_missing_ = config.on;
}

void ApiServers::start() {
  open_missing();
}

void ApiServers::open_missing() {
  if (socket_missing_) socket_missing_ = !open_socket();
  std::erase_if(missing_ports_, [this](const Endpoint& port) { return open_port(port); });
  if (socket_missing_ || !missing_ports_.empty()) {
    logged_ = true;
    retry_ = env_.after(kListenRetry, [this] { open_missing(); });
  }
}

bool ApiServers::open_socket() {
  if (!config_.socket.empty()) return open(UnixPath{config_.socket});
  if (!make_runtime_dir(dir_)) {
    if (!logged_) env_.log.record(LogEvent::api_directory_refused, {{"directory", dir_}});
    return false;
  }
  for (unsigned number = 1; number <= kSocketsMax; ++number) {
    const std::string path = socket_path(dir_, number);
    http::ServerOptions options;
    options.on = UnixPath{path};
    auto server = std::make_unique<http::Server>(env_, options, api_);
    const auto started = server->start();
    if (!started && started.error() == NetError::in_use) continue;  // another agent of this user
    if (!started) {
      if (!logged_)
        env_.log.record(LogEvent::api_listen_failed,
                        {{"address", path}, {"reason", to_string(started.error())}});
      return false;
    }
    env_.log.record(LogEvent::api_listening, {{"address", path}});
    api_.add_server(*server);
    servers_.push_back(std::move(server));
    return true;
  }
  return false;
}

bool ApiServers::open_port(const Endpoint& endpoint) {
  if (token_.empty()) token_ = token();
  return open(endpoint);
}

bool ApiServers::open(const StreamAddress& on) {
  http::ServerOptions options;
  options.on = on;
  options.guard.token = token_;
  options.guard.changing_prefixes = api_.router().changing_prefixes();
  if (!config_.token) options.guard.open_prefixes.emplace_back("/");
  if (config_.article) options.guard.open_prefixes.emplace_back("/api/");
  if (config_.bilibili) options.guard.open_prefixes.emplace_back("/discovery/");
  auto server = std::make_unique<http::Server>(env_, options, api_);
  if (const auto started = server->start(); !started) {
    if (!logged_) {
      env_.log.record(LogEvent::api_listen_failed,
                      {{"address", to_string(on)}, {"reason", to_string(started.error())}});
    }
    return false;
  }
  env_.log.record(LogEvent::api_listening, {{"address", to_string(server->local())}});
  api_.add_server(*server);
  servers_.push_back(std::move(server));
  return true;
}

std::string ApiServers::token() {
  if (!make_runtime_dir(dir_)) return {};
  const std::string path = dir_ + "/token";
  std::string token = read_token(path);
  if (!token.empty()) return token;
  static constexpr char kHex[] = "0123456789abcdef";
  for (int i = 0; i < 32; ++i)
    token += kHex[env_.random.below(16)];
  if (!write_token(path, token)) {
    env_.log.record(LogEvent::api_token_failed, {{"file", path}});
    return {};
  }
  env_.log.record(LogEvent::api_token_written, {{"file", path}});
  return token;
}

}  // namespace outrider
