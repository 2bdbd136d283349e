// SPDX-License-Identifier: Apache-2.0
// Every allocation of start, register and stop fails once, in each mode: the program gets an error,
// goes on, and loses no memory. Without failures, a thousand agents lose nothing either.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <new>
#include <string>

#include <dlfcn.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "tests/embed/agents.h"

extern "C" {
extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* old, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void* block);
}

namespace outrider::test {
namespace {

std::atomic<long> left = 0;   // allocations until the one that fails; 0: none does
std::atomic<long> live = 0;   // blocks
std::atomic<long> bytes = 0;  // in them

void take(void* block) {
  live += block != nullptr;
  bytes += static_cast<long>(malloc_usable_size(block));
}

void give_back(void* block) {
  live -= block != nullptr;
  bytes -= static_cast<long>(malloc_usable_size(block));
}
std::atomic<bool> failed = false;

/// libuv aborts by itself where its table of descriptors cannot grow, and a thread that gets no
/// storage of its own ends the program in the C library: neither is ours to mend.
bool is_ours(void* caller) {
  Dl_info info{};
  if (dladdr(caller, &info) == 0 || info.dli_fname == nullptr) return false;
  const std::string_view file = info.dli_fname;
  for (const std::string_view other : {"/libuv.", "/ld-linux", "/libc.so"})
    if (file.find(other) != std::string_view::npos) return false;
  return true;
}

bool fails(void* caller) {
  if (left.load() <= 0 || !is_ours(caller)) return false;
  if (left.fetch_sub(1) != 1) return false;
  failed = true;
  errno = ENOMEM;
  return true;
}

}  // namespace
}  // namespace outrider::test

// NOLINTBEGIN: these replace those of the C library.
extern "C" void* malloc(size_t size) {
  if (outrider::test::fails(__builtin_return_address(0))) return nullptr;
  void* block = __libc_malloc(size);
  outrider::test::take(block);
  return block;
}
extern "C" void* calloc(size_t count, size_t size) {
  if (outrider::test::fails(__builtin_return_address(0))) return nullptr;
  void* block = __libc_calloc(count, size);
  outrider::test::take(block);
  return block;
}
extern "C" void* realloc(void* old, size_t size) {
  if (outrider::test::fails(__builtin_return_address(0))) return nullptr;
  const auto before = static_cast<long>(malloc_usable_size(old));
  void* block = __libc_realloc(old, size);
  if (block == nullptr) return nullptr;
  outrider::test::take(block);
  outrider::test::live -= old != nullptr;
  outrider::test::bytes -= before;
  return block;
}
extern "C" void free(void* block) {
  outrider::test::give_back(block);
  __libc_free(block);
}
// NOLINTEND

namespace outrider::test {
namespace {

struct Outcome {
  int worst = 0;  // of all calls
  bool closed = false;
  bool ends_well = true;  // `closed` was called, and the loop is empty
};

void note(Outcome& outcome, int code) {
  outcome.worst = code < outcome.worst ? code : outcome.worst;
}

void use(outrider_agent* agent, Outcome& outcome) {
  char* id = nullptr;
  note(outcome, outrider_register(agent, kOrders, &id));
  outrider_free_text(id);
  note(outcome, outrider_renew(agent, "o1"));
  if (outrider_fd(agent) >= 0)
    for (int i = 0; i < 3; ++i)
      note(outcome, outrider_process(agent));
  note(outcome, outrider_deregister(agent, "o1"));
}

/// How an agent is made: its mode, and the socket of the one that it is connected to.
struct How {
  uint32_t mode;
  const char* socket = nullptr;  // null: an agent of the program's own
};

Outcome live_once(const How& how) {
  const uint32_t mode = how.mode;
  Outcome outcome;
  outrider_agent* agent = nullptr;
  uv_loop_t loop;
  outrider_options options = quiet(mode);
  options.user = &outcome;
  options.closed = [](void* user) { static_cast<Outcome*>(user)->closed = true; };
  if (mode == OUTRIDER_LOOP) {
    uv_loop_init(&loop);
    options.uv_loop = &loop;
    options.flags = OUTRIDER_KEEP_LOOP_ALIVE;
  }
  options.socket = how.socket;
  const auto make = how.socket != nullptr ? outrider_connect : outrider_start;
  const int started = make(&agent, &options, nullptr, 0);
  note(outcome, started);
  if (started == 0) {
    use(agent, outcome);
    if (mode == OUTRIDER_LOOP) uv_run(&loop, UV_RUN_NOWAIT);
    outrider_free(agent);
  }
  left = 0;
  if (mode == OUTRIDER_LOOP) {
    uv_run(&loop, UV_RUN_DEFAULT);
    outcome.ends_well = uv_loop_close(&loop) == 0;
  }
  outcome.ends_well = outcome.ends_well && outcome.closed == (started == 0);
  return outcome;
}

/// Of the allocations, one in this many fails.
constexpr long kStep = 17;
constexpr long kAllocationsMax = 20'000;  // in one life
constexpr unsigned kLifeMax = 30;         // seconds

/// What one life ends with, in a process of its own.
enum class End : int { unharmed, error, none_failed, leak, unclosed };

End end_of(const How& how, long number) {
  const long before = live;
  failed = false;
  left = number;
  const Outcome outcome = live_once(how);
  if (!failed) return End::none_failed;
  if (live != before) return End::leak;
  if (!outcome.ends_well) return End::unclosed;
  return outcome.worst < 0 ? End::error : End::unharmed;
}

/// In a process of its own, where allocation `number` fails. False: there is none of this number.
bool fail_one(const How& how, long number, long& errors) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGBUS})
      std::signal(signal, SIG_DFL);  // not those of doctest
    ::alarm(kLifeMax);
    ::_exit(static_cast<int>(end_of(how, number)));
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CAPTURE(number);
  CHECK_MESSAGE(WIFEXITED(status), "it crashed by signal " << WTERMSIG(status));
  if (!WIFEXITED(status)) return true;
  const auto end = static_cast<End>(WEXITSTATUS(status));
  CHECK(end != End::leak);
  CHECK(end != End::unclosed);
  errors += end == End::error;
  return end != End::none_failed;
}

