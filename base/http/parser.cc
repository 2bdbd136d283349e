// SPDX-License-Identifier: Apache-2.0
// The one place that knows the parser library: llhttp where the distribution has it, else
// http_parser 2.9. Both let through what RFC 9112 forbids, so every byte of framing first passes
// HeadScanner, and what the library reports is judged again in judge_request.
#include "base/http/parser.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#ifdef OUTRIDER_HAVE_LLHTTP
#include <llhttp.h>
#else
#include <http_parser.h>
#endif

#include "base/http/framing.h"
#include "base/text.h"

namespace outrider::http {
namespace {

// --- The library behind one face --------------------------------------------------------------

#ifdef OUTRIDER_HAVE_LLHTTP
using Parser = llhttp_t;
using Callbacks = llhttp_settings_t;
constexpr int kPause = HPE_PAUSED;
constexpr int kSkipBody = 1;

void start_parser(Parser& parser, bool request, const Callbacks& callbacks) {
  llhttp_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &callbacks);
}
std::size_t run_parser(Parser& parser, const Callbacks&, Bytes bytes) {
  const char* data = as_text(bytes).data();
  if (llhttp_execute(&parser, data, bytes.size()) == HPE_OK) return bytes.size();
  return static_cast<std::size_t>(llhttp_get_error_pos(&parser) - data);
}
void end_parser(Parser& parser, const Callbacks&) {
  llhttp_finish(&parser);
}
int code_of(const Parser& parser) {
  return llhttp_get_errno(&parser);
}
const char* method_of(const Parser& parser) {
  return llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
}
bool keeps_alive(const Parser& parser) {
  return llhttp_should_keep_alive(&parser) != 0;
}
bool runs_to_end(const Parser& parser) {
  return llhttp_message_needs_eof(&parser) != 0;
}
bool is_head_overflow(int) {
  return false;
}
#else
using Parser = http_parser;
using Callbacks = http_parser_settings;
constexpr int kPause = 0;  // on_message_complete pauses through the parser instead
constexpr int kSkipBody = 1;

void start_parser(Parser& parser, bool request, const Callbacks&) {
  void* owner = parser.data;
  http_parser_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE);
  parser.data = owner;
}
std::size_t run_parser(Parser& parser, const Callbacks& callbacks, Bytes bytes) {
  return http_parser_execute(&parser, &callbacks, as_text(bytes).data(), bytes.size());
}
void end_parser(Parser& parser, const Callbacks& callbacks) {
  http_parser_execute(&parser, &callbacks, nullptr, 0);
}
int code_of(const Parser& parser) {
  return static_cast<int>(parser.http_errno);
}
const char* method_of(const Parser& parser) {
  return http_method_str(static_cast<http_method>(parser.method));
}
bool keeps_alive(const Parser& parser) {
  return http_should_keep_alive(&parser) != 0;
}
bool runs_to_end(const Parser& parser) {
  // RFC 9112 §6.3: neither length nor chunks, and a status that may have a body.
  return parser.type == HTTP_RESPONSE && (parser.flags & (F_CHUNKED | F_CONTENTLENGTH)) == 0;
}
bool is_head_overflow(int code) {
  return code == HPE_HEADER_OVERFLOW;
}
#endif

void trim_end(std::string& text) {
  const std::size_t last = text.find_last_not_of(" \t");
  text.resize(last == std::string::npos ? 0 : last + 1);
}

// --- One message ------------------------------------------------------------------------------

struct Limits {
  std::size_t body;
  bool cut_body;           // a longer body is cut, not refused
  bool skip_body;          // the answer to HEAD
  bool head_only = false;  // of a request: what follows its head is not ours to judge
};

class Message {
 public:
  Message(bool request, Limits limits) : request_(request), limits_(limits), scanner_(request) {
    parser_.data = this;
    start_parser(parser_, request_, callbacks());
    parser_.data = this;
  }
  Message(const Message&) = delete;

  Result<std::size_t, Error> feed(Bytes bytes);
  Result<void, Error> finish();

