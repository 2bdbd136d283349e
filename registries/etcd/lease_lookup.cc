// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/lease_lookup.h"

#include <algorithm>

namespace outrider::registries::etcd {

struct LeaseLookup::Token final : Pending {
  explicit Token(std::shared_ptr<Question> question) : question_(std::move(question)) {}
  ~Token() override { question_->reply = nullptr; }
  std::shared_ptr<Question> question_;
};

LeaseLookup::~LeaseLookup() = default;

std::unique_ptr<Pending> LeaseLookup::ask(std::span<const std::int64_t> leases,
                                          Engine::LeasesReply reply) {
  if (leases.empty()) return nullptr;
  std::erase_if(questions_, [](const auto& each) { return !each->reply; });
  for (const std::int64_t lease : leases)
    if (leases_.size() < kLeasesPerRound && std::ranges::find(leases_, lease) == leases_.end())
      leases_.push_back(lease);
  auto question = std::make_shared<Question>(Question{std::move(reply)});
  questions_.push_back(question);
  if (!end_.pending()) {
    end_ = env_.after(kLeaseLookupMax, [this] { finish(); });
    ask_next();
  }
  return std::make_unique<Token>(std::move(question));
}

bool LeaseLookup::is_wanted() const {
  return std::ranges::any_of(questions_, [](const auto& each) { return bool(each->reply); });
}

void LeaseLookup::ask_next() {
  const std::int64_t lease = leases_[next_++];
  call_ = client_.call(
      "/v3/lease/timetolive", lease_request(lease),
      [this, lease](Result<Answer, Failure> result) {
        call_.reset();
        // What one call did not get, the next one will not get in time either.
        if (!result) return finish();
        if (result->ttl < 0)
          found_[lease] = {};
        else if (result->granted_ttl > 0)
          found_[lease] = {.left = std::chrono::seconds(result->ttl),
                           .granted = std::chrono::seconds(result->granted_ttl)};
        if (next_ == leases_.size() || !is_wanted()) return finish();
        ask_next();
      },
      kAnswerBytesMax, std::max<Duration>(end_.due() - env_.now(), std::chrono::milliseconds(1)));
}

void LeaseLookup::finish() {
  call_.reset();
  end_.reset();
  leases_.clear();
  next_ = 0;
  // A reply may ask again, or destroy this.
  const LeaseTimes found = std::exchange(found_, {});
  for (const auto& question : std::exchange(questions_, {}))
    if (auto reply = std::exchange(question->reply, nullptr)) reply(found);
}

}  // namespace outrider::registries::etcd
