// SPDX-License-Identifier: Apache-2.0
#include "registries/host/sibling.h"

#include <algorithm>
#include <iterator>

#include "base/http/text.h"
#include "base/json_members.h"
#include "base/json_repeated.h"
#include "registries/host/entry_reader.h"

namespace outrider::registries {
namespace {

constexpr std::string_view kTarget = "/v1/outrider/watch?source=own";
constexpr std::size_t kHeadBytesMax = 16U << 10;

/// The rest of the line of an event that begins with `field`; empty if there is none.
std::string_view field_of(std::string_view event, std::string_view field) {
  while (!event.empty()) {
    const std::size_t end = std::min(event.find('\n'), event.size());
    const std::string_view line = event.substr(0, end);
    if (line.starts_with(field)) return line.substr(field.size());
    event.remove_prefix(std::min(end + 1, event.size()));
  }
  return {};
}

}  // namespace

Sibling::Sibling(Env& env, std::string path, const AgentIdentity& self, Sink& sink)
    : env_(env), path_(std::move(path)), self_(self), sink_(sink) {
  connect();
}

Sibling::~Sibling() = default;

void Sibling::connect() {
  close();
  connecting_ = env_.network.connect({.to = UnixPath{path_}, .from = {}, .opening = {}},
                                     [this](auto stream) { on_connected(std::move(stream)); });
}

void Sibling::close() {
  timer_.reset();
  connecting_.reset();
  stream_.reset();
  head_done_ = false;
  text_ = {};
  searched_ = 0;
}

void Sibling::on_connected(Result<std::unique_ptr<Stream>, NetError> stream) {
  connecting_.reset();
  if (!stream) {
    const NetError error = stream.error();
    const bool again = error != NetError::denied && tries_ < std::size(kRetries);
    set_state(PlaceState::behind, to_string(error));
    if (again) timer_ = env_.after(kRetries[tries_++], [this] { connect(); });
    return;
  }
  stream_ = std::move(*stream);
  connected_ = env_.now();
  if (const auto peer = stream_->peer_credentials()) pid_ = peer->pid;
  stream_->start(*this);
  const std::string request = http::write_request("GET", kTarget, "agent", {}, {}, true);
  if (!stream_->write(as_bytes(request))) return fall_behind("cannot write", kRetries[2]);
  // Only the first time: after that, the request waits for as long as it takes.
  if (state_ == PlaceState::connecting)
    timer_ =
        env_.after(kAnswerMax, [this] { set_state(PlaceState::behind, "it does not answer"); });
}

void Sibling::on_data(Bytes data) {
  heard_ = env_.now();
  text_ += as_text(data);
  if (!head_done_ && !take_head()) return;
  take_events();
}

bool Sibling::take_head() {
  const std::size_t end = text_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (text_.size() > kHeadBytesMax) ignore("it does not speak HTTP");
    return false;
  }
  if (!text_.starts_with("HTTP/1.1 200 ")) {
    ignore("it refuses: " + text_.substr(0, text_.find("\r\n")));
    return false;
  }
  text_.erase(0, end + 4);
  head_done_ = true;
  return true;
}

void Sibling::take_events() {
  std::size_t at = 0;
  for (std::size_t end = 0;
       (end = text_.find("\n\n", std::max(at, searched_))) != std::string::npos; at = end + 2) {
    const std::string event = text_.substr(at, end - at);
    take_event(event);
    if (!stream_) return;  // closed, and text_ with it
  }
  if (at == text_.size())
    text_ = {};  // a large snapshot gives its memory back
  else
    text_.erase(0, at);
  searched_ = text_.empty() ? 0 : text_.size() - 1;
  if (text_.size() > kEventBytesMax) ignore("an event of more than 16 MiB");
}

void Sibling::take_event(std::string_view event) {
  const std::string_view name = field_of(event, "event: ");
  if (name == "lagged") return fall_behind("it dropped this agent, which was too slow", {});
  if (name != "snapshot" && name != "change") return;  // a comment
  const auto document = json::parse_repeated(field_of(event, "data: "), kEventBytesMax);
  if (!document) return ignore("it sends what is not JSON");
  if (name == "snapshot")
    take_snapshot(*document);
  else
    take_changes(*document);
}

void Sibling::take_snapshot(const json::Value& document) {
  if (text_at(document, "agent") == self_.agent && !self_.agent.empty())
    return ignore("this agent");
  // Two containers can share a run-time directory, but not their loopback.
  const std::string host = text_at(document, "host");
  if (!host.empty() && host != self_.host) return ignore("it runs in another network namespace");
  std::vector<Entry> entries;
  bool all = true;
  for (const json::Value& instance : list_at(document, "instances"))
    if (auto entry = read_entry(instance, path_)) {
      all = all && entries.size() < kEntriesPerSiblingMax;
      if (all) entries.push_back(std::move(*entry));
    }
  timer_.reset();
  tries_ = 0;
  sink_.on_sibling_listed(*this, std::move(entries));
  set_state(PlaceState::current,
            all ? std::string()
                : "it has more than " + std::to_string(kEntriesPerSiblingMax) + " registrations");
}

void Sibling::take_changes(const json::Value& document) {
  for (const json::Value& change : list_at(document, "changes")) {
    const json::Value* instance = change.find("instance");
    auto entry = instance != nullptr ? read_entry(*instance, path_) : std::nullopt;
    if (!entry) continue;
    if (text_at(change, "kind") == "removed")
      sink_.on_sibling_lost(*this, entry->key);
    else
      sink_.on_sibling_entry(*this, std::move(*entry));
  }
}

void Sibling::on_end() {
  fall_behind("it has ended", kRetries[0]);
}

void Sibling::on_broken(NetError error) {
  fall_behind(to_string(error), kRetries[0]);
}

/// A sibling that breaks off every time is asked ever more rarely.
void Sibling::fall_behind(std::string reason, Duration retry) {
  if (env_.now() - connected_ >= kStreamLasts)
    broken_off_ = 0;
  else
    retry = std::max(retry, kRetries[std::min(broken_off_++, std::size(kRetries) - 1)]);
  close();
  set_state(PlaceState::behind, std::move(reason));
  timer_ = env_.after(retry, [this] { connect(); });
}

void Sibling::ignore(std::string reason) {
  close();
  ignored_ = true;
  set_state(PlaceState::behind, std::move(reason));
}

void Sibling::set_state(PlaceState state, std::string reason) {
  if (state == state_ && reason == reason_) return;
  state_ = state;
  reason_ = std::move(reason);
  sink_.on_sibling_state(*this);
}

void Sibling::retry() {
  if (ignored_ || stream_ || connecting_ || timer_.pending()) return;
  tries_ = 0;
  connect();
}

std::optional<TimePoint> Sibling::silent_at() const {
  if (state_ != PlaceState::current || !stream_) return std::nullopt;
  return heard_ + kSilenceMax;
}

void Sibling::check_silence() {
  const auto due = silent_at();
  if (!due || *due > env_.now()) return;
  fall_behind("it has not answered for " + format_duration(kSilenceMax), Duration::zero());
}

}  // namespace outrider::registries