  bool complete() const { return complete_; }
  bool head_complete() const { return head_complete_; }
  bool in_message() const { return scanner_.started() && !complete_; }
  bool awaits_continue() const {
    return head_complete_ && !complete_ && body.empty() && parser_.http_minor == 1 &&
           equal_fold(headers.get("Expect"), "100-continue");
  }
  void reset();

  // What was read so far.
  std::string start_text;  // target of a request, reason of a response
  Headers headers;
  std::string body;
  bool body_cut = false;
  bool keep_alive = false;
  int status() const { return static_cast<int>(parser_.status_code); }
  std::string method() const { return method_of(parser_); }
  std::size_t head_bytes() const { return head_bytes_; }

 private:
  static const Callbacks& callbacks();
  static Message& of(Parser* parser) { return *static_cast<Message*>(parser->data); }

  Result<std::size_t, Error> feed_head(Bytes bytes);
  Result<std::size_t, Error> feed_body(Bytes bytes);
  std::optional<Error> parser_error(Bytes bytes, std::size_t taken) const;
  bool scan_framing(Bytes framing);
  Error stop(Error error) {
    error_ = error;
    return error;
  }

  int on_start_text(const char* at, std::size_t length) {
    start_text.append(at, length);
    return 0;
  }
  int on_name(const char* at, std::size_t length);
  int on_value(const char* at, std::size_t length);
  int on_head();
  int on_body(const char* at, std::size_t length);
  int on_complete();
  std::optional<Error> judge_request() const;
  std::optional<Error> judge_response() const;

  bool request_;
  Limits limits_;
  HeadScanner scanner_;
  LineEnds line_ends_;   // of a response
  ChunkScanner chunks_;  // of a request
  Parser parser_{};
  std::optional<Error> error_;
  std::size_t head_bytes_ = 0;     // interim answers included
  std::size_t framing_bytes_ = 0;  // since the last byte of body
  const std::uint8_t* unscanned_ = nullptr;
  bool reading_value_ = true;
  bool head_complete_ = false;
  bool complete_ = false;
  bool interim_ = false;
};

const Callbacks& Message::callbacks() {
  static const Callbacks kCallbacks = [] {
    Callbacks c;
    std::memset(&c, 0, sizeof c);
    using P = Parser*;
    const auto text = [](P p, const char* at, std::size_t n) { return of(p).on_start_text(at, n); };
    c.on_url = text;
    c.on_status = text;
    c.on_header_field = [](P p, const char* at, std::size_t n) { return of(p).on_name(at, n); };
    c.on_header_value = [](P p, const char* at, std::size_t n) { return of(p).on_value(at, n); };
    c.on_headers_complete = [](P p) { return of(p).on_head(); };
    c.on_body = [](P p, const char* at, std::size_t n) { return of(p).on_body(at, n); };
    c.on_message_complete = [](P p) { return of(p).on_complete(); };
    return c;
  }();
  return kCallbacks;
}

void Message::reset() {
  start_text.clear();
  headers.fields.clear();
  body.clear();
  body_cut = keep_alive = false;
  scanner_ = HeadScanner(request_);
  line_ends_ = {};
  chunks_ = {};
  start_parser(parser_, request_, callbacks());
  parser_.data = this;
  error_.reset();
  head_bytes_ = framing_bytes_ = 0;
  reading_value_ = true;
  head_complete_ = complete_ = interim_ = false;
}

Result<std::size_t, Error> Message::feed(Bytes bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !complete_) {
    if (error_) return failure(*error_);
    const Bytes rest = bytes.subspan(taken);
    const Result<std::size_t, Error> step = head_complete_ ? feed_body(rest) : feed_head(rest);
    if (!step) return step;
    taken += *step;
  }
  return taken;
}

