// SPDX-License-Identifier: Apache-2.0
// One HTTP request over libcurl: no name lookup (targets are literals), no redirect, and only the
// requested protocol.
//
//   CurlTransfer::start ▸ Run (one easy handle) ▸ Multi ▸ Run::on_done ▸ Answer
#include "base/curl/module/transfer.h"

#include <algorithm>
#include <array>

#include "base/curl/module/multi.h"
#include "base/curl/module/tls_settings.h"

namespace outrider::curl {
namespace {

/// Limit of idle connections, kept for requests with `reuse`.
constexpr long kConnectionsKept = 64;
constexpr long kReadBufferBytes = 4'096;

/// What all runs of a request share, in the form that libcurl takes.
struct Recipe {
  explicit Recipe(Request given)
      : request(std::move(given)),
        way(aim(request.tls.on, request.to, request.name, request.target)) {
    for (const std::string& line : request.headers)
      headers = curl_slist_append(headers, line.c_str());
  }
  Recipe(const Recipe&) = delete;
  ~Recipe() { curl_slist_free_all(headers); }

  const Request request;
  const Aim way;
  curl_slist* headers = nullptr;
};

class Run final : public Pending, private Work {
 public:
  Run(Multi& multi, const Recipe& recipe, Duration timeout, Callback<void(Answer)> callback);
  ~Run() override;

 private:
  void set_common(Duration timeout);
  void set_request();
  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(easy_, option, value);
  }
  static std::size_t on_header(const char* at, std::size_t, std::size_t count, void* self) {
    return static_cast<Run*>(self)->take_header({at, count}) ? count : 0;
  }
  static std::size_t on_body(const char* at, std::size_t, std::size_t count, void* self) {
    return static_cast<Run*>(self)->take_body({at, count}) ? count : 0;
  }
  bool take_header(std::string_view line);
  bool take_body(std::string_view part);
  int status() const;

  void on_done(CURLcode code) override;
  void finish(std::optional<Failure> failure);

  Multi& multi_;
  const Recipe& recipe_;
  Callback<void(Answer)> callback_;
  Timer timeout_;
  CURL* easy_;
  curl_slist* connect_to_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  Answer answer_;
  std::size_t head_bytes_ = 0;
};

Run::Run(Multi& multi, const Recipe& recipe, Duration timeout, Callback<void(Answer)> callback)
    : multi_(multi),
      recipe_(recipe),
      callback_(std::move(callback)),
      timeout_(multi.env().after(timeout,
                                 [this] {
                                   finish(Failure{Failure::Kind::timeout,
                                                  answer_.status != 0
                                                      ? "timeout: the answer was not whole"
                                                      : "timeout: no answer"});
                                 })),
      easy_(curl_easy_init()) {
  if (easy_ != nullptr) {
    set_common(timeout);
    set_request();
    if (recipe_.request.tls.on) set_tls(easy_, recipe_.request.tls);
    if (multi_.add(easy_)) return;
  }
  timeout_ = multi.env().after(Duration::zero(), [this] {
    finish(Failure{Failure::Kind::no_resources, "libcurl has no handle left"});
  });
}

Run::~Run() {
  if (easy_ != nullptr) {
    multi_.remove(easy_);
    // Each run has its own handle: a kept handle costs 5 kB.
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(connect_to_);
}

void Run::set_common(Duration timeout) {
  const Aim& way = recipe_.way;
  const long ms = std::max<long>(1, static_cast<long>(timeout / std::chrono::milliseconds(1)));
  set(CURLOPT_PRIVATE, static_cast<Work*>(this));
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_URL, way.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, recipe_.request.tls.on ? "https" : "http");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_MAXREDIRS, 0L);
  set_privacy(easy_);
  set(CURLOPT_BUFFERSIZE, kReadBufferBytes);
  // Our own timer fires first; these are a safety net.
  set(CURLOPT_CONNECTTIMEOUT_MS, ms + 1'000);
  set(CURLOPT_TIMEOUT_MS, ms + 2'000);
  if (!recipe_.request.reuse) {
    set(CURLOPT_FRESH_CONNECT, 1L);
    // libcurl 7.88 also fails the second request on a kept h2c connection.
    set(CURLOPT_FORBID_REUSE, 1L);
  }
  if (!way.connect_to.empty()) {
    connect_to_ = curl_slist_append(nullptr, way.connect_to.c_str());
    set(CURLOPT_CONNECT_TO, connect_to_);
  }
  if (way.socket_path.starts_with('@'))
    set(CURLOPT_ABSTRACT_UNIX_SOCKET, way.socket_path.c_str() + 1);
  else if (!way.socket_path.empty())
    set(CURLOPT_UNIX_SOCKET_PATH, way.socket_path.c_str());
}

void Run::set_request() {
  const Request& request = recipe_.request;
  set(CURLOPT_HTTPHEADER, recipe_.headers);
  set(CURLOPT_HEADERFUNCTION, &Run::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Run::on_body);
  set(CURLOPT_WRITEDATA, this);
  if (request.http2)
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
  else
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (!request.body.empty()) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.data());
  }
  if (request.method != "GET" && request.method != "HEAD" && !request.http2)
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

int Run::status() const {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

/// For status lines, headers and trailers; a status line starts a new answer (after a 1xx).
bool Run::take_header(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > recipe_.request.head_bytes_max) return false;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' '))
    line.remove_suffix(1);
  if (line.empty()) return true;
  if (line.starts_with("HTTP/")) {
    answer_.status = status();
    answer_.headers.clear();
    return true;
  }
  if (answer_.headers.size() >= recipe_.request.headers_max) return false;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t'))
    value.remove_prefix(1);
  answer_.headers.emplace_back(line.substr(0, colon), value);
  return true;
}

bool Run::take_body(std::string_view part) {
  const std::size_t room = recipe_.request.body_bytes_max - answer_.body.size();
  answer_.body.append(part.substr(0, room));
  answer_.body_cut = part.size() > room;
  return !answer_.body_cut;  // false stops the transfer: CURLE_WRITE_ERROR
}

void Run::on_done(CURLcode code) {
  answer_.status = status();
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && answer_.body_cut))
    return finish(std::nullopt);
  finish(failure_of(easy_, code, error_.data()));
}

void Run::finish(std::optional<Failure> failure) {
  timeout_.reset();
  answer_.failure = std::move(failure);
  Callback<void(Answer)> callback = std::move(callback_);
  callback(std::move(answer_));  // may destroy this
}

class CurlTransfer final : public Transfer {
 public:
  CurlTransfer(Multi& multi, Request request) : multi_(multi), recipe_(std::move(request)) {}
  std::unique_ptr<Pending> start(Duration timeout, Callback<void(Answer)> callback) override {
    return std::make_unique<Run>(multi_, recipe_, timeout, std::move(callback));
  }

 private:
  Multi& multi_;
  const Recipe recipe_;
};

class LibCurl final : public Curl {
 public:
  explicit LibCurl(Env& env) : multi_(env, kConnectionsKept) {}
  bool good() const { return multi_.good(); }
  std::unique_ptr<Transfer> make_transfer(Request request) override {
    return std::make_unique<CurlTransfer>(multi_, std::move(request));
  }

 private:
  Multi multi_;
};

}  // namespace

std::unique_ptr<Curl> make_curl(Env& env) {
  auto made = std::make_unique<LibCurl>(env);
  if (!made->good()) return nullptr;
  return made;
}

}  // namespace outrider::curl
