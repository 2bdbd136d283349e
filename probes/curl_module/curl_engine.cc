// SPDX-License-Identifier: Apache-2.0
// https and gRPC probes over libcurl's multi interface, driven by our loop: libcurl names the
// sockets to watch and the time to call it, FdWatch and TimerQueue do so. No thread, no name lookup
// (targets are literals), no proxy, no redirect, and only the requested protocol.
//
//   CurlProber::start ▸ CurlRun (one easy handle) ▸ CurlMulti (sockets, timer, completed runs) ▸
//   CurlRun::on_done ▸ judge
#include <algorithm>
#include <array>
#include <cerrno>
#include <unordered_map>
#include <utility>

#include <curl/curl.h>

#include "probes/curl_loader.h"
#include "probes/curl_module/grpc_health.h"
#include "probes/http_probe.h"

namespace outrider::probes {
namespace {

/// Limit of idle connections, kept for checks with `reuse`.
constexpr long kConnectionsKept = 64;
constexpr long kReadBufferBytes = 4'096;
constexpr std::size_t kHeaderBytesMax = http::kHeadBytesMax;

class CurlRun;

/// The multi handle and its wiring. Outlives the runs.
class CurlMulti {
 public:
  explicit CurlMulti(Env& env) : env_(env), multi_(curl_multi_init()) {
    if (multi_ == nullptr) return;
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionsKept);
  }
  ~CurlMulti() {
    *alive_ = false;
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }
  CurlMulti(const CurlMulti&) = delete;

  bool good() const { return multi_ != nullptr; }
  Env& env() { return env_; }
  bool add(CURL* easy) { return curl_multi_add_handle(multi_, easy) == CURLM_OK; }
  void remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

 private:
  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    return static_cast<CurlMulti*>(self)->watch(fd, what) ? 0 : -1;
  }
  static int on_timer(CURLM*, long milliseconds, void* self) {
    static_cast<CurlMulti*>(self)->arm(milliseconds);
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

bool CurlMulti::watch(curl_socket_t fd, int what) {
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

void CurlMulti::arm(long milliseconds) {
  timer_.reset();
  if (milliseconds < 0) return;
  timer_ =
      env_.after(std::chrono::milliseconds(milliseconds), [this] { act(CURL_SOCKET_TIMEOUT, 0); });
}

void tell_done(CurlRun& run, CURLcode code);

void CurlMulti::act(curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, events, &running);
  const std::shared_ptr<bool> still = alive_;
  int left = 0;
  while (*still) {  // a callback may destroy any run, and this
    const CURLMsg* message = curl_multi_info_read(multi_, &left);
    if (message == nullptr) return;
    if (message->msg != CURLMSG_DONE) continue;
    CurlRun* run = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &run);
    tell_done(*run, message->data.result);
  }
}

/// What all runs of a check share, in the form that libcurl takes.
struct Recipe {
  Recipe() = default;
  Recipe(const Recipe&) = delete;
  ~Recipe() { curl_slist_free_all(headers); }

  void add_header(const std::string& line) { headers = curl_slist_append(headers, line.c_str()); }

  std::string url;
  std::string connect_to;   // empty: the address in the URL
  std::string socket_path;  // a leading '@': abstract
  std::string method;
  std::string body;
  curl_slist* headers = nullptr;
  bool grpc = false;
  bool reuse = false;
  TlsOptions tls;
  HttpExpectation expected;
};

class CurlRun final : public Probe {
 public:
  CurlRun(CurlMulti& multi, const Recipe& recipe, Duration timeout, OutcomeCallback callback);
  ~CurlRun() override;

  void on_done(CURLcode code);

 private:
  void set_common(Duration timeout);
  void set_request();
  void set_tls();
  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(easy_, option, value);
  }
  static std::size_t on_header(const char* at, std::size_t, std::size_t count, void* self) {
    return static_cast<CurlRun*>(self)->take_header({at, count}) ? count : 0;
  }
  static std::size_t on_body(const char* at, std::size_t, std::size_t count, void* self) {
    return static_cast<CurlRun*>(self)->take_body({at, count}) ? count : 0;
  }
  bool take_header(std::string_view line);
  bool take_body(std::string_view part);