/// The scanner goes ahead, so that the library never sees a byte that it would be lax about; but
/// an error of the library in earlier bytes wins, so that errors do not depend on how bytes come.
Result<std::size_t, Error> Message::feed_head(Bytes bytes) {
  const std::size_t most = std::min(bytes.size(), kHeadBytesMax - head_bytes_);
  std::size_t clean = 0;
  auto step = HeadScanner::Step::more;
  while (clean < most && step == HeadScanner::Step::more) {
    step = scanner_.next(bytes[clean]);
    if (step != HeadScanner::Step::bad) ++clean;
  }
  const Bytes head = bytes.first(clean);
  // No bytes at all would mean the end of the connection to the library.
  const std::size_t taken = head.empty() ? 0 : run_parser(parser_, callbacks(), head);
  head_bytes_ += clean;
  if (const auto error = parser_error(head, taken)) return failure(stop(*error));
  if (step == HeadScanner::Step::bad) {
    const bool line_feed = !request_ && bytes[clean] == '\n' && scanner_.started();
    return failure(stop(line_feed ? Error::bare_line_feed : Error::malformed));
  }
  if (step == HeadScanner::Step::done) {
    if (interim_) {  // RFC 9110 §15.2: the final answer is still to come
      const std::size_t bytes_so_far = head_bytes_;
      reset();
      head_bytes_ = bytes_so_far;
    } else if (!head_complete_) {
      return failure(stop(Error::malformed));
    }
  }
  if (!head_complete_ && head_bytes_ >= kHeadBytesMax) return failure(stop(Error::head_too_long));
  return clean;
}

Result<std::size_t, Error> Message::feed_body(Bytes bytes) {
  unscanned_ = bytes.data();
  const std::size_t taken = run_parser(parser_, callbacks(), bytes);
  if (error_) return failure(*error_);
  if (body_cut) {
    complete_ = true;
    return bytes.size();
  }
  const auto error = parser_error(bytes, taken);
  const std::size_t end = error ? bytes.size() : taken;
  const auto scanned = static_cast<std::size_t>(unscanned_ - bytes.data());
  if (end > scanned && !scan_framing(bytes.subspan(scanned, end - scanned)))
    return failure(*error_);
  if (error) return failure(stop(*error));
  if (complete_ && request_ && (parser_.flags & F_CHUNKED) != 0 && !chunks_.ended())
    return failure(stop(Error::malformed));
  return taken;
}

bool Message::scan_framing(Bytes framing) {
  for (const std::uint8_t c : framing) {
    if (request_ ? !chunks_.next(c) : !line_ends_.next(c)) {
      stop(Error::malformed);
      return false;
    }
    if (++framing_bytes_ > kHeadBytesMax) {
      stop(Error::head_too_long);
      return false;
    }
  }
  return true;
}

std::optional<Error> Message::parser_error(Bytes bytes, std::size_t taken) const {
  if (error_) return error_;
  const int code = code_of(parser_);
  if (code == HPE_OK || code == HPE_PAUSED) return std::nullopt;
  if (code == HPE_INVALID_METHOD) {
    // A word that is no method of ours, or no word at all, such as a TLS greeting.
    const bool word = taken < bytes.size() && is_token_char(bytes[taken]);
    return word ? Error::method : Error::malformed;
  }
  if (code == HPE_INVALID_VERSION) return Error::version;
  return is_head_overflow(code) ? Error::head_too_long : Error::malformed;
}

int Message::on_name(const char* at, std::size_t length) {
  if (head_complete_) return 0;  // trailers are read and forgotten (RFC 9110 §6.5.1)
  if (reading_value_) {
    if (headers.fields.size() == kHeadersMax) {
      stop(Error::head_too_long);
      return -1;
    }
    headers.fields.emplace_back();
    reading_value_ = false;
  }
  headers.fields.back().first.append(at, length);
  return 0;
}

int Message::on_value(const char* at, std::size_t length) {
  if (head_complete_) return 0;
  reading_value_ = true;
  headers.fields.back().second.append(at, length);
  return 0;
}

