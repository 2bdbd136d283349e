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
  spec.key = {"here", "once"};
  spec.timing.timeout = milliseconds(words, "timeout", 2'000);
  spec.timing.interval = spec.timing.start_interval = spec.timing.edge_interval =
      milliseconds(words, "every", 100);
  TlsOptions tls;
  tls.verify = word(words, "verify") != "no";
  tls.ca_file = word(words, "ca");
  tls.server_name = word(words, "name");
  tls.cert_file = word(words, "cert");
  tls.key_file = word(words, "key");
  if (kind == "tcp") {
    spec.kind = TcpCheck{target};
  } else if (kind.starts_with("grpc")) {
    tls.on = kind == "grpcs";
    spec.kind = GrpcCheck{target, word(words, "service"), tls};
  } else {
    HttpCheck http{.target = target};
    HttpOptions& options = http.options;
    options.host = word(words, "host");
    options.method = word(words, "method", "GET");
    http.path = word(words, "path", "/");
    options.body = word(words, "body");
    options.expect.body = word(words, "expect_body");
    for (auto [at, end] = words.equal_range("header"); at != end; ++at)
      options.headers.push_back(header(at->second));
    if (words.contains("expect_header"))
      options.expect.header = header(word(words, "expect_header"));
    options.reuse = word(words, "reuse") == "yes";
    tls.on = kind == "https";
    http.tls = tls;
    spec.kind = http;
  }
  return spec;
}

struct Printer final : Runner::Sink {
  uv::Loop& loop;
  int left;
  Printer(uv::Loop& l, int count) : loop(l), left(count) {}
  void on_health(const CheckKey&, CheckHealth, const Outcome&) override {}
  void on_outcome(const CheckKey&, CheckHealth, const Outcome& outcome) override {
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
