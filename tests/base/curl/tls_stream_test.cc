// SPDX-License-Identifier: Apache-2.0
// The promises of Stream over TLS, on the kernel's loopback, with OpenSSL through Python on the
// other side. Cases wait for events.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <sys/wait.h>

#include "base/curl/curl.h"
#include "base/http/client_connection.h"
#include "tests/contract/net_contract.h"
#include "tests/contract/worlds.h"
#include "tests/skip.h"

namespace outrider::curl {
namespace {

using contract::RealWorld;
using contract::Talker;

const std::string kHere = OUTRIDER_TEST_FOLDER;

/// A folder of certificates, made once; empty if openssl is not installed.
const std::string& certificates() {
  static const struct Folder {
    Folder() {
      char made[] = "/tmp/outrider-tls-XXXXXX";
      if (mkdtemp(made) == nullptr) return;
      path = made;
      const std::string command =
          "sh " + kHere + "/make_certificates.sh " + path + " >/dev/null 2>&1";
      if (std::system(command.c_str()) != 0) path.clear();
    }
    ~Folder() {
      if (!path.empty()) std::filesystem::remove_all(path);
    }
    std::string path;
  } kFolder;
  return kFolder.path;
}
std::string file(const char* name) {
  return certificates() + '/' + name;
}

bool can_run() {
  std::string why;
  if (!have_module(kTlsRegistries, &why))
    test::skip(why.c_str());
  else if (certificates().empty())
    test::skip("openssl is not installed (tests/packages.txt)");
  else
    return true;
  return false;
}

/// tls_peer.py.
class Server {
 public:
  explicit Server(const std::string& kind, const char* name = "good", const char* ca = nullptr) {
    int in[2], out[2];
    REQUIRE(::pipe(in) == 0);
    REQUIRE(::pipe(out) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      for (const int fd : {in[0], in[1], out[0], out[1]})
        ::close(fd);
      const std::string script = kHere + "/tls_peer.py";
      ::execl("/usr/bin/python3", "python3", script.c_str(), kind.c_str(), certificates().c_str(),
              name, ca, nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = ::fdopen(out[0], "r");
    const std::string port = line();
    REQUIRE(!port.empty());
    at_ = Endpoint{IpAddress::loopback(IpAddress::Family::v4),
                   static_cast<std::uint16_t>(std::stoi(port))};
  }
  ~Server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(to_);
    std::fclose(from_);
  }
  Server(const Server&) = delete;

  const Endpoint& at() const { return at_; }
  /// What a connection saw; waits for it.
  std::string line() {
    char text[256] = "";
    if (std::fgets(text, sizeof text, from_) == nullptr) return "";
    return std::string(text).substr(0, std::string(text).find('\n'));
  }
  void go_on() { REQUIRE(::write(to_, "\n", 1) == 1); }

 private:
  pid_t pid_ = 0;
  int to_ = -1;
  std::FILE* from_ = nullptr;
  Endpoint at_;
};

TlsOptions trusted() {
  return {
      .on = true, .ca_file = file("ca.pem"), .server_name = "", .cert_file = "", .key_file = ""};
}

struct Client {
  RealWorld& world;
  Talker talker;
  TlsStream* stream = nullptr;
  std::optional<Failure> failure;
  std::unique_ptr<Pending> pending;
  std::function<void()> on_connecting;

