// SPDX-License-Identifier: Apache-2.0
// One check, run a number of times over the real loop; one line an outcome: kind, status, output.
//
//   probe_once http|https|tcp|grpc|grpcs TARGET [KEY=VALUE]...
//   KEY: path host method body header expect_header expect_body ca name cert key service
//        verify=no reuse=yes timeout=MS count=N every=MS
#include <charconv>
#include <cstdio>
#include <map>
#include <string>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "probes/runner.h"

using namespace outrider;
using namespace outrider::probes;

namespace {

using Words = std::multimap<std::string, std::string>;

std::string word(const Words& words, const std::string& key, const std::string& otherwise = "") {
  const auto at = words.find(key);
  return at == words.end() ? otherwise : at->second;
}
std::pair<std::string, std::string> header(const std::string& text) {
  const std::size_t colon = text.find(": ");
  return {text.substr(0, colon), text.substr(colon + 2)};
}
int number(const Words& words, const std::string& key, int otherwise) {
  const std::string text = word(words, key);
  std::from_chars(text.data(), text.data() + text.size(), otherwise);
  return otherwise;
}
Duration milliseconds(const Words& words, const char* key, int otherwise) {
  return std::chrono::milliseconds(number(words, key, otherwise));
}

CheckSpec make_check(const std::string& kind, const StreamAddress& target, const Words& words) {
  CheckSpec spec;
  spec.id = "once";
  spec.timing.timeout = milliseconds(words, "timeout", 2'000);
  spec.timing.interval = spec.timing.start_interval = spec.timing.edge_interval =
      milliseconds(words, "every", 100);
  const bool verify = word(words, "verify") != "no";
  if (kind == "tcp") {
    spec.kind = TcpCheck{target};
  } else if (kind.starts_with("grpc")) {
    GrpcCheck grpc{.target = target, .service = word(words, "service")};
    grpc.tls = kind == "grpcs";
    grpc.tls_verify = verify;
    grpc.tls_ca_file = word(words, "ca");
    grpc.tls_server_name = word(words, "name");
    grpc.tls_cert_file = word(words, "cert");
    grpc.tls_key_file = word(words, "key");
    spec.kind = grpc;
  } else {
    HttpCheck http{.target = target};
    http.host = word(words, "host");
    http.method = word(words, "method", "GET");
    http.path = word(words, "path", "/");
    http.body = word(words, "body");
    http.expect_body = word(words, "expect_body");
    for (auto [at, end] = words.equal_range("header"); at != end; ++at)
      http.headers.push_back(header(at->second));
    if (words.contains("expect_header")) http.expect_header = header(word(words, "expect_header"));
    http.reuse = word(words, "reuse") == "yes";
    http.tls = kind == "https";
    http.tls_verify = verify;
    http.tls_ca_file = word(words, "ca");
    http.tls_server_name = word(words, "name");
    http.tls_cert_file = word(words, "cert");
    http.tls_key_file = word(words, "key");
    spec.kind = http;
  }
  return spec;
}

struct Printer final : Runner::Sink {
  uv::Loop& loop;
  int left;
  Printer(uv::Loop& l, int count) : loop(l), left(count) {}
  void on_health(const std::string&, Health, const Outcome&) override {}
  void on_outcome(const std::string&, const Outcome& outcome) override {
    std::printf("%s %d %s\n", to_string(outcome.kind), outcome.status,
                escape_untrusted(outcome.output).c_str());
    if (--left == 0) loop.stop();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string kind = argv[1], where = argv[2];
  Words words;
  for (int i = 3; i < argc; ++i) {
    const std::string pair = argv[i];
    const std::size_t equals = pair.find('=');
    words.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  StreamAddress target = UnixPath{where};
  if (const auto endpoint = Endpoint::parse(where)) target = *endpoint;

  uv::Loop loop;
  uv::SystemRandom random;
  NullLog log;
  Env env{loop.clock(), loop.timers(), loop.network(), random, log};
  Printer printer(loop, number(words, "count", 1));
  Runner runner(env, printer);
  std::string why;
  if (!runner.add(make_check(kind, target, words), &why)) {
    std::printf("refused: %s\n", why.c_str());
    return 1;
  }
  loop.run();
  return 0;
}