  Outcome judge_done();
  Outcome failed(CURLcode code);
  void finish(Outcome outcome);

  CurlMulti& multi_;
  const Recipe& recipe_;
  OutcomeCallback callback_;
  TimePoint started_;
  Timer timeout_;
  CURL* easy_;
  curl_slist* connect_to_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  http::Response response_;
  std::size_t header_bytes_ = 0;
};

void tell_done(CurlRun& run, CURLcode code) {
  run.on_done(code);
}

CurlRun::CurlRun(CurlMulti& multi, const Recipe& recipe, Duration timeout, OutcomeCallback callback)
    : multi_(multi),
      recipe_(recipe),
      callback_(std::move(callback)),
      started_(multi.env().now()),
      timeout_(multi.env().after(
          timeout,
          [this] {
            const bool head = response_.status != 0;
            finish({.kind = OutcomeKind::fail_timeout,
                    .output = head ? "timeout: the answer was not whole" : "timeout: no answer"});
          })),
      easy_(curl_easy_init()) {
  if (easy_ != nullptr) {
    set_common(timeout);
    set_request();
    set_tls();
    if (multi_.add(easy_)) return;
  }
  timeout_ = multi.env().after(Duration::zero(), [this] {
    finish({.kind = OutcomeKind::not_probed, .output = "libcurl has no handle left"});
  });
}

CurlRun::~CurlRun() {
  if (easy_ != nullptr) {
    multi_.remove(easy_);
    // Each run has its own handle: a kept handle costs 5 kB.
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(connect_to_);
}

void CurlRun::set_common(Duration timeout) {
  const long ms = std::max<long>(1, static_cast<long>(timeout / std::chrono::milliseconds(1)));
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_URL, recipe_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, recipe_.tls.on ? "https" : "http");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_MAXREDIRS, 0L);
  set(CURLOPT_PROXY, "");  // whatever http_proxy says
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_BUFFERSIZE, kReadBufferBytes);
  // Our own timer fires first; these are a safety net.
  set(CURLOPT_CONNECTTIMEOUT_MS, ms + 1'000);
  set(CURLOPT_TIMEOUT_MS, ms + 2'000);
  // Otherwise libcurl 7.88 walks its whole host cache on each transfer. Literals do not age.
  set(CURLOPT_DNS_CACHE_TIMEOUT, -1L);
  if (!recipe_.reuse) {
    set(CURLOPT_FRESH_CONNECT, 1L);
    // libcurl 7.88 also fails the second request on a kept h2c connection.
    set(CURLOPT_FORBID_REUSE, 1L);
  }
  if (!recipe_.connect_to.empty()) {
    connect_to_ = curl_slist_append(nullptr, recipe_.connect_to.c_str());
    set(CURLOPT_CONNECT_TO, connect_to_);
  }
  if (recipe_.socket_path.starts_with('@'))
    set(CURLOPT_ABSTRACT_UNIX_SOCKET, recipe_.socket_path.c_str() + 1);
  else if (!recipe_.socket_path.empty())
    set(CURLOPT_UNIX_SOCKET_PATH, recipe_.socket_path.c_str());
}

void CurlRun::set_request() {
  set(CURLOPT_HTTPHEADER, recipe_.headers);
  set(CURLOPT_HEADERFUNCTION, &CurlRun::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &CurlRun::on_body);
  set(CURLOPT_WRITEDATA, this);
  if (recipe_.grpc)
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
  else
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  if (recipe_.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (!recipe_.body.empty()) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(recipe_.body.size()));
    set(CURLOPT_POSTFIELDS, recipe_.body.data());
  }
  if (recipe_.method != "GET" && recipe_.method != "HEAD" && !recipe_.grpc)
    set(CURLOPT_CUSTOMREQUEST, recipe_.method.c_str());
}

