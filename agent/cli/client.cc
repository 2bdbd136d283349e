// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/client.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/machine.h"
#include "agent/cli/output.h"
#include "agent/process/runtime_dir.h"
#include "base/http/client.h"

namespace outrider::cli {
namespace {

std::string group_name(gid_t gid) {
  const group* found = ::getgrgid(gid);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

/// The variable is the option api.socket of agents, too, whose other values name no socket.
bool is_option_value(std::string_view text) {
  return text.empty() || text == "auto" || text == "off";
}

/// Takes server-sent events from the bytes of a response.
class EventReader final : Stream::Sink {
 public:
  EventReader(Machine& machine, std::unique_ptr<Stream> stream, const AgentClient::OnEvent& call)
      : machine_(machine), stream_(std::move(stream)), call_(call) {
    stream_->start(*this);
  }
  void send(const std::string& request) {
    if (!stream_->write(as_bytes(request))) finish(kFailed);
  }
  int exit_code() const { return exit_code_; }
  bool has_begun() const { return head_done_; }

 private:
  void on_data(Bytes data) override {
    text_ += as_text(data);
    if (!head_done_ && !take_head()) return;
    std::size_t end = 0;
    while ((end = text_.find("\n\n")) != std::string::npos) {
      const std::string event = text_.substr(0, end);
      text_.erase(0, end + 2);
      if (!report(event)) return finish(kDone);
    }
    if (text_.size() > kEventBytesMax) finish(kFailed);
  }
  void on_end() override { finish(complain("the agent closed the connection", kFailed)); }
  void on_broken(NetError) override { on_end(); }

  bool take_head() {
    const std::size_t end = text_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    head_done_ = true;
    if (!text_.starts_with("HTTP/1.1 200 ")) {
      finish(complain(text_.substr(0, text_.find("\r\n")), kFailed));
      return false;
    }
    text_.erase(0, end + 4);
    return true;
  }
  bool report(const std::string& event) {
    std::string name;
    std::string data;
    std::size_t at = 0;
    while (at < event.size()) {
      const std::size_t line_end = std::min(event.find('\n', at), event.size());
      const std::string line = event.substr(at, line_end - at);
      if (line.starts_with("event: ")) name = line.substr(7);
      if (line.starts_with("data: ")) data = line.substr(6);
      at = line_end + 1;
    }
    return call_(name, data);
  }
  void finish(int code) {
    exit_code_ = code;
    machine_.loop.stop();
  }

  Machine& machine_;
  std::unique_ptr<Stream> stream_;
  const AgentClient::OnEvent& call_;
  std::string text_;
  bool head_done_ = false;
  int exit_code_ = kDone;
};

/// Null where there is nothing to watch.
std::unique_ptr<FdWatch> watch_input(Machine& machine, const StreamOptions& options, bool& ended) {
  if (options.input < 0) return nullptr;
  auto watch = machine.env.network.watch_fd(options.input, {.readable = true}, [&](FdEvents) {
    if (options.on_input()) return;
    ended = true;
    machine.loop.stop();
  });
  return watch ? std::move(*watch) : nullptr;
}

}  // namespace

AgentClient::AgentClient(const std::string& socket, Complaints complaints)
    : complaints_(complaints) {
  // A leading '@' would mean an abstract socket, which anybody may have made.
  if (!socket.empty())
    sockets_ = {(socket.starts_with('@') ? "./" : "") + socket};
  else if (const char* given = std::getenv("OUTRIDER_API_SOCKET");
           given != nullptr && *given == '/')
    sockets_ = {given};
  else if (const char* own = std::getenv("OUTRIDER_SOCKET");
           own != nullptr && *own == '/' && given == nullptr)
    sockets_ = {own};  // in a program of outrider run
  else if (given != nullptr && !is_option_value(given))
    wrong_ = std::string("OUTRIDER_API_SOCKET: expected an absolute path, not \"") + given + '"';
  else {
    FoundSockets found = look_for_sockets(runtime_dir(), kSystemRuntimeDir);
    sockets_ = std::move(found.sockets);
    closed_ = std::move(found.closed);
    passed_over_ = std::move(found.passed_over);
  }
}

Denial AgentClient::denial() const {
  const std::string path = closed_.empty() ? kSystemRuntimeDir : closed_.front();
  Denial denial{"not permitted to use the agent in " + path, {}};
  struct stat info {};
  // The directory, where even the socket cannot be looked at.
  const bool known = ::stat(path.c_str(), &info) == 0 ||
                     ::stat(path.substr(0, path.rfind('/')).c_str(), &info) == 0;
  const passwd* user = ::getpwuid(::geteuid());
  const std::string name = user != nullptr ? user->pw_name : "$USER";
  if (!known) {
    denial.advice = "ask the owner of " + path;
  } else if (info.st_gid == 0) {
    denial.advice = "run the command as root";
  } else {
    // Other systems have a program of this name that does something else.
    const bool debian = ::access("/etc/adduser.conf", F_OK) == 0;
    const std::string group = group_name(info.st_gid);
    denial.advice =
        "members of the group " + group + " may use it: run " +
        (debian ? "sudo adduser " + name + ' ' + group : "sudo usermod -aG " + group + ' ' + name) +
        ", and log in again";
  }
  return denial;
}

int AgentClient::refuse(std::string why, int code) {
  complaint_ = std::move(why);
  return complaints_ == Complaints::kept ? code : complain(complaint_, static_cast<Exit>(code));
}

int AgentClient::complain_of_no_agent(const std::string& reason) {
  if (reason.empty() && !closed_.empty()) return refuse(denial().to_string(), kNotPermitted);
  if (sockets_.empty() && !passed_over_.empty())
    return refuse("no other agent is running; " + passed_over_, kNoAgent);
  if (sockets_.empty())
    return refuse("no agent is running; start one with: outrider agent", kNoAgent);
  const std::string& socket = sockets_.front();
  const std::string prefix = to_string(UnixPath{socket}) + ": ";
  std::string why = reason;
  if (why.starts_with(prefix)) why.erase(0, prefix.size());
  if (::access(socket.c_str(), F_OK) != 0) why = std::strerror(errno);
  return refuse("no agent answers on " + socket + ": " + why, kNoAgent);
}

Result<Answer, int> AgentClient::ask(const std::string& method, const std::string& target,
                                     const std::string& body) {
  if (!wrong_.empty()) return failure(refuse(wrong_, kUsage));
  std::string reason;
  std::optional<Answer> not_found;
  for (const std::string& socket : sockets_) {
    Machine machine;
    http::ClientRequest request;
    request.to = UnixPath{socket};
    request.host = "agent";
    request.method = method;
    request.target = target;
    request.body = body;
    // A suspended agent holds its socket and never answers; another one knows the same. A change
    // is not sent twice.
    const bool another = method == "GET" && socket != sockets_.back();
    request.timeout = another ? kOtherAgentAfter : kAgentAfter;
    request.body_bytes_max = kAnswerBytesMax;
    std::optional<Result<http::Response, http::ClientError>> result;
    const auto pending = http::fetch(machine.env, std::move(request), [&](auto response) {
      result.emplace(std::move(response));
      machine.loop.stop();
    });
    machine.loop.run();
    // Of the agents of a host, one has the registration that is to be changed.
    if (*result && (*result)->status == 404 && method != "GET") {
      if (!not_found) not_found = Answer{404, std::move((*result)->body)};
      continue;
    }
    if (*result) return Answer{(*result)->status, std::move((*result)->body)};
    if (result->error().network == NetError::denied) {
      closed_.push_back(socket);
      continue;
    }
    reason = result->error().text;
    // A stale socket file says nothing about the next one.
    const http::ClientError::Kind kind = result->error().kind;
    if (kind == http::ClientError::Kind::timeout && another) continue;
    if (kind != http::ClientError::Kind::network) break;
  }
  if (not_found) return std::move(*not_found);
  return failure(complain_of_no_agent(reason));
}

int AgentClient::stream(const std::string& target, const OnEvent& on_event,
                        const StreamOptions& options) {
  if (!wrong_.empty()) return complain(wrong_, kUsage);
  std::string reason;
  for (const std::string& socket : sockets_) {
    Machine machine;
    std::unique_ptr<EventReader> reader;
    bool interrupted = false, silent = false, ended = false, over = false;
    const auto interrupt = machine.loop.watch_signal(SIGINT, [&] {
      interrupted = true;
      machine.loop.stop();
    });
    // A suspended agent holds its socket and never answers.
    const bool another = socket != sockets_.back();
    const Timer patience = machine.env.after(another ? kOtherAgentAfter : kAgentAfter, [&] {
      silent = reader == nullptr || !reader->has_begun();
      if (silent) machine.loop.stop();
    });
    Timer limit;
    if (options.limit != Duration::zero())
      limit = machine.env.after(options.limit, [&] {
        over = true;
        machine.loop.stop();
      });
    const auto input = watch_input(machine, options, ended);
    ConnectOptions where;
    where.to = UnixPath{socket};
    const auto connecting = machine.env.network.connect(where, [&](auto stream) {
      if (!stream) {
        if (stream.error() == NetError::denied)
          closed_.push_back(socket);
        else
          reason = to_string(stream.error());
        return machine.loop.stop();
      }
      reader = std::make_unique<EventReader>(machine, std::move(*stream), on_event);
      reader->send(http::write_request("GET", target, "agent", {}, {}, false));
    });
    machine.loop.run();
    if (ended) return kDone;
    if (silent)
      reason = "no answer in " + format_duration(another ? kOtherAgentAfter : kAgentAfter);
    if (silent) continue;
    if (over && reader != nullptr && reader->has_begun()) return kFailed;
    if (over)
      return complain("no answer from the agent in " + format_duration(options.limit), kFailed);
    if (reader != nullptr) return reader->exit_code();
    if (interrupted) return kFailed;
  }
  return complain_of_no_agent(reason);
}

Result<std::string, int> get_url(const http::Url& url) {
  const auto address = IpAddress::parse(url.host == "localhost" ? "127.0.0.1" : url.host);
  if (url.scheme != "http" || !address)
    return failure(complain(
        url.to_string() + ": expected http:// with a literal address or localhost", kUsage));
  Machine machine;
  http::ClientRequest request;
  request.to = Endpoint{*address, url.port};
  request.reach = Reach::any_host;
  request.target = url.path;
  request.headers = {{"Accept", "application/json"}};
  Result<std::string, int> outcome = failure(static_cast<int>(kFailed));
  const auto pending = http::fetch(machine.env, std::move(request), [&](auto result) {
    if (result && result->status == 200) {
      outcome = std::move(result->body);
    } else {
      const std::string reason =
          result ? "HTTP " + std::to_string(result->status) : result.error().text;
      outcome = failure(complain(url.to_string() + ": " + reason, kFailed));
    }
    machine.loop.stop();
  });
  machine.loop.run();
  return outcome;
}

}  // namespace outrider::cli
