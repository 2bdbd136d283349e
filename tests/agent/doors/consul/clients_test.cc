// SPDX-License-Identifier: Apache-2.0
// Requests as clients of Consul send them (tests/vectors/consul_clients/), in order, on one agent
// each. A vector has a method, a path, perhaps headers and a body, the expected status, and the
// shape of the answer:
//
//   "text", "number", "flag", "null", "any"   a value of that type
//   {"key": shape}                            an object that has at least these members
//   [shape]                                   a list with at least one element, each of that shape
//   "=x"                                      the text x
//
// In a path, ${index} and ${hash} stand for the headers of the answer before. With "watch", the
// request is also repeated like a watch does, with the headers of each answer, while nothing
// changes.
#include <array>

#include <doctest/doctest.h>

#include "base/text.h"
#include "base/text_file.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kFolder = "tests/vectors/consul_clients/";
constexpr std::array kClients = {
    "consul_api_go", "consul_template", "diplomat",   "fabio",      "forge",
    "goframe",       "kratos",          "npm_consul", "prometheus", "python_consul",
    "registrator",   "spring_cloud",    "steeltoe",   "traefik",    "zero_contrib",
};
/// Requests of one watch in a second while nothing changes.
constexpr std::size_t kWatchRateMax = 2;

std::string header_of(const std::string& answer, const std::string& name) {
  const std::size_t at = answer.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 4;
  return answer.substr(begin, answer.find("\r\n", begin) - begin);
}

std::string text_of(const json::Value& vector, std::string_view key) {
  const json::Value* found = vector.find(key);
  if (found == nullptr) return {};
  if (const std::string* text = found->as_string()) return *text;
  std::string out;
  json::Writer(out).value(*found);
  return out;
}

/// Where a value has not the shape; empty if it has.
std::string misfit(const json::Value* value, const json::Value& shape, const std::string& path) {
  if (value == nullptr) return path + ": missing";
  if (const std::string* type = shape.as_string()) {
    const std::string_view is = value->type_name();
    if (type->starts_with('=')) {
      const bool same = value->as_string() != nullptr && *value->as_string() == type->substr(1);
      return same ? "" : path + ": not " + *type;
    }
    const bool fits =
        *type == "any" || (*type == "text" && value->as_string() != nullptr) ||
        (*type == "flag" && value->as_bool() != nullptr) || (*type == "null" && value->is_null()) ||
        (*type == "number" && value->as_string() == nullptr && value->as_bool() == nullptr &&
         !value->is_null() && value->as_object() == nullptr && value->as_array() == nullptr);
    return fits ? "" : path + ": expected " + *type + ", not " + std::string(is);
  }
  if (const json::Array* list = shape.as_array()) {
    const json::Array* values = value->as_array();
    if (values == nullptr) return path + ": expected a list";
    if (!list->empty() && values->empty()) return path + ": empty";
    for (std::size_t i = 0; !list->empty() && i < values->size(); ++i) {
      const std::string wrong =
          misfit(&(*values)[i], list->front(), path + "/" + std::to_string(i));
      if (!wrong.empty()) return wrong;
    }
    return "";
  }
  if (value->as_object() == nullptr) return path + ": expected an object";
  for (const auto& [key, inner] : *shape.as_object()) {
    const std::string wrong = misfit(value->find(key), inner, path + "/" + key);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

struct Play : ApiFixture {
  std::string index, hash;

  std::string write(const json::Value& vector) {
    std::vector<std::pair<std::string, std::string>> headers;
    if (const json::Value* given = vector.find("headers"); given != nullptr)
      for (const auto& [name, value] : *given->as_object())
        headers.emplace_back(name, *value.as_string());
    std::string path = replace_all(text_of(vector, "path"), "${index}", index);
    path = replace_all(std::move(path), "${hash}", hash);
    return http::write_request(text_of(vector, "method"), path, "127.0.0.1:8500", headers,
                               text_of(vector, "body"), true);
  }
  void note(const std::string& answer) {
    index = header_of(answer, "X-Consul-Index");
    hash = header_of(answer, "X-Consul-ContentHash");
  }
  void play(const json::Value& vector) {
    CAPTURE(text_of(vector, "method"));
    CAPTURE(text_of(vector, "path"));
    if (vector.find("watch") != nullptr) watch(vector);
    Client client(world);
    std::string answer = client.ask(write(vector));
    if (answer.empty()) {  // it waits
      world.advance(11min);
      answer = client.take();
    }
    CAPTURE(answer);
    CHECK(status_of(answer) == text_of(vector, "status"));
    note(answer);
    if (const json::Value* shape = vector.find("shape")) {
      const auto body = json::parse(body_of(answer), 1U << 20);
      REQUIRE(body.has_value());
      CHECK(misfit(&*body, *shape, "") == "");
    } else if (status_of(answer) != "200") {
      CHECK(body_of(answer).find(' ') != std::string::npos);  // a sentence
    }
    if (vector.find("watch") != nullptr) CHECK_FALSE(index.empty());
  }
  void watch(const json::Value& vector) {
    constexpr std::size_t kSeconds = 10;
    std::size_t answers = 0;
    Client client(world);
    client.send(write(vector));
    for (std::size_t i = 0; i < kSeconds * 100; ++i) {
      world.advance(10ms);
      const std::string answer = client.take();
      if (answer.empty()) continue;
      ++answers;
      note(answer);
      client.send(write(vector));
    }
    CHECK(answers <= kSeconds * kWatchRateMax);
  }
};

}  // namespace

TEST_CASE("clients of Consul: each request gets the answer that the client reads") {
  for (const char* const client : kClients) {
    CAPTURE(client);
    const auto text = read_text_file(std::string(kFolder) + client + ".json");
    REQUIRE(text.has_value());
    const auto file = json::parse(*text, 1U << 20);
    REQUIRE(file.has_value());
    CHECK(text_of(*file, "client").size() > 5);
    const json::Array& vectors = *file->find("requests")->as_array();
    CHECK(vectors.size() >= 3);
    Play play;
    play.agent.see("web", "web-9", "192.168.1.20", 8080);
    for (const json::Value& vector : vectors)
      play.play(vector);
  }
}
