// SPDX-License-Identifier: Apache-2.0
// libcurl's multi handle, driven by our loop: libcurl names the sockets to watch and the time to
// call it, FdWatch and TimerQueue do so. No thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include <curl/curl.h>

#include "base/env.h"

namespace outrider::curl {

/// What an easy handle works for; its CURLOPT_PRIVATE.
class Work {
 public:
  /// libcurl has finished. May destroy this, and the Multi.
  virtual void on_done(CURLcode code) = 0;

 protected:
  ~Work() = default;
};

/// Outlives the easy handles that are in it.
class Multi {
 public:
  /// `connections_kept`: idle ones, at most.
  Multi(Env& env, long connections_kept);
  ~Multi();
  Multi(const Multi&) = delete;

  bool good() const { return multi_ != nullptr; }
  Env& env() { return env_; }
  bool add(CURL* easy) { return curl_multi_add_handle(multi_, easy) == CURLM_OK; }
  void remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

 private:
  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    return static_cast<Multi*>(self)->watch(fd, what) ? 0 : -1;
  }
  static int on_timer(CURLM*, long milliseconds, void* self) {
    static_cast<Multi*>(self)->arm(milliseconds);
    return 0;
  }
  bool watch(curl_socket_t fd, int what);
  void arm(long milliseconds);
  void act(curl_socket_t fd, int events);

  Env& env_;
  CURLM* multi_;
  Timer timer_;
  std::unordered_map<curl_socket_t, std::unique_ptr<FdWatch>> watches_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// The URL of a server that libcurl shall find at `to` and nowhere else: `name` is used for SNI and
/// verification; empty: the address itself.
struct Aim {
  std::string url;
  std::string connect_to;   // for CURLOPT_CONNECT_TO; empty: the address in the URL
  std::string socket_path;  // a leading '@': abstract
};
Aim aim(bool tls, const StreamAddress& to, const std::string& name, const std::string& target);

}  // namespace outrider::curl