void fail_each(const How& how, long step = kStep) {
  // All of them take minutes: OUTRIDER_EACH=1.
  if (std::getenv("OUTRIDER_EACH") != nullptr) step = 1;
  long errors = 0, number = 1;
  for (int i = 0; i < 2; ++i)
    (void)live_once(how);  // what is kept for good is there now
  for (; fail_one(how, number, errors); number += step)
    REQUIRE(number < kAllocationsMax);
  MESSAGE("mode " << how.mode << ": " << number - 1 << " allocations, " << errors << " errors");
  CHECK(number > 100);
  CHECK(errors * step > number / 2);
  // The last ones, each: those of freeing the agent, which returns no error.
  for (long last = number - 2 * kStep; last < number; ++last)
    (void)fail_one(how, last, errors);
}

int open_descriptors() {
  int open = 0;
  for (int fd = 0; fd < 256; ++fd) {
    pollfd one{fd, 0, 0};
    ::poll(&one, 1, 0);
    open += (one.revents & POLLNVAL) == 0;
  }
  return open;
}

constexpr int kAgents = 1'000;
constexpr uint32_t kEachMode[] = {OUTRIDER_THREAD, OUTRIDER_FD, OUTRIDER_LOOP};

}  // namespace

TEST_CASE("a thousand agents, one after the other, leave no descriptor and no memory behind") {
  for (const uint32_t mode : kEachMode)
    for (int i = 0; i < 2; ++i)
      (void)live_once({mode});  // what is kept for good is there now
  const int descriptors = open_descriptors();
  const long blocks_before = live, bytes_before = bytes;
  int failures = 0;
  for (int i = 0; i < kAgents; ++i) {
    const Outcome outcome = live_once({kEachMode[i % 3]});
    failures += outcome.worst < 0 || !outcome.ends_well;
  }
  const long blocks_after = live, bytes_after = bytes;
  CHECK(failures == 0);
  CHECK(blocks_after == blocks_before);
  CHECK(bytes_after == bytes_before);
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("an allocation that fails is an error, and nothing is lost: thread") {
  fail_each({OUTRIDER_THREAD});
}

TEST_CASE("an allocation that fails is an error, and nothing is lost: fd") {
  fail_each({OUTRIDER_FD});
}

TEST_CASE("an allocation that fails is an error, and nothing is lost: loop") {
  fail_each({OUTRIDER_LOOP});
}

TEST_CASE("an allocation that fails is an error, and nothing is lost: connected") {
  const std::string socket = scratch(".sock");
  const std::string config = R"({"mdns": {"provider": "off"}, "dns": {"forward": "off"},
      "api": {"socket": ")" + socket +
                             "\"}}";
  outrider_options options = quiet();
  options.config = config.c_str();
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t daemon = ::fork();  // its memory does not fail
  if (daemon == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    outrider_agent* agent = nullptr;
    if (outrider_start(&agent, &options, nullptr, 0) < 0) ::_exit(1);
    ::close(ready[1]);  // says so
    for (;;)
      ::pause();
  }
  ::close(ready[1]);
  char none = 0;
  REQUIRE(::read(ready[0], &none, 1) == 0);
  ::close(ready[0]);
  fail_each({OUTRIDER_THREAD, socket.c_str()}, 1);  // they are few
  ::kill(daemon, SIGKILL);
  ::waitpid(daemon, nullptr, 0);
  ::unlink(socket.c_str());
}

}  // namespace outrider::test
