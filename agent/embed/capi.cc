// SPDX-License-Identifier: Apache-2.0
// The functions of include/outrider.h: arguments are checked, and no exception leaves.
#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include "agent/embed/options.h"
#include "include/outrider.h"

using namespace outrider;
using embed::Failure;
using embed::Outcome;
using embed::Session;
using embed::Watch;

namespace {

constexpr const char* kErrors[] = {
    "success",
    "an argument, the configuration or a registration is wrong",
    "out of memory",
    "no such service, instance or check",
    "the agent refuses it",
    "not within the time",
    "the call would have to wait, and must not here",
    "the call is not allowed on this thread",
    "the agent belongs to the parent process",
    "no agent answers on the socket",
    "this user may not use the agent's socket",
    "the system refuses it",
    "the agent is being freed, or has failed",
};

Session* session_of(outrider_agent* agent) {
  return reinterpret_cast<Session*>(agent);
}

/// Runs `body`, which returns 0 or an error.
template <class Body>
int guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return OUTRIDER_ENOMEM;
  } catch (...) {
    return OUTRIDER_EFAILED;
  }
}

/// One call to a session, from enter() to leave(), which may destroy it.
class Entered {
 public:
  explicit Entered(Session& session) : session_(session), code_(session.enter()) {}
  ~Entered() {
    if (code_ == 0) session_.leave();
  }
  Entered(const Entered&) = delete;
  int code() const { return code_; }

 private:
  Session& session_;
  int code_;
};

template <class Body>
int call(outrider_agent* agent, Body body) noexcept {
  if (agent == nullptr) return OUTRIDER_EINVAL;
  return guarded([&] {
    Session& session = *session_of(agent);
    const Entered entered(session);
    if (entered.code() < 0) return entered.code();
    try {
      return body(session);
    } catch (const std::bad_alloc&) {
      return session.on_no_memory();
    }
  });
}

/// A copy for the caller; null when memory is out.
char* copy_of(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) return nullptr;
  *std::copy(text.begin(), text.end(), copy) = '\0';
  return copy;
}

int give(const std::string& text, char** out) {
  *out = copy_of(text);
  return *out == nullptr ? OUTRIDER_ENOMEM : 0;
}

int missing(Session& session, const char* what) {
  return session.note({OUTRIDER_EINVAL, std::string("missing argument: ") + what});
}

/// A request whose answer is the caller's.
int fetch(outrider_agent* agent, const embed::Request& request, char** json) {
  return call(agent, [&](Session& session) {
    if (json == nullptr) return missing(session, "json");
    const Outcome outcome = session.ask(request);
    return outcome ? give(*outcome, json) : session.note(outcome.error());
  });
}

/// A change of the registration `id`.
int change(outrider_agent* agent, const char* id, const char* action, const std::string& query) {
  return call(agent, [&](Session& session) {
    if (id == nullptr) return missing(session, "id");
    const Outcome outcome = session.ask(embed::change_request(action, id, query));
    return outcome ? 0 : session.note(outcome.error());
  });
}

int copy_cut(std::string_view text, char* out, std::size_t size) {
  if (out != nullptr && size > 0) {
    const std::string_view cut = text.substr(0, size - 1);
    *std::copy(cut.begin(), cut.end(), out) = '\0';
  }
  return static_cast<int>(text.size());
}

/// Options of another version of the header: a shorter one is filled up with defaults, a longer one
/// may not ask for what this version does not have.
std::optional<outrider_options> options_of(const outrider_options* given) {
  if (given == nullptr || given->size < offsetof(outrider_options, config)) return std::nullopt;
  outrider_options options = embed::default_options();
  const auto* from = reinterpret_cast<const unsigned char*>(given);
  std::copy_n(from, std::min(given->size, sizeof options),
              reinterpret_cast<unsigned char*>(&options));
  for (std::size_t i = sizeof options; i < given->size; ++i)
    if (from[i] != 0) return std::nullopt;
  options.size = sizeof options;
  return options;
}