void CurlRun::set_tls() {
  const TlsOptions& tls = recipe_.tls;
  if (!tls.on) return;
  set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca_file.empty()) {
    set(CURLOPT_CAINFO, tls.ca_file.c_str());
    set(CURLOPT_CAPATH, nullptr);  // trust these authorities only
  }
  if (!tls.cert_file.empty()) {
    set(CURLOPT_SSLCERT, tls.cert_file.c_str());
    const std::string& key = tls.key_file.empty() ? tls.cert_file : tls.key_file;
    set(CURLOPT_SSLKEY, key.c_str());
  }
}

/// For status lines, headers and trailers; a status line starts a new answer (after a 1xx).
bool CurlRun::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) return false;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' '))
    line.remove_suffix(1);
  if (line.empty()) return true;
  if (line.starts_with("HTTP/")) {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    response_.status = static_cast<int>(status);
    response_.headers.fields.clear();
    return true;
  }
  if (response_.headers.fields.size() >= http::kHeadersMax) return false;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t'))
    value.remove_prefix(1);
  response_.headers.fields.emplace_back(line.substr(0, colon), value);
  return true;
}

bool CurlRun::take_body(std::string_view part) {
  const std::size_t room = kOutputBytesMax - response_.body.size();
  response_.body.append(part.substr(0, room));
  response_.body_cut = part.size() > room;
  return !response_.body_cut;  // false stops the transfer: CURLE_WRITE_ERROR
}

void CurlRun::on_done(CURLcode code) {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  const bool answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && response_.body_cut);
  finish(answered ? judge_done() : failed(code));
}

Outcome CurlRun::judge_done() {
  if (!recipe_.grpc) return judge(response_, recipe_.expected);
  std::optional<std::string_view> grpc_status;
  if (response_.headers.has("grpc-status")) grpc_status = response_.headers.get("grpc-status");
  return judge_grpc(response_.status, grpc_status, response_.headers.get("grpc-message"),
                    as_bytes(response_.body));
}

OutcomeKind kind_of(CURLcode code, long os_error, std::string_view text) {
  if (code == CURLE_OUT_OF_MEMORY || os_error == EMFILE || os_error == ENFILE ||
      os_error == ENOBUFS || os_error == ENOMEM)
    return OutcomeKind::not_probed;
  switch (static_cast<int>(code)) {
    case CURLE_OPERATION_TIMEDOUT:
      return OutcomeKind::fail_timeout;
    case CURLE_COULDNT_CONNECT:
      if (os_error == ECONNREFUSED) return OutcomeKind::fail_refused;
      if (os_error == ECONNRESET) return OutcomeKind::fail_reset;
      return OutcomeKind::fail_unreachable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
      return os_error == ECONNRESET ? OutcomeKind::fail_reset : OutcomeKind::fail_tls;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      // In TLS 1.3 a server refuses a client certificate after the handshake.
      if (text.find("alert") != std::string_view::npos) return OutcomeKind::fail_tls;
      if (os_error == ECONNRESET || text.find("reset") != std::string_view::npos)
        return OutcomeKind::fail_reset;
      return OutcomeKind::fail_protocol;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WRITE_ERROR:
      return OutcomeKind::fail_protocol;
    default:  // of libcurl's numbers, which grow with its versions
      return OutcomeKind::fail_other;
  }
}

Outcome CurlRun::failed(CURLcode code) {
  long os_error = 0;
  curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_error);
  const std::string text = error_[0] != 0 ? error_.data() : curl_easy_strerror(code);
  return {.kind = kind_of(code, os_error, text), .status = response_.status, .output = text};
}

void CurlRun::finish(Outcome outcome) {
  timeout_.reset();
  outcome.at = multi_.env().now();
  outcome.latency = outcome.at - started_;
  if (outcome.output.size() > kOutputBytesMax) outcome.output.resize(kOutputBytesMax);
  OutcomeCallback callback = std::move(callback_);
  callback(std::move(outcome));  // may destroy this
}