int Message::on_head() {
  for (auto& [name, value] : headers.fields)
    trim_end(value);
  if (const auto error = request_ ? judge_request() : judge_response()) {
    stop(*error);
    return -1;
  }
  const int code = status();
  interim_ = !request_ && code < 200 && code != 101;
  head_complete_ = !interim_;
  keep_alive = keeps_alive(parser_);
  // RFC 9112 §6.3: these have no body, whatever their fields say.
  const bool bodiless = !request_ && (code == 204 || code == 304);
  return limits_.skip_body || limits_.head_only || bodiless ? kSkipBody : 0;
}

int Message::on_body(const char* at, std::size_t length) {
  const auto* start = reinterpret_cast<const std::uint8_t*>(at);
  if (!scan_framing({unscanned_, start})) return -1;
  unscanned_ = start + length;
  framing_bytes_ = 0;
  if (body.size() + length > limits_.body) {
    if (!limits_.cut_body) {
      stop(Error::body_too_long);
      return -1;
    }
    body.append(at, limits_.body - body.size());
    body_cut = true;
    keep_alive = false;
    return -1;
  }
  body.append(at, length);
  return 0;
}

int Message::on_complete() {
  if (interim_) return 0;
  complete_ = true;
  keep_alive = keep_alive && keeps_alive(parser_);
#ifndef OUTRIDER_HAVE_LLHTTP
  http_parser_pause(&parser_, 1);
#endif
  return kPause;
}

std::size_t count(const Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(headers.fields.begin(), headers.fields.end(),
                    [&](const auto& field) { return equal_fold(field.first, name); }));
}

/// RFC 9112 §3.2 and RFC 3986 §3.2.2, without user information: host, or [literal], and a port.
bool valid_host(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return byte > 0x20 && byte < 0x7f && std::strchr("/?#@\\\"<>^`{|},", c) == nullptr;
  });
}

/// RFC 9112 §3.2.1 and nothing else: a target that a proxy reads differently permits smuggling.
bool origin_form(std::string_view target) {
  return !target.empty() && target.front() == '/' &&
         std::all_of(target.begin(), target.end(), [](char c) {
           const auto byte = static_cast<std::uint8_t>(c);
           return byte > 0x20 && byte < 0x7f && c != '#';
         });
}

bool known_version(const Parser& parser) {
  return parser.http_major == 1 && parser.http_minor < 2;
}

std::optional<Error> Message::judge_request() const {
  if (!known_version(parser_)) return Error::version;
  static constexpr std::string_view kMethods[] = {"GET",    "HEAD",  "POST",   "PUT",
                                                  "DELETE", "PATCH", "OPTIONS"};
  const std::string verb = method();
  const bool served =
      std::find(std::begin(kMethods), std::end(kMethods), verb) != std::end(kMethods);
  if (limits_.head_only ? verb == "CONNECT" : !served) return Error::method;
  const bool whole_server = limits_.head_only && verb == "OPTIONS" && start_text == "*";
  if (!origin_form(start_text) && !whole_server) return Error::target;
  const std::size_t hosts = count(headers, "host");
  if (hosts > 1 || (hosts == 0 && parser_.http_minor == 1)) return Error::host;
  if (hosts == 1 && !valid_host(headers.get("host"))) return Error::host;
  const std::size_t lengths = count(headers, "content-length");
  const std::size_t codings = count(headers, "transfer-encoding");
  if (lengths + codings > 1) return Error::framing;
  if (limits_.head_only) return std::nullopt;
  if (codings == 1) {
    // RFC 9112 §6.1: HTTP/1.0 has no transfer codings.
    if (parser_.http_minor == 0) return Error::framing;
    if (!equal_fold(headers.get("transfer-encoding"), "chunked")) return Error::coding;
    if ((parser_.flags & F_CHUNKED) == 0) return Error::malformed;
  }
  // The library has checked that it is a number that fits.
  if (lengths == 1 && parser_.content_length > limits_.body) return Error::body_too_long;
  return std::nullopt;
}