  Client(RealWorld& where, const Endpoint& to, const TlsOptions& tls = trusted(),
         const std::string& name = "")
      : world(where),
        pending(connect_tls(
            where.env(),
            {.to = to, .name = name, .tls = tls, .keep_alive = 15s, .unacknowledged_max = 10s},
            [this](auto result) {
              if (!result) {
                failure = result.error();
              } else {
                stream = result->get();
                talker.take(std::move(*result));
              }
              if (on_connecting) on_connecting();
            })) {
    CHECK(!failure);
    CHECK(stream == nullptr);
  }
  Client& connected() {
    REQUIRE(until([this] { return stream != nullptr || failure; }));
    INFO((failure ? failure->text : ""));
    REQUIRE(stream != nullptr);
    return *this;
  }
  bool until(const std::function<bool()>& done) { return world.run_until(done); }
  bool heard(const std::string& text) {
    return until([&] { return talker.heard == text; });
  }
  void close() {
    stream = nullptr;
    talker.stream.reset();
  }
  /// Why there is no connection, or why it broke as soon as there was one.
  std::string trouble() {
    until([this] { return stream != nullptr || failure; });
    if (failure) return failure->text;
    talker.say("echo\nx");
    until([this] { return talker.broken || !talker.heard.empty(); });
    return talker.broken ? stream->reason() : "";
  }
};

TEST_CASE("a TLS stream carries bytes both ways and knows its addresses") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Client client(world, server.at());
  client.connected();
  CHECK(client.stream->peer() == StreamAddress(server.at()));
  CHECK(std::get<Endpoint>(client.stream->local()).address == server.at().address);
  CHECK(std::get<Endpoint>(client.stream->local()).port != 0);
  CHECK(!client.stream->peer_credentials());
  CHECK(client.talker.say("echo\n"));
  CHECK(client.talker.say("one, "));
  CHECK(client.heard("one, "));
  CHECK(client.talker.say("two"));
  CHECK(client.heard("one, two"));
  CHECK(client.stream->unsent_bytes() == 0);
  CHECK(client.talker.drained == 0);
}

TEST_CASE("megabytes pass both ways, whole and in order") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Client client(world, server.at());
  client.connected();
  std::string much;
  for (int i = 0; much.size() < 3'000'000; ++i)
    much += std::to_string(i) + ' ';
  CHECK(client.talker.say("echo\n"));
  // In writes of all sizes, most of them while others wait.
  for (std::size_t at = 0, size = 1; at < much.size(); at += size, size = size * 3 % 70'001 + 1)
    CHECK(client.talker.say(std::string_view(much).substr(at, size)));
  CHECK(client.heard(much));
  CHECK(client.stream->unsent_bytes() == 0);
}

TEST_CASE("what a peer does not read waits, up to a limit; a slow reader gets all of it") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Client client(world, server.at());
  client.connected();
  CHECK(client.talker.say("wait\n"));
  CHECK(client.heard("waiting"));
  const std::string block(1 << 20, 'x');
  std::size_t sent = 0;
  Result<void, NetError> written;
  while ((written = client.stream->write(as_bytes(block))))
    sent += block.size();
  CHECK(written.error() == NetError::too_big);
  CHECK(client.stream->unsent_bytes() > kStreamUnsentBytesMax - block.size());
  CHECK(client.stream->unsent_bytes() <= kStreamUnsentBytesMax);
  server.go_on();
  CHECK(client.until([&] { return client.talker.drained > 0; }));
  CHECK(client.talker.drained == 1);
  CHECK(client.stream->unsent_bytes() == 0);
  client.stream->finish();
  CHECK(client.stream->write(as_bytes(block)).error() == NetError::closed);
  world.rest();
  CHECK(server.line() == "read " + std::to_string(sent));
}

TEST_CASE("each side ends its direction alone") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  SUBCASE("ours: the peer sees the end after all that was written, and answers") {
    Client client(world, server.at());
    client.connected();
    CHECK(client.talker.say("reader\n" + std::string(2'000'000, 'y')));
    client.stream->finish();
    CHECK(client.heard("2000000"));
    CHECK(client.until([&] { return client.talker.ended; }));
    CHECK(!client.talker.broken);
  }
  SUBCASE("theirs: we may go on writing") {
    Client client(world, server.at());
    client.connected();
    CHECK(client.talker.say("end\n"));
    CHECK(client.until([&] { return client.talker.ended; }));
    CHECK(client.talker.heard == "bye");
    CHECK(!client.talker.broken);
    CHECK(client.talker.say("more"));
    world.rest();
    CHECK(server.line() == "read True");
  }
}

TEST_CASE("a connection that is cut without TLS's farewell is over, after what came before") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Client client(world, server.at());
  client.connected();
  CHECK(client.talker.say("abort\n"));
  CHECK(client.until([&] { return client.talker.broken || client.talker.ended; }));
  CHECK(client.talker.heard == "half");
  // The first write is answered by a reset, the next one meets it.
  client.talker.say("x");
  world.rest();
  client.talker.say("x");
  CHECK(client.until([&] { return client.talker.broken.has_value(); }));
  CHECK(!client.stream->reason().empty());
  CHECK(client.stream->write(as_bytes("x")).error() == NetError::closed);
}

TEST_CASE("while it is paused nothing is delivered, and nothing is lost") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Client client(world, server.at());
  client.connected();
  client.talker.on_hearing = [&] { client.stream->set_paused(true); };
  CHECK(client.talker.say("send 1000000\n"));
  for (std::size_t before = 0; client.talker.heard.size() < 100'000;) {
    CHECK(client.until([&] { return client.talker.heard.size() > before; }));
    before = client.talker.heard.size();
    world.rest();
    CHECK(client.talker.heard.size() == before);
    client.stream->set_paused(false);
  }
  client.talker.on_hearing = nullptr;
  client.stream->set_paused(false);
  CHECK(client.until([&] { return client.talker.ended; }));
  CHECK(client.talker.heard.size() == 1'000'000);
}

