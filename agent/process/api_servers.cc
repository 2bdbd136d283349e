// SPDX-License-Identifier: Apache-2.0
#include "agent/process/api_servers.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/runtime_dir.h"
#include "agent/process/token_file.h"
#include "agent/web_listener.h"

namespace outrider {
namespace {

doors::ApiOptions api_options(const ApiConfig& config) {
  doors::ApiOptions options;
  options.article = config.article;
  options.bilibili = config.bilibili;
  options.eureka = config.eureka;
  return options;
}

/// The network does not distinguish a path that does not exist from another wrong address.
std::string why_not_there(const std::string& path, NetError error) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  if (error == NetError::not_available && ::access(folder.c_str(), F_OK) != 0)
    return std::strerror(errno);
  return to_string(error);
}

}  // namespace

ApiServers::ApiServers(Env& env, Agent& agent, const ApiConfig& config, std::string dir,
                       WatchFile watch_file)
    : env_(env),
      agent_(agent),
      clients_(agent.clients()),
      config_(config),
      watch_file_(std::move(watch_file)),
      api_(env, agent, api_options(config)),
      dir_(std::move(dir)) {
  agent.watch([this](const registry::Changes& changes) { api_.on_changes(changes); });
#ifdef __GLIBC__
  clients_.on_calm([] { ::malloc_trim(0); });  // the heap keeps what long answers took
#endif
  missing_ports_ = config.consul_listen;
  socket_missing_ = config.on;
}

void ApiServers::start() {
  open_missing();
  if (WebListener* web = agent_.web()) serve_web(*web);
}

/// By the rules of a loopback port: what changes something needs the token.
void ApiServers::serve_web(WebListener& web) {
  if (agent_.config().web.listen.empty()) return;
  http::ServerOptions options;
  options.on = agent_.config().web.listen.front();
  options.clients = &clients_;
  options.guard.token = token_;
  options.guard.changing_prefixes = api_.router().changing_prefixes();
  web_ = std::make_unique<http::Server>(env_, std::move(options), api_);
  api_.add_server(*web_);
  web.bridge().set_page(
      [this](std::unique_ptr<Stream> stream, Bytes read) { web_->adopt(std::move(stream), read); });
}

void ApiServers::open_missing() {
  if (socket_missing_) socket_missing_ = !open_socket();
  const auto lacks_token = [this] { return token_.empty() && !config_.consul_listen.empty(); };
  if (lacks_token()) settle_token();
  std::erase_if(missing_ports_, [this](const Endpoint& port) { return open_port(port); });
  logged_ = socket_missing_ || !missing_ports_.empty() || lacks_token();
  if (logged_) retry_ = env_.after(kListenRetry, [this] { open_missing(); });
}

bool ApiServers::open_socket() {
  const bool automatic = config_.socket.empty();
  if (automatic && !make_runtime_dir(dir_)) {
    if (!logged_) env_.log.record(LogEvent::api_directory_refused, {{"directory", dir_}});
    return false;
  }
  std::string path = config_.socket;
  Result<void, NetError> opened = failure(NetError::in_use);
  for (unsigned number = 1; number <= (automatic ? kSocketsMax : 1U); ++number) {
    if (automatic) path = socket_path(dir_, number);
    opened = open_file(path);
    // In use: by another agent of this user, which is no error.
    if (opened || opened.error() != NetError::in_use) break;
  }
  if (!opened && !logged_)
    env_.log.record(LogEvent::api_listen_failed,
                    {{"address", path}, {"reason", why_not_there(path, opened.error())}});
  return opened.has_value();
}

Result<void, NetError> ApiServers::open_file(const std::string& path) {
  auto server = std::make_unique<http::Server>(env_, options_for(UnixPath{path}), api_);
  if (const auto started = server->start(); !started) return started;
  env_.log.record(LogEvent::api_listening, {{"address", path}});
  api_.add_server(*server);
  socket_ = std::move(server);
  socket_id_ = id_of(path);
  if (watch_file_ && (!socket_watch_ || path != socket_path_))
    socket_watch_ = watch_file_(path, [this] { look_at_files(); });
  socket_path_ = path;
  return {};
}

bool ApiServers::open_port(const Endpoint& endpoint) {
  auto server = std::make_unique<http::Server>(env_, options_for(endpoint), api_);
  if (const auto started = server->start(); !started) {
    if (!logged_)
      env_.log.record(LogEvent::api_listen_failed,
                      {{"address", endpoint.to_string()}, {"reason", to_string(started.error())}});
    return false;
  }
  env_.log.record(LogEvent::api_listening, {{"address", to_string(server->local())}});
  api_.add_server(*server);
  ports_.push_back(std::move(server));
  return true;
}

http::ServerOptions ApiServers::options_for(const StreamAddress& on) {
  http::ServerOptions options;
  options.on = on;
  options.clients = &clients_;
  options.guard.token = token_;
  options.guard.host_names = config_.host_names;
  options.guard.changing_prefixes = api_.router().changing_prefixes();
  if (!config_.token) options.guard.open_prefixes.emplace_back("/");
  if (config_.article) options.guard.open_prefixes.emplace_back("/api/");
  if (config_.bilibili) options.guard.open_prefixes.emplace_back("/discovery/");
  return options;
}

/// Something happened to a file of ours, or beside it.
void ApiServers::look_at_files() {
  if (socket_ && id_of(socket_path_) != socket_id_) {
    env_.log.record(LogEvent::api_file_lost, {{"file", socket_path_}});
    retire_socket();
    socket_missing_ = true;
  }
  if (!token_.empty()) settle_token();
  open_missing();
}

/// Its clients stay connected: nothing but the name of the socket is gone.
void ApiServers::retire_socket() {
  retired_.push_back(std::move(socket_));
  std::size_t excess = retired_.size() - std::min(retired_.size(), kRetiredServersMax);
  std::erase_if(retired_, [&](const auto& server) {
    const bool drop = server->connection_count() == 0 || excess > 0;
    if (drop && excess > 0) --excess;
    if (drop) api_.remove_server(*server);
    return drop;
  });
}

/// The file is what clients read: its token counts, and ours is written only where there is none.
void ApiServers::settle_token() {
  const std::string path = dir_ + "/token";
  if (!token_watch_ && watch_file_ && make_runtime_dir(dir_))
    token_watch_ = watch_file_(path, [this] { look_at_files(); });
  const bool lost = !token_.empty() && read_token(path).empty();
  if (lost) env_.log.record(LogEvent::api_file_lost, {{"file", path}});
  TokenFile settled;
  if (make_runtime_dir(dir_))
    settled = outrider::settle_token(path, token_.empty() ? make_token(env_.random) : token_);
  if (settled.token.empty()) {
    if (!logged_) env_.log.record(LogEvent::api_token_failed, {{"file", path}});
    return;
  }
  if (settled.written) env_.log.record(LogEvent::api_token_written, {{"file", path}});
  token_ = settled.token;
  for (const auto& server : ports_)
    server->set_token(token_);
  if (web_) web_->set_token(token_);
}

std::optional<ApiServers::FileId> ApiServers::id_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return FileId{info.st_dev, info.st_ino};
}

}  // namespace outrider