std::optional<Error> Message::judge_response() const {
  if (!known_version(parser_)) return Error::version;
  if (status() < 100 || status() > 599) return Error::malformed;
  const std::size_t lengths = count(headers, "content-length");
  // RFC 9112 §6.3: both together "ought to be handled as an error".
  if (lengths > 1 || (lengths == 1 && count(headers, "transfer-encoding") > 0))
    return Error::malformed;
  return std::nullopt;
}

Result<void, Error> Message::finish() {
  if (complete_) return {};
  if (error_) return failure(*error_);
  if (!head_complete_ || !runs_to_end(parser_)) return failure(stop(Error::cut_short));
  end_parser(parser_, callbacks());
  complete_ = true;
  keep_alive = false;
  return {};
}

}  // namespace

// --- The two faces ----------------------------------------------------------------------------

struct RequestParser::State {
  explicit State(std::size_t body_max) : message(true, {body_max, false, false}) {}
  Message message;
};

RequestParser::RequestParser(std::size_t body_bytes_max)
    : state_(std::make_unique<State>(body_bytes_max)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;

Result<std::size_t, Error> RequestParser::feed(Bytes bytes) {
  return state_->message.feed(bytes);
}
bool RequestParser::complete() const {
  return state_->message.complete();
}
bool RequestParser::in_message() const {
  return state_->message.in_message();
}
bool RequestParser::awaits_continue() const {
  return state_->message.awaits_continue();
}

Request RequestParser::take() {
  Message& message = state_->message;
  OUTRIDER_ASSERT(message.complete());
  Request request{message.method(), std::move(message.start_text), std::move(message.headers),
                  std::move(message.body), message.keep_alive};
  // RFC 9112 §7.1.3: it has been decoded.
  std::erase_if(request.headers.fields,
                [](const auto& field) { return equal_fold(field.first, "transfer-encoding"); });
  message.reset();
  return request;
}

struct HeadParser::State {
  Message message{true, {0, false, false, true}};
};

HeadParser::HeadParser() : state_(std::make_unique<State>()) {}
HeadParser::~HeadParser() = default;
HeadParser::HeadParser(HeadParser&&) noexcept = default;

Result<bool, Error> HeadParser::feed(Bytes bytes) {
  const auto taken = state_->message.feed(bytes);
  if (!taken) return failure(taken.error());
  return state_->message.complete();
}
bool HeadParser::in_message() const {
  return state_->message.in_message();
}
RequestHead HeadParser::take() {
  Message& message = state_->message;
  OUTRIDER_ASSERT(message.complete());
  return {message.method(), std::move(message.start_text), std::move(message.headers),
          message.head_bytes()};
}

struct ResponseParser::State {
  State(std::size_t body_max, bool to_head) : message(false, {body_max, true, to_head}) {}
  Message message;
  Response response;

  void copy_out() {
    response.status = message.status();
    response.reason = message.start_text;
    response.headers = message.headers;
    response.body = message.body;
    response.body_cut = message.body_cut;
    response.keep_alive = message.keep_alive && message.complete();
  }
};

ResponseParser::ResponseParser(std::size_t body_bytes_max, bool to_head_request)
    : state_(std::make_unique<State>(body_bytes_max, to_head_request)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;

Result<std::size_t, Error> ResponseParser::feed(Bytes bytes) {
  return state_->message.feed(bytes);
}
Result<void, Error> ResponseParser::finish() {
  return state_->message.finish();
}
bool ResponseParser::head_complete() const {
  return state_->message.head_complete();
}
bool ResponseParser::complete() const {
  return state_->message.complete();
}
bool ResponseParser::in_message() const {
  return state_->message.in_message();
}
std::string ResponseParser::take_body() {
  return std::exchange(state_->message.body, {});
}

const Response& ResponseParser::response() const {
  state_->copy_out();
  return state_->response;
}

Response ResponseParser::take() {
  OUTRIDER_ASSERT(complete());
  Message& message = state_->message;
  Response response{message.status(),           std::move(message.start_text),
                    std::move(message.headers), std::move(message.body),
                    message.body_cut,           message.keep_alive};
  message.reset();
  return response;
}

}  // namespace outrider::http