class CurlProber final : public Prober {
 public:
  CurlProber(CurlMulti& multi, std::unique_ptr<Recipe> recipe)
      : multi_(multi), recipe_(std::move(recipe)) {}
  std::unique_ptr<Probe> start(Env&, Duration timeout, OutcomeCallback callback) override {
    return std::make_unique<CurlRun>(multi_, *recipe_, timeout, std::move(callback));
  }

 private:
  CurlMulti& multi_;
  std::unique_ptr<Recipe> recipe_;
};

/// "name:443" or "[::1]:443" without the port.
std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && host.find(']', colon) == std::string::npos &&
                        (host.starts_with('[') || host.find(':') == colon);
  return has_port ? host.substr(0, colon) : host;
}

/// `name` is used for SNI and to verify the certificate; empty: the address itself.
void aim(Recipe& recipe, const StreamAddress& target, const std::string& name,
         const std::string& path) {
  const std::string scheme = recipe.tls.on ? "https://" : "http://";
  if (const auto* socket = std::get_if<UnixPath>(&target)) {
    recipe.socket_path = socket->path;
    recipe.url = scheme + (name.empty() ? "localhost" : name) + path;
    return;
  }
  const Endpoint& endpoint = std::get<Endpoint>(target);
  if (name.empty()) {
    recipe.url = scheme + endpoint.to_string() + path;
    return;
  }
  recipe.url = scheme + name + ":" + std::to_string(endpoint.port) + path;
  recipe.connect_to = "::" + endpoint.to_string();
}

class Engine final : public CurlEngine {
 public:
  explicit Engine(Env& env) : multi_(env) {}
  bool good() const { return multi_.good(); }

  std::unique_ptr<Prober> make_http(const HttpCheck& check) override {
    auto recipe = std::make_unique<Recipe>();
    const HttpOptions& options = check.options;
    recipe->method = options.method;
    recipe->body = options.body;
    recipe->tls = check.tls;
    recipe->reuse = options.reuse;
    recipe->expected = options.expect;
    const bool named = !check.tls.server_name.empty();
    aim(*recipe, check.target, named ? check.tls.server_name : without_port(options.host),
        check.path);
    recipe->add_header("Host: " + host_of(check));
    const http::Headers given{options.headers};
    if (!given.has("User-Agent")) recipe->add_header("User-Agent: outrider/" OUTRIDER_VERSION);
    if (!options.reuse) recipe->add_header("Connection: close");
    recipe->add_header("Expect:");  // never wait for 100 Continue
    for (const auto& [name, value] : options.headers) {
      const http::Headers one{{{name, value}}};
      if (one.has("Host") || one.has("Connection") || one.has("Content-Length")) continue;
      recipe->add_header(value.empty() ? name + ";" : name + ": " + value);
    }
    return std::make_unique<CurlProber>(multi_, std::move(recipe));
  }

  std::unique_ptr<Prober> make_grpc(const GrpcCheck& check) override {
    auto recipe = std::make_unique<Recipe>();
    recipe->grpc = true;
    recipe->method = "POST";
    recipe->body = grpc_health_request(check.service);
    recipe->tls = check.tls;
    aim(*recipe, check.target, check.tls.server_name, "/grpc.health.v1.Health/Check");
    recipe->add_header("Content-Type: application/grpc");
    recipe->add_header("TE: trailers");
    recipe->add_header("User-Agent: outrider/" OUTRIDER_VERSION);
    recipe->add_header("Accept:");
    recipe->add_header("Expect:");
    return std::make_unique<CurlProber>(multi_, std::move(recipe));
  }

 private:
  CurlMulti multi_;
};

CurlEngine* make_engine(Env& env) {
  static const bool kStarted = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  if (!kStarted) return nullptr;
  auto engine = std::make_unique<Engine>(env);
  return engine->good() ? engine.release() : nullptr;
}

}  // namespace
}  // namespace outrider::probes

extern "C" {
[[gnu::visibility("default")]] extern const outrider::probes::CurlModule outrider_probe_curl;
const outrider::probes::CurlModule outrider_probe_curl{{outrider::kModuleBuild},
                                                       &outrider::probes::make_engine};
}