int make(embed::Way way, outrider_agent** agent, const outrider_options* options, char* error,
         std::size_t error_size) noexcept {
  copy_cut({}, error, error_size);
  const int code = guarded([&] {
    if (agent == nullptr) return OUTRIDER_EINVAL;
    *agent = nullptr;
    const auto known = options_of(options);
    if (!known) {
      copy_cut(
          "options: call outrider_options_init() first, and set nothing that this version of "
          "the library does not have",
          error, error_size);
      return OUTRIDER_EINVAL;
    }
    auto session = embed::make_session(way, *known);
    if (session) {
      *agent = reinterpret_cast<outrider_agent*>(*session);
      return 0;
    }
    const Failure& why = session.error();
    copy_cut(why.text.empty() ? outrider_strerror(why.code) : why.text, error, error_size);
    return why.code;
  });
  if (code < 0 && error != nullptr && error_size > 0 && *error == '\0')
    copy_cut(outrider_strerror(code), error, error_size);
  return code;
}

}  // namespace

extern "C" {

std::uint32_t outrider_version(void) {
  return OUTRIDER_VERSION_NUMBER;
}

const char* outrider_strerror(int code) {
  const auto index = static_cast<std::size_t>(-static_cast<long>(code));
  return code <= 0 && index < std::size(kErrors) ? kErrors[index] : "unknown error";
}

void outrider_free_text(char* text) {
  std::free(text);
}

int outrider_options_init(outrider_options* options, size_t size) {
  if (options == nullptr || size < offsetof(outrider_options, config)) return OUTRIDER_EINVAL;
  outrider_options all = embed::default_options();
  all.size = size;
  auto* to = reinterpret_cast<unsigned char*>(options);
  std::fill_n(to, size, static_cast<unsigned char>(0));
  std::copy_n(reinterpret_cast<const unsigned char*>(&all), std::min(size, sizeof all), to);
  return 0;
}

int outrider_start(outrider_agent** agent, const outrider_options* options, char* error,
                   size_t error_size) {
  return make(embed::Way::start, agent, options, error, error_size);
}

int outrider_connect(outrider_agent** agent, const outrider_options* options, char* error,
                     size_t error_size) {
  return make(embed::Way::connect, agent, options, error, error_size);
}

int outrider_open(outrider_agent** agent, const outrider_options* options, char* error,
                  size_t error_size) {
  return make(embed::Way::open, agent, options, error, error_size);
}

int outrider_drain(outrider_agent* agent, int timeout_ms) {
  return call(agent, [&](Session& session) { return session.drain(timeout_ms); });
}

void outrider_free(outrider_agent* agent) {
  if (agent == nullptr || session_of(agent)->is_forked()) return;
  (void)guarded([&] {
    session_of(agent)->release();
    return 0;
  });
}

int outrider_errmsg(outrider_agent* agent, char* text, size_t size) {
  if (agent == nullptr) return copy_cut({}, text, size);
  if (session_of(agent)->is_forked())
    return copy_cut(outrider_strerror(OUTRIDER_EFORKED), text, size);
  return guarded([&] { return copy_cut(session_of(agent)->error(), text, size); });
}

int outrider_on_thread(outrider_agent* agent) {
  return agent != nullptr && !session_of(agent)->is_forked() && session_of(agent)->is_on_thread();
}

int outrider_fd(outrider_agent* agent) {
  return call(agent, [](Session& session) { return session.fd(); });
}

int64_t outrider_deadline(outrider_agent* agent) {
  if (agent == nullptr) return OUTRIDER_EINVAL;
  if (session_of(agent)->is_forked()) return OUTRIDER_EFORKED;
  return session_of(agent)->deadline();
}

int outrider_process(outrider_agent* agent) {
  return call(agent, [](Session& session) { return session.process(); });
}

int outrider_register(outrider_agent* agent, const char* json, char** id) {
  return call(agent, [&](Session& session) {
    if (json == nullptr) return missing(session, "json");
    const Outcome outcome = session.register_service(json);
    if (!outcome) return session.note(outcome.error());
    return id == nullptr ? 0 : give(*outcome, id);
  });
}

int outrider_deregister(outrider_agent* agent, const char* id) {
  return call(agent, [&](Session& session) {
    return id == nullptr ? missing(session, "id") : session.deregister(id);
  });
}

int outrider_renew(outrider_agent* agent, const char* id) {
  return outrider_set_health(agent, id, OUTRIDER_PASSING, nullptr);
}

int outrider_set_health(outrider_agent* agent, const char* id, int health, const char* note) {
  constexpr const char* kActions[] = {"check/pass", "check/warn", "check/fail"};
  if (health < OUTRIDER_PASSING || health > OUTRIDER_CRITICAL)
    return call(agent, [&](Session& session) {
      return session.note({OUTRIDER_EINVAL,
                           "health: expected OUTRIDER_PASSING, OUTRIDER_WARNING "
                           "or OUTRIDER_CRITICAL"});
    });
  return guarded(
      [&] { return change(agent, id, kActions[health], embed::parameter("note", note)); });
}

int outrider_set_maintenance(outrider_agent* agent, const char* id, int on, const char* reason) {
  return guarded([&] {
    const std::string text = embed::parameter("reason", reason);
    return change(
        agent, id, "maintenance",
        std::string(on != 0 ? "enable=true" : "enable=false") + (text.empty() ? "" : "&") + text);
  });
}

int outrider_set_draining(outrider_agent* agent, const char* id, int on) {
  return guarded(
      [&] { return change(agent, id, "drain", on != 0 ? "enable=true" : "enable=false"); });
}

int outrider_get(outrider_agent* agent, const char* name, const char* filter, char** json) {
  return guarded([&] { return fetch(agent, embed::get_request(name, filter), json); });
}

int outrider_list(outrider_agent* agent, const char* filter, char** json) {
  return guarded([&] { return fetch(agent, embed::list_request(filter), json); });
}

int outrider_select(outrider_agent* agent, const char* name, const char* filter, char** json) {
  if (name == nullptr) return OUTRIDER_EINVAL;
  return guarded([&] { return fetch(agent, embed::select_request(name, filter), json); });
}

int outrider_why(outrider_agent* agent, const char* name, char** json) {
  if (name == nullptr) return OUTRIDER_EINVAL;
  return guarded([&] { return fetch(agent, embed::why_request(name), json); });
}

int outrider_manifest(outrider_agent* agent, const char* id, char** json) {
  return guarded([&] { return fetch(agent, embed::manifest_request(id), json); });
}

int outrider_snapshot(outrider_agent* agent, char** json) {
  return outrider_get(agent, nullptr, nullptr, json);
}

int outrider_watch(outrider_agent* agent, const char* name, const char* filter,
                   outrider_text_callback callback, void* user, outrider_watcher** watcher) {
  return call(agent, [&](Session& session) {
    if (callback == nullptr && watcher == nullptr) return missing(session, "watcher");
    const auto watch = session.watch(name, filter, callback, user);
    if (!watch) return session.note(watch.error());
    if (watcher != nullptr) *watcher = reinterpret_cast<outrider_watcher*>(*watch);
    session.begin(*watch);
    return 0;
  });
}

int outrider_next(outrider_watcher* watcher, int timeout_ms, char** json) {
  if (watcher == nullptr) return OUTRIDER_EINVAL;
  Watch& watch = *reinterpret_cast<Watch*>(watcher);
  return call(reinterpret_cast<outrider_agent*>(&watch.session()), [&](Session& session) {
    if (json == nullptr) return missing(session, "json");
    std::string document;
    const int code = session.next(watch, timeout_ms, document);
    return code < 0 ? session.note({code}) : give(document, json);
  });
}

void outrider_unwatch(outrider_watcher* watcher) {
  if (watcher == nullptr) return;
  Watch* watch = reinterpret_cast<Watch*>(watcher);
  (void)call(reinterpret_cast<outrider_agent*>(&watch->session()), [&](Session& session) {
    session.unwatch(watch);
    return 0;
  });
}

int outrider_wait(outrider_agent* agent, const char* name, int count, int timeout_ms) {
  return call(agent, [&](Session& session) {
    return name == nullptr ? missing(session, "name") : session.wait(name, count, timeout_ms);
  });
}

}  // extern "C"
