// SPDX-License-Identifier: Apache-2.0
// A polite guest: what belongs to the process stays the program's. getenv and its like are this
// program's own here, so that the library's calls are seen.
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "tests/embed/subject.h"

namespace outrider::test {
namespace {

std::atomic<int> reads = 0;  // of the environment or the locale, by the library

void note_caller(void* caller) {
  Dl_info info{};
  if (dladdr(caller, &info) == 0 || info.dli_fname == nullptr) return;
  if (std::string_view(info.dli_fname).find("/liboutrider.so") != std::string_view::npos) ++reads;
}

template <class Function>
Function* next_of(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace outrider::test

// NOLINTBEGIN: these stand before those of the C library.
extern "C" char* getenv(const char* name) {
  outrider::test::note_caller(__builtin_return_address(0));
  return outrider::test::next_of<char*(const char*)>("getenv")(name);
}
extern "C" char* secure_getenv(const char* name) {
  outrider::test::note_caller(__builtin_return_address(0));
  return outrider::test::next_of<char*(const char*)>("secure_getenv")(name);
}
extern "C" char* setlocale(int category, const char* locale) {
  outrider::test::note_caller(__builtin_return_address(0));
  return outrider::test::next_of<char*(int, const char*)>("setlocale")(category, locale);
}
// NOLINTEND

namespace outrider::test {
namespace {

constexpr int kSignals = 32;

/// What signals do, and which of them are blocked.
struct Signals {
  std::array<void (*)(int), kSignals> handlers{};
  sigset_t mask{};
  Signals() {
    for (int signal = 1; signal < kSignals; ++signal) {
      struct sigaction action {};
      ::sigaction(signal, nullptr, &action);
      handlers[static_cast<std::size_t>(signal)] = action.sa_handler;
    }
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  }
  bool blocks_as(const Signals& other) const {
    for (int signal = 1; signal < kSignals; ++signal)
      if (::sigismember(&mask, signal) != ::sigismember(&other.mask, signal)) return false;
    return true;
  }
};

/// Standard output and error go to a file meanwhile.
class Streams {
 public:
  Streams() : out_(::dup(STDOUT_FILENO)), error_(::dup(STDERR_FILENO)) {
    file_ = ::memfd_create("streams", MFD_CLOEXEC);
    ::dup2(file_, STDOUT_FILENO);
    ::dup2(file_, STDERR_FILENO);
  }
  Streams(const Streams&) = delete;
  /// Puts them back, and returns how much was written.
  long end() {
    ::dup2(out_, STDOUT_FILENO);
    ::dup2(error_, STDERR_FILENO);
    struct stat info {};
    ::fstat(file_, &info);
    for (const int fd : {out_, error_, file_})
      ::close(fd);
    return info.st_size;
  }

 private:
  int out_, error_, file_ = -1;
};

}  // namespace

TEST_CASE("a polite guest: signals, SIGPIPE and the log stay the program's") {
  const Signals before;
  int log[2];
  REQUIRE(::pipe(log) == 0);
  outrider_options options = quiet();
  options.log_fd = log[1];
  {
    const Agent first(options), second(quiet()), third(quiet(OUTRIDER_FD));
    REQUIRE(outrider_register(first, kOrders, nullptr) == 0);
    REQUIRE(outrider_register(second, kOrders, nullptr) == 0);
    REQUIRE(outrider_register(third, kOrders, nullptr) == 0);
    CHECK(Signals().blocks_as(before));
    CHECK(Signals().handlers == before.handlers);
    ::close(log[0]);  // writing to it raises SIGPIPE, which would end this program
    REQUIRE(outrider_deregister(first, "o1") == 0);
  }
  ::close(log[1]);
  CHECK(Signals().handlers == before.handlers);
}

TEST_CASE("a polite guest: no environment is read, nothing is written to the standard streams") {
  REQUIRE(std::getenv("PATH") != nullptr);  // by this program, which does not count
  on_each([](Subject& agent) {
    Streams streams;
    Text json;
    const int before = reads;
    int worst = outrider_register(agent, kOrders, nullptr);
    worst += outrider_renew(agent, "o1");
    worst += outrider_get(agent, "orders", nullptr, &json);
    worst += outrider_why(agent, "orders", &json);
    const int refused = outrider_register(agent, "{", nullptr);
    outrider_agent* another = nullptr;
    const outrider_options options = quiet();
    worst += outrider_start(&another, &options, nullptr, 0);
    outrider_free(another);
    const long written = streams.end();
    CHECK(worst == 0);
    CHECK(refused == OUTRIDER_EINVAL);
    CHECK(written == 0);
    CHECK(reads == before);
  });
  CHECK(reads == 0);
}

}  // namespace outrider::test
