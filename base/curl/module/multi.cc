// SPDX-License-Identifier: Apache-2.0
#include "base/curl/module/multi.h"

namespace outrider::curl {

Multi::Multi(Env& env, long connections_kept) : env_(env), multi_(curl_multi_init()) {
  if (multi_ == nullptr) return;
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections_kept);
}

Multi::~Multi() {
  *alive_ = false;
  if (multi_ != nullptr) curl_multi_cleanup(multi_);
}

bool Multi::watch(curl_socket_t fd, int what) {
  if (what == CURL_POLL_REMOVE) {
    watches_.erase(fd);
    return true;
  }
  const FdEvents interest{.readable = (what & CURL_POLL_IN) != 0,
                          .writable = (what & CURL_POLL_OUT) != 0};
  if (const auto at = watches_.find(fd); at != watches_.end()) {
    at->second->set(interest);
    return true;
  }
  auto made = env_.network.watch_fd(fd, interest, [this, fd](FdEvents events) {
    act(fd, (events.readable ? CURL_CSELECT_IN : 0) | (events.writable ? CURL_CSELECT_OUT : 0));
  });
  if (!made) return false;
  watches_.emplace(fd, std::move(*made));
  return true;
}

void Multi::arm(long milliseconds) {
  timer_.reset();
  if (milliseconds < 0) return;
  timer_ =
      env_.after(std::chrono::milliseconds(milliseconds), [this] { act(CURL_SOCKET_TIMEOUT, 0); });
}

void Multi::act(curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, events, &running);
  const std::shared_ptr<bool> still = alive_;
  int left = 0;
  while (*still) {  // a callback may destroy any work, and this
    const CURLMsg* message = curl_multi_info_read(multi_, &left);
    if (message == nullptr) return;
    if (message->msg != CURLMSG_DONE) continue;
    Work* work = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &work);
    work->on_done(message->data.result);
  }
}

Aim aim(bool tls, const StreamAddress& to, const std::string& name, const std::string& target) {
  Aim made;
  const std::string scheme = tls ? "https://" : "http://";
  if (const auto* socket = std::get_if<UnixPath>(&to)) {
    made.socket_path = socket->path;
    made.url = scheme + (name.empty() ? "localhost" : name) + target;
    return made;
  }
  const Endpoint& endpoint = std::get<Endpoint>(to);
  if (name.empty()) {
    made.url = scheme + endpoint.to_string() + target;
    return made;
  }
  made.url = scheme + name + ":" + std::to_string(endpoint.port) + target;
  made.connect_to = "::" + endpoint.to_string();
  return made;
}

}  // namespace outrider::curl
