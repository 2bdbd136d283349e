// SPDX-License-Identifier: Apache-2.0
// Watching: of Session, and what one watcher keeps.
#include <algorithm>
#include <utility>

#include "agent/embed/session.h"
#include "base/hash.h"
#include "base/uv/system.h"

namespace outrider::embed {

void Watch::on_event(std::string_view name, std::string_view data) {
  if (muted_) return;
  if (kind_ == Kind::list && (name != "list" || !is_news(data))) return;
  if (held_)
    early_.emplace_back(data);
  else
    deliver(std::string(data));
}

/// A list that was empty from the start says nothing; after a reconnect the same list comes again.
bool Watch::is_news(std::string_view list) {
  if (!was_ && list.ends_with("\"instances\":[]}")) return false;
  // The revision, which comes first, also counts changes of other services.
  const std::uint64_t hash = fnv1a(list.substr(std::min(list.find(','), list.size())));
  return std::exchange(was_, hash) != hash;
}

/// May drop this, but not destroy it.
void Watch::deliver(std::string text) {
  if (callback_ != nullptr) return session_.call_back(callback_, user_, text);
  const std::lock_guard lock(session_.driver_.mutex);
  if (kind_ == Kind::list) documents_.clear();
  if (documents_.size() == kEventsKept) {
    documents_.clear();
    session_.restart(*this);
    return;
  }
  documents_.push_back(std::move(text));
  session_.driver_.changed.notify_all();
}

void Session::call_back(outrider_text_callback callback, void* user, const std::string& text) {
  ++depth_;
  callback(user, text.c_str(), text.size());
  --depth_;
}

std::unique_ptr<Pending> Session::open(Watch& watch, Failure& why, Duration most) {
  const auto on_event = [&watch](std::string_view name, std::string_view data) {
    watch.on_event(name, data);
  };
  Transport& transport = local_ != nullptr ? static_cast<Transport&>(*local_) : *remote_;
  auto stream = transport.watch(watch.target_, on_event, most);
  if (stream) return std::move(*stream);
  why = std::move(stream.error());
  return nullptr;
}

Result<Watch*, Failure> Session::watch(const char* name, const char* filter,
                                       outrider_text_callback callback, void* user) {
  return watch_within(settings_.timeout, name, filter, callback, user);
}

Result<Watch*, Failure> Session::watch_within(Duration most, const char* name, const char* filter,
                                              outrider_text_callback callback, void* user) {
  const bool events = name == nullptr;
  if (events && filter != nullptr && *filter != '\0')
    return failure(Failure{OUTRIDER_EINVAL, "events of all services take no filter"});
  auto made =
      std::make_unique<Watch>(*this, events ? Watch::Kind::events : Watch::Kind::list,
                              events ? kEventsTarget : list_target(name, filter), callback, user);
  Watch* watch = made.get();
  watch->held_ = !driver_.is_on_thread();
  Failure why;
  bool opened = false;
  const int code = on_loop(Patience::bounded, [&] {
    watch->stream_ = open(*watch, why, most);
    opened = watch->stream_ != nullptr;
    if (opened) watches_.push_back(std::move(made));
  });
  if (code < 0) return failure(Failure{code});
  if (!opened) return failure(std::move(why));
  return watch;
}

void Session::begin(Watch* watch) {
  if (driver_.is_on_thread()) return;
  driver_.post([watch] {
    watch->held_ = false;
    for (std::string& text : std::exchange(watch->early_, {}))
      if (!watch->muted_) watch->deliver(std::move(text));
  });
}

/// Events were lost: the stream begins again, with a snapshot.
void Session::restart(Watch& watch) {
  watch.muted_ = true;
  watch.restart_ = world_->env().after(Duration::zero(), [this, &watch] {
    Failure why;
    watch.muted_ = false;
    watch.stream_ = open(watch, why, settings_.timeout);
  });
}

int Session::next(Watch& watch, int timeout_ms, std::string& document) {
  return wait_until(
      [&] {
        if (watch.documents_.empty()) return false;
        document = std::move(watch.documents_.front());
        watch.documents_.pop_front();
        return true;
      },
      timeout_ms);
}

void Session::unwatch(Watch* watch) {
  (void)on_loop(Patience::endless, [&] { drop(watch); });
}

/// In a callback it may be the watcher's own: it is destroyed later.
void Session::drop(Watch* watch) {
  const auto at = std::ranges::find(watches_, watch, &std::unique_ptr<Watch>::get);
  if (at == watches_.end()) return;
  (*at)->muted_ = true;
  (*at)->restart_.reset();
  dropped_.splice(dropped_.end(), watches_, at);
  if (depth_ == 0)
    dropped_.clear();
  else if (!drop_timer_.pending())
    drop_timer_ = world_->env().after(Duration::zero(), [this] { dropped_.clear(); });
}

int Session::wait(const char* name, int count, int timeout_ms) {
  if (count <= 0) return 0;
  const auto wanted = static_cast<std::size_t>(count);
  if (timeout_ms == 0 || !is_waiting_allowed()) {
    const Outcome now = ask(get_request(name, "healthy"));
    if (now && count_instances(*now) >= wanted) return 0;
    if (!now && now.error().code != OUTRIDER_ENOTFOUND) return note(now.error());
    return note({timeout_ms == 0 ? OUTRIDER_ETIMEDOUT : OUTRIDER_EWOULDBLOCK});
  }
  const TimePoint begun = uv::now_outside();
  Duration most = settings_.timeout;
  if (timeout_ms > 0) most = std::min<Duration>(most, std::chrono::milliseconds(timeout_ms));
  const auto watching = watch_within(most, name, "healthy", nullptr, nullptr);
  if (!watching) return note(watching.error());
  begin(*watching);
  const auto is_enough = [&] {
    auto& documents = (*watching)->documents_;
    if (documents.empty()) return false;
    const std::string latest = std::move(documents.back());
    documents.clear();
    return count_instances(latest) >= wanted;
  };
  if (timeout_ms > 0) {
    const auto passed = std::chrono::floor<std::chrono::milliseconds>(uv::now_outside() - begun);
    timeout_ms = std::max(1, timeout_ms - static_cast<int>(passed.count()));
  }
  const int code = wait_until(is_enough, timeout_ms);
  if (!closing_) unwatch(*watching);
  return code < 0 ? note({code}) : 0;
}

}  // namespace outrider::embed
