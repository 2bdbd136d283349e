// SPDX-License-Identifier: Apache-2.0
#include "dns/tcp_clients.h"

#include <algorithm>
#include <utility>

namespace outrider::dns {
namespace {

constexpr std::size_t kLengthBytes = 2;  // RFC 1035 §4.2.2

}  // namespace

struct TcpClients::Client final : Stream::Sink {
  Client(TcpClients& owner_, Id id_, std::unique_ptr<Stream> stream_)
      : owner(owner_), id(id_), stream(std::move(stream_)) {}

  void on_data(Bytes data) override {
    input.insert(input.end(), data.begin(), data.end());
    owner.take(*this);
  }
  void on_end() override {
    ended = true;
    owner.settle(*this);
  }
  void on_broken(NetError) override { owner.drop(id); }
  void on_drained() override { owner.take(*this); }

  bool held_back() const {
    return in_flight >= kTcpQueriesInFlightMax || stream->unsent_bytes() > kTcpUnsentBytesMax;
  }

  TcpClients& owner;
  const Id id;
  std::unique_ptr<Stream> stream;
  Endpoint peer;
  std::vector<std::uint8_t> input;  // an incomplete query, and queries held back
  std::size_t in_flight = 0;
  bool asked = false;      // at least once
  bool taking = false;     // take() is running and will call settle()
  bool ended = false;      // no more queries: the peer or we have ended
  bool finishing = false;  // we have ended
  bool broken = false;
  bool paused = false;
  TimePoint last_query{};
  Timer idle;
};

TcpClients::TcpClients(Env& env, Sink& sink) : env_(env), sink_(sink) {}
TcpClients::~TcpClients() = default;

bool TcpClients::make_room() {
  if (clients_.size() < kTcpClientsMax) return true;
  const Client* longest = nullptr;
  for (const auto& [id, client] : clients_) {
    if (client->in_flight > 0 || client->taking) continue;
    if (longest == nullptr || client->last_query < longest->last_query) longest = client.get();
  }
  if (longest == nullptr) return false;
  clients_.erase(longest->id);
  return true;
}

void TcpClients::adopt(std::unique_ptr<Stream> stream) {
  if (!make_room()) return;
  const Id id = next_++;
  auto& client =
      *clients_.emplace(id, std::make_unique<Client>(*this, id, std::move(stream))).first->second;
  const StreamAddress peer = client.stream->peer();
  if (const auto* endpoint = std::get_if<Endpoint>(&peer)) client.peer = *endpoint;
  client.last_query = env_.now();
  watch_idle(client, env_.now() + kTcpIdleMax);
  client.stream->start(client);
}

void TcpClients::watch_idle(Client& client, TimePoint due) {
  client.idle = env_.timers.at(due, [this, &client] {
    const TimePoint until = client.last_query + kTcpIdleMax;
    if (until > env_.now())
      watch_idle(client, until);
    else if (client.in_flight > 0)
      watch_idle(client, env_.now() + kTcpIdleMax);
    else
      drop(client.id);
  });
}

/// Hands over the whole queries that have come, as many as may be in flight.
void TcpClients::take(Client& client) {
  client.taking = true;
  std::size_t at = 0;
  while (!client.held_back() && !client.broken) {
    ByteReader reader(Bytes(client.input).subspan(at));
    const Bytes message = reader.take(reader.u16());
    if (!reader.ok()) break;
    at += reader.position();
    client.last_query = env_.now();
    ++client.in_flight;
    client.asked = true;
    sink_.on_tcp_query(client.id, client.peer, message);
    if (client.finishing) {
      client.ended = true;
      break;
    }
  }
  client.input.erase(client.input.begin(), client.input.begin() + static_cast<std::ptrdiff_t>(at));
  client.taking = false;
  settle(client);
}

/// Closes the client if it is done with, else reads on or holds back. The client may be gone
/// afterwards.
void TcpClients::settle(Client& client) {
  if (client.taking) return;
  const bool done = client.ended && client.in_flight == 0 && client.stream->unsent_bytes() == 0;
  if (done || client.broken) return drop(client.id);
  const bool pause = client.held_back() || (client.finishing && client.asked);
  if (pause != client.paused) {
    client.paused = pause;
    client.stream->set_paused(pause);
  }
}

void TcpClients::reply(Id id, Bytes message) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = *found->second;
  frame_.resize(kLengthBytes + message.size());
  ByteWriter out(frame_);
  out.u16(static_cast<std::uint16_t>(message.size()));
  out.put(message);
  if (!client.stream->write(frame_)) client.broken = true;
  no_reply(id);
}

void TcpClients::no_reply(Id id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = *found->second;
  OUTRIDER_ASSERT(client.in_flight > 0);
  --client.in_flight;
  if (client.taking) return;
  take(client);  // one that was held back may go on
}

void TcpClients::drop(Id client) {
  clients_.erase(client);
  if (finished_ && clients_.empty()) finish_after(Duration::zero());
}

void TcpClients::finish_after(Duration time) {
  finish_timer_ = env_.after(time, [this] {
    std::erase_if(clients_, [](const auto& each) { return !each.second->asked; });
    if (auto callback = std::exchange(finished_, nullptr)) callback();
  });
}

void TcpClients::finish(Callback<void()> done) {
  finished_ = std::move(done);
  finish_after(clients_.empty() ? Duration::zero() : kTcpFirstQueryMax);
  std::vector<Client*> all;
  for (const auto& [id, client] : clients_)
    all.push_back(client.get());
  for (Client* const client : all) {
    OUTRIDER_ASSERT(!client->taking);  // take() still reads the input
    client->finishing = true;
    if (!client->asked) continue;
    client->ended = true;
    client->input.clear();
    settle(*client);
  }
}

}  // namespace outrider::dns
