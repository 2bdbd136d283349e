// SPDX-License-Identifier: Apache-2.0
#include "agent/host_lookup.h"

#include <algorithm>
#include <array>
#include <variant>

#include "base/text.h"
#include "dns/upstream_servers.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"

namespace outrider {
namespace {

constexpr std::uint8_t kNoError = 0;
constexpr std::uint8_t kNameError = 3;
constexpr std::size_t kQueryBytesMax = 512;

/// What libc asks for, one after another (resolv.conf(5), ndots).
std::vector<dns::Name> candidates(std::string_view host, const dns::ResolvConf& conf) {
  const auto dots = std::ranges::count(host, '.');
  const bool absolute = host.ends_with('.');
  std::vector<dns::Name> names;
  const auto add = [&](const std::string& text) {
    if (auto name = dns::Name::parse(text)) names.push_back(std::move(*name));
  };
  if (absolute || dots >= conf.ndots) add(std::string(host));
  if (absolute) return names;
  for (const dns::Name& domain : conf.search)
    add(std::string(host) + '.' + domain.to_string());
  if (dots < conf.ndots) add(std::string(host));
  return names;
}

}  // namespace

std::vector<IpAddress> addresses_in_hosts(std::string_view hosts, std::string_view name) {
  std::vector<IpAddress> found;
  while (auto line = take_line(hosts)) {
    std::string_view words = line->substr(0, line->find('#'));
    const auto address = IpAddress::parse(take_word(words));
    for (std::string_view word = take_word(words); !word.empty(); word = take_word(words))
      if (address && equal_fold(word, name) && found.size() < kHostAddressesMax) {
        found.push_back(*address);
        break;
      }
  }
  return found;
}

// One lookup: candidate by candidate, server by server, A and AAAA together.
class HostLookup::Question final : public Pending {
 public:
  Question(Env& env, dns::Upstream* upstream, std::vector<dns::Name> names,
           std::vector<Endpoint> servers, Callback<void(Found)> callback)
      : env_(env),
        upstream_(upstream),
        names_(std::move(names)),
        servers_(std::move(servers)),
        callback_(std::move(callback)) {}

  /// Ends in the next turn with what is known already.
  void answer_later(Found found) {
    later_ = env_.after(Duration::zero(),
                        [this, found = std::move(found)]() mutable { finish(std::move(found)); });
  }

  void ask() {
    if (name_ == names_.size())
      return answer_later(failure(std::string("the name has no address")));
    if (server_ == servers_.size())
      return answer_later(failure(std::string("no name server answers")));
    open_ = 2;
    certain_ = true;
    found_.clear();
    const dns::RrType types[] = {dns::RrType::a, dns::RrType::aaaa};
    for (std::size_t i = 0; i < 2; ++i) {
      std::array<std::uint8_t, kQueryBytesMax> buffer;
      dns::MessageBuilder message(buffer);
      message.set_id(env_.random.u16());
      message.set_flags({.recursion_desired = true});
      static_cast<void>(message.add_question({.name = names_[name_], .type = types[i]}));
      sent_[i] = upstream_->send(servers_[server_], message.finish(), kHostLookupPatience,
                                 [this](auto answer) { take(std::move(answer)); });
    }
  }

 private:
  void take(Result<Bytes, dns::UpstreamError> answer) {
    if (!answer || !read(*answer)) certain_ = false;
    if (--open_ > 0) return;
    if (!found_.empty()) {
      std::ranges::stable_partition(found_, &IpAddress::is_v4);
      return answer_later(std::move(found_));
    }
    if (certain_) {
      ++name_;
      server_ = 0;
    } else {
      ++server_;
    }
    later_ = env_.after(Duration::zero(), [this] { ask(); });
  }

  /// False: another server may know more.
  bool read(Bytes bytes) {
    const auto message = dns::MessageView::parse(bytes);
    if (!message) return false;
    const std::uint8_t rcode = message->header().flags.rcode;
    dns::RecordCursor records = message->records();
    while (const auto next = records.next()) {
      if (next->section != dns::Section::answer) continue;
      const auto* data = std::get_if<dns::AddressData>(&next->record.data);
      if (data != nullptr && found_.size() < kHostAddressesMax) found_.push_back(data->address);
    }
    return rcode == kNoError || rcode == kNameError;
  }

  void finish(Found found) {
    Callback<void(Found)> callback = std::move(callback_);
    callback(std::move(found));
  }

  Env& env_;
  dns::Upstream* upstream_;
  const std::vector<dns::Name> names_;
  const std::vector<Endpoint> servers_;
  Callback<void(Found)> callback_;
  std::size_t name_ = 0, server_ = 0;
  int open_ = 0;
  bool certain_ = true;
  std::vector<IpAddress> found_;
  Timer later_;
  std::unique_ptr<Pending> sent_[2];
};

HostLookup::HostLookup(Env& env, HostLookupParts parts) : env_(env), parts_(std::move(parts)) {}

HostLookup::~HostLookup() = default;

std::vector<Endpoint> HostLookup::servers(const dns::ResolvConf& conf) const {
  const auto of_others = [this](std::vector<Endpoint> all) {
    std::erase_if(all, [this](const Endpoint& server) {
      return dns::is_own(env_.network, parts_.own, server);
    });
    return all;
  };
  std::vector<Endpoint> servers = of_others(conf.servers);
  return servers.empty() ? of_others(parts_.uplink_conf().servers) : servers;
}

std::unique_ptr<Pending> HostLookup::look_up(std::string_view host,
                                             Callback<void(Found)> callback) {
  const dns::ResolvConf conf = parts_.resolv_conf();
  if (!upstream_) upstream_ = parts_.make_upstream(env_);
  auto question = std::make_unique<Question>(env_, upstream_.get(), candidates(host, conf),
                                             servers(conf), std::move(callback));
  std::vector<IpAddress> known = addresses_in_hosts(parts_.hosts(), host);
  if (!known.empty())
    question->answer_later(std::move(known));
  else
    question->ask();
  return question;
}

}  // namespace outrider