TEST_CASE("a TLS stream may be destroyed in each of its callbacks, and cancelled before") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  Server mute("mute");
  SUBCASE("the connect") {
    Client client(world, server.at());
    bool called = false;
    client.on_connecting = [&] {
      called = true;
      client.close();
      client.pending.reset();
    };
    CHECK(client.until([&] { return called; }));
  }
  SUBCASE("a failure") {
    Client client(world, server.at(), {.on = true});
    bool called = false;
    client.on_connecting = [&] {
      called = true;
      client.pending.reset();
    };
    CHECK(client.until([&] { return called; }));
  }
  SUBCASE("data") {
    Client client(world, server.at());
    client.connected();
    client.talker.on_hearing = [&] { client.close(); };
    CHECK(client.talker.say("send 500000\n"));
    CHECK(client.until([&] { return client.stream == nullptr; }));
  }
  SUBCASE("the end") {
    Client client(world, server.at());
    client.connected();
    client.talker.on_ending = [&] { client.close(); };
    CHECK(client.talker.say("send 5\n"));
    CHECK(client.until([&] { return client.stream == nullptr; }));
  }
  SUBCASE("the break") {
    Client client(world, server.at());
    client.connected();
    client.talker.on_breaking = [&] { client.close(); };
    client.talker.on_ending = [&] { client.talker.say("x"); };
    CHECK(client.talker.say("abort\n"));
    CHECK(client.until([&] { return client.talker.ended || client.stream == nullptr; }));
    world.rest();
    if (client.stream != nullptr) client.talker.say("x");
    CHECK(client.until([&] { return client.stream == nullptr; }));
  }
  SUBCASE("the last byte's leaving") {
    Client client(world, server.at());
    client.connected();
    client.talker.on_draining = [&] { client.close(); };
    CHECK(client.talker.say("wait\n"));
    CHECK(client.heard("waiting"));
    while (client.talker.say(std::string(1'000'000, 'z'))) {
    }
    server.go_on();
    CHECK(client.until([&] { return client.stream == nullptr; }));
  }
  SUBCASE("within the handshake") {
    Client client(world, mute.at());
    world.rest();
    client.pending.reset();
    world.rest();
    CHECK(client.stream == nullptr);
    CHECK(!client.failure);
    CHECK(mute.line() == "ended True");
  }
  SUBCASE("before it was started") {
    Client client(world, server.at());
    client.pending.reset();
    world.rest();
    CHECK(client.stream == nullptr);
    CHECK(!client.failure);
  }
  SUBCASE("with a reset, while bytes wait") {
    Client client(world, server.at());
    client.connected();
    CHECK(client.talker.say("wait\n" + std::string(4'000'000, 'z')));
    client.stream->reset_on_destroy();
    client.close();
  }
  world.rest();
}

TEST_CASE("certificates that do not fit are refused with a sentence that says what to do") {
  if (!can_run()) return;
  RealWorld world;
  const auto trouble = [&](const char* name, const TlsOptions& tls, const char* host = "") {
    Server server("tls", name);
    return Client(world, server.at(), tls, host).trouble();
  };
  CHECK(trouble("good", trusted()).empty());
  CHECK(trouble("good", trusted(), "app.test").empty());
  TlsOptions renamed = trusted();
  renamed.server_name = "other.test";
  CHECK(trouble("other", renamed, "app.test").empty());
  CHECK(trouble("good", {.on = true}) ==
        "the certificate of the server is not trusted (unable to get local issuer certificate); "
        "tls.ca_file names other authorities than the system's");
  TlsOptions strange = trusted();
  strange.ca_file = file("stranger.pem");
  CHECK(trouble("good", strange) ==
        "the certificate of the server is not trusted (unable to get local issuer certificate); "
        "tls.ca_file is " +
            strange.ca_file);
  CHECK(trouble("stranger", trusted()).starts_with("the certificate of the server is not trusted"));
  CHECK(trouble("expired", trusted()) == "the certificate of the server has expired");
  CHECK(trouble("good", trusted(), "web.test") ==
        "the certificate of the server is not for web.test; tls.server_name sets the name that it "
        "must have");
  CHECK(trouble("other", trusted())
            .starts_with("the certificate of the server is not for 127.0.0.1"));
}

TEST_CASE("a server that wants a client certificate is shown one, or says so") {
  if (!can_run()) return;
  RealWorld world;
  const auto trouble = [&](const char* kind, const char* cert, const char* key) {
    Server server(kind, "good", "ca");
    TlsOptions tls = trusted();
    if (*cert != 0) tls.cert_file = file(cert);
    if (*key != 0) tls.key_file = file(key);
    return Client(world, server.at(), tls).trouble();
  };
  for (const char* kind : {"tls", "tls12"}) {
    CAPTURE(kind);
    CHECK(trouble(kind, "client.pem", "client.key").empty());
    CHECK(trouble(kind, "", "") ==
          "the server wants a client certificate; set tls.cert_file and tls.key_file");
    CHECK(trouble(kind, "stranger.pem", "stranger.key") ==
          "the server refuses the client certificate " + file("stranger.pem") + " (unknown ca)");
  }
  const std::string cannot = "the client certificate " + file("client.pem") + " cannot be used: ";
  CHECK(trouble("tls", "client.pem", "good.key").starts_with(cannot));
  CHECK(trouble("tls", "client.pem", "none.key").starts_with(cannot));
  // Without a question for the passphrase on the terminal.
  CHECK(trouble("tls", "client.pem", "locked.key").starts_with(cannot));
}

