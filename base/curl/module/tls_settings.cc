// SPDX-License-Identifier: Apache-2.0
#include "base/curl/module/tls_settings.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/text_file.h"

namespace outrider::curl {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// The system's authorities in a folder where OpenSSL finds one by its hash; null if there is no
/// such folder. Their bundle takes OpenSSL 25 ms to read, at each connection, while DNS waits.
const char* hashed_authorities() {
  const char* folder = curl_version_info(CURLVERSION_NOW)->capath;
  if (folder == nullptr) return nullptr;
  const auto names = list_folder(folder);
  const auto hashed = [](const std::string& name) { return name.ends_with(".0"); };
  return names && std::ranges::any_of(*names, hashed) ? folder : nullptr;
}

Failure::Kind kind_of(CURLcode code, long os_error, std::string_view text) {
  if (code == CURLE_OUT_OF_MEMORY || os_error == EMFILE || os_error == ENFILE ||
      os_error == ENOBUFS || os_error == ENOMEM)
    return Failure::Kind::no_resources;
  switch (static_cast<int>(code)) {
    case CURLE_OPERATION_TIMEDOUT:
      return Failure::Kind::timeout;
    case CURLE_COULDNT_CONNECT:
      if (os_error == ECONNREFUSED) return Failure::Kind::refused;
      if (os_error == ECONNRESET) return Failure::Kind::reset;
      return Failure::Kind::unreachable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
      return os_error == ECONNRESET ? Failure::Kind::reset : Failure::Kind::tls;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      // In TLS 1.3 a server refuses a client certificate after the handshake.
      if (contains(text, "alert")) return Failure::Kind::tls;
      if (os_error == ECONNRESET || contains(text, "reset")) return Failure::Kind::reset;
      return Failure::Kind::protocol;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WRITE_ERROR:
      return Failure::Kind::protocol;
    default:  // of libcurl's numbers, which grow with its versions
      return Failure::Kind::other;
  }
}

/// What the server says to a client whose certificate it does not like (RFC 8446 §6.2). Without a
/// certificate, servers of Go say "bad certificate", and in TLS 1.2 OpenSSL "handshake failure".
std::optional<std::string> explain_alert(std::string_view text, const TlsOptions& tls) {
  const std::size_t at = text.find("alert ");
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view alert = text.substr(at + std::string_view("alert ").size());
  alert = alert.substr(0, alert.find_first_of(",("));
  const bool of_certificate = contains(alert, "certificate") || contains(alert, "unknown ca");
  if (!tls.cert_file.empty() && of_certificate)
    return "the server refuses the client certificate " + tls.cert_file + " (" +
           std::string(alert) + ")";
  if (tls.cert_file.empty() && (of_certificate || contains(alert, "handshake failure")))
    return "the server wants a client certificate; set tls.cert_file and tls.key_file";
  return "the server ended the TLS handshake: " + std::string(alert);
}

std::string explain_verification(std::string text, const TlsOptions& tls, const std::string& name) {
  constexpr std::string_view kPrefix = "SSL certificate problem: ";
  if (text.starts_with(kPrefix)) text.erase(0, kPrefix.size());
  if (contains(text, "expired")) return "the certificate of the server has expired";
  if (contains(text, "not yet valid")) return "the certificate of the server is not valid yet";
  if (contains(text, "subject name") || contains(text, "does not match"))
    return "the certificate of the server is not for " + name +
           "; tls.server_name sets the name that it must have";
  return "the certificate of the server is not trusted (" + text + "); " +
         (tls.ca_file.empty() ? "tls.ca_file names other authorities than the system's"
                              : "tls.ca_file is " + tls.ca_file);
}

}  // namespace

void set_tls(CURL* easy, const TlsOptions& tls) {
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca_file.empty()) {
    set(CURLOPT_CAINFO, tls.ca_file.c_str());
    set(CURLOPT_CAPATH, nullptr);  // trust these authorities only
  } else if (tls.verify && hashed_authorities() != nullptr) {
    set(CURLOPT_CAINFO, nullptr);
  }
  // libcurl would keep what it has read of a file.
  set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
  // Or OpenSSL would ask the terminal for the passphrase of a key that has one.
  set(CURLOPT_KEYPASSWD, "");
  if (!tls.cert_file.empty()) {
    set(CURLOPT_SSLCERT, tls.cert_file.c_str());
    const std::string& key = tls.key_file.empty() ? tls.cert_file : tls.key_file;
    set(CURLOPT_SSLKEY, key.c_str());
  }
}

void set_privacy(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // whatever http_proxy says
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // Otherwise libcurl 7.88 walks its whole host cache on each transfer. Literals do not age.
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
}

Failure failure_of(CURL* easy, CURLcode code, std::string text) {
  long os_error = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
  if (text.empty()) text = curl_easy_strerror(code);
  return {kind_of(code, os_error, text), std::move(text)};
}

Failure explain(CURL* easy, CURLcode code, std::string text, const TlsOptions& tls,
                const std::string& name) {
  Failure failure = failure_of(easy, code, std::move(text));
  std::string& said = failure.text;
  const bool in_handshake = code == CURLE_SSL_CONNECT_ERROR;
  if (failure.kind == Failure::Kind::refused) {
    said = to_string(NetError::refused);
  } else if (in_handshake && (failure.kind == Failure::Kind::reset ||
                              contains(said, "SSL_ERROR_SYSCALL") || contains(said, "eof"))) {
    said =
        "the server ended the TLS handshake without a word; one without TLS needs an http:// URL";
  } else if (failure.kind == Failure::Kind::reset) {
    said = to_string(NetError::reset);
  } else if (code == CURLE_SSL_CERTPROBLEM) {
    said = "the client certificate " + tls.cert_file + " cannot be used: " + said;
  } else if (code == CURLE_SSL_CACERT_BADFILE) {
    said = "the authorities in " + tls.ca_file + " cannot be read";
  } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
    said = explain_verification(std::move(said), tls, name);
  } else if (contains(said, "wrong version number") || contains(said, "unknown protocol") ||
             contains(said, "packet length too long")) {
    said = "the server does not speak TLS on this port; it needs an http:// URL";
  } else if (auto alert = explain_alert(said, tls)) {
    said = std::move(*alert);
  } else if (in_handshake) {
    said = "the TLS handshake failed: " + said;
  }
  return failure;
}

}  // namespace outrider::curl