TEST_CASE("what is no TLS server is named as what it is") {
  if (!can_run()) return;
  RealWorld world;
  Server plain("plain");
  CHECK(Client(world, plain.at()).trouble() ==
        "the server does not speak TLS on this port; it needs an http:// URL");
  Server shy("shy");
  CHECK(Client(world, shy.at()).trouble() ==
        "the server ended the TLS handshake without a word; one without TLS needs an http:// URL");
  const Endpoint nowhere{plain.at().address, 1};
  Client refused(world, nowhere);
  CHECK(refused.trouble() == "connection refused");
  CHECK(refused.failure->kind == Failure::Kind::refused);
}

TEST_CASE("files are read at each connection") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  TlsOptions tls = trusted();
  tls.ca_file = file("changing.pem");
  const auto copy = [&](const char* name) {
    std::filesystem::copy_file(file(name), tls.ca_file,
                               std::filesystem::copy_options::overwrite_existing);
  };
  copy("stranger.pem");
  CHECK(!Client(world, server.at(), tls).trouble().empty());
  copy("ca.pem");
  CHECK(Client(world, server.at(), tls).trouble().empty());
  std::ofstream(tls.ca_file) << "no certificate\n";
  CHECK(Client(world, server.at(), tls).trouble() ==
        "the authorities in " + tls.ca_file + " cannot be read");
  std::filesystem::remove(tls.ca_file);
  CHECK(Client(world, server.at(), tls).trouble() ==
        "the authorities in " + tls.ca_file + " cannot be read");
}

/// What a client of HTTP/1.1 is told, as in client_connection_test.cc.
struct HttpClient final : http::ClientConnection::Sink {
  std::string heard;
  std::unique_ptr<http::ClientConnection> connection;

  HttpClient(RealWorld& world, const Endpoint& to, const TlsOptions& tls)
      : connection(std::make_unique<http::ClientConnection>(
            world.env(),
            http::ClientConnection::Server{to.address.to_string(), to.port, "app.test", tls},
            nullptr)),
        world_(world) {}
  void on_head(int status, const http::Headers&) override { heard += std::to_string(status) + ':'; }
  void on_piece(std::string_view piece) override { heard += piece; }
  void on_complete() override { heard += '.'; }
  void on_failed(const http::ClientError& error) override { heard += '!' + error.text; }
  std::string ask(Duration connect_max = 5s) {
    heard.clear();
    connection->send({.deadlines = {.connect = connect_max}}, *this);
    CHECK(heard.empty());
    CHECK(world_.run_until([this] { return !connection->is_busy(); }));
    return heard;
  }

 private:
  RealWorld& world_;
};

TEST_CASE("an HTTP client keeps its TLS connection, and names what is wrong with it") {
  if (!can_run()) return;
  RealWorld world;
  Server server("tls");
  HttpClient client(world, server.at(), trusted());
  CHECK(client.ask() == "200:ok.");
  CHECK(client.ask() == "200:ok.");
  CHECK(client.connection->peer() == server.at());
  HttpClient stranger(world, server.at(), {.on = true});
  CHECK(stranger.ask().starts_with("!the certificate of the server is not trusted"));
  // Its deadline for connecting holds for the handshake as well.
  Server mute("mute");
  HttpClient waiting(world, mute.at(), trusted());
  CHECK(waiting.ask(50ms) == "!no connection within 50ms");
  CHECK(mute.line() == "ended True");
  // After the handshake, in the place of an answer.
  Server strict("tls", "good", "ca");
  HttpClient nameless(world, strict.at(), trusted());
  CHECK(nameless.ask() ==
        "!the server wants a client certificate; set tls.cert_file and tls.key_file");
}

TEST_CASE("without the module there is a reason instead of a connection") {
  RealWorld world;
  setenv("OUTRIDER_MODULE_PATH", "/nowhere/at/all", 1);
  Client client(world, Endpoint{IpAddress::loopback(IpAddress::Family::v4), 1});
  unsetenv("OUTRIDER_MODULE_PATH");
  CHECK(
      client.trouble() ==
      "registries with https URLs need the module outrider-curl.so (package outrider-modules); not "
      "found in /nowhere/at/all");
}

}  // namespace
}  // namespace outrider::curl
