// SPDX-License-Identifier: Apache-2.0
#include "base/uv/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uv/socket.h"

namespace outrider::uv {
namespace {

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

/// Ours with the additions, which replace variables of the same name.
std::vector<std::string> environment_of(const SpawnOptions& options) {
  std::vector<std::string> merged = options.environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view name = name_of(*variable);
    const bool replaced =
        std::ranges::any_of(options.environment,
                            [&](const std::string& addition) { return name_of(addition) == name; });
    if (!replaced && std::ranges::find(options.without, name) == options.without.end())
      merged.emplace_back(*variable);
  }
  return merged;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings)
    pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Room for the id of any process, in a variable whose value is written after the fork.
constexpr std::string_view kPidRoom = "0000000000";

/// The value of LISTEN_PID in `environment`, made long enough for any process; null unless it names
/// us. A service manager's sockets are inherited, and the program takes our place
/// (sd_listen_fds(3)).
char* listen_pid_in(std::vector<std::string>& environment) {
  constexpr std::string_view kVariable = "LISTEN_PID=";
  const std::string ours = std::string(kVariable) + std::to_string(::getpid());
  const auto found = std::ranges::find(environment, ours);
  if (found == environment.end()) return nullptr;
  *found = std::string(kVariable) + std::string(kPidRoom);
  return found->data() + kVariable.size();
}

/// What the new process needs between fork and exec, where it must not allocate.
struct Plan {
  char* const* arguments;
  char** environment;
  char* listen_pid;  // kPidRoom octets in the environment, or null
  bool ends_with_us;
  pid_t parent;
  int output;  // for its standard output; -1: ours
  int errors;  // a pipe that exec closes
};

/// Ignored signals stay ignored, as without us; our own handlers and blocks do not reach it.
[[noreturn]] void become(const Plan& plan) {
  for (int signal = 1; signal < NSIG; ++signal)
    if (signal == SIGPIPE || !is_ignored(signal))  // SIGPIPE is ignored for our own sockets
      std::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  if (plan.ends_with_us) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != plan.parent) ::_exit(128 + SIGTERM);  // we have ended before that
  }
  // What dup2 makes is not closed by exec.
  if (plan.output >= 0) ::dup2(plan.output, STDOUT_FILENO);
  if (plan.listen_pid != nullptr)
    *std::to_chars(plan.listen_pid, plan.listen_pid + kPidRoom.size(), ::getpid()).ptr = '\0';
  environ = plan.environment;
  ::execvp(plan.arguments[0], plan.arguments);
  const int error = errno;
  (void)!::write(plan.errors, &error, sizeof error);
  ::_exit(127);
}

/// Waits for exec: the errno of its failure, or 0.
int exec_error(int pipe) {
  int error = 0;
  ssize_t size = 0;
  do
    size = ::read(pipe, &error, sizeof error);
  while (size < 0 && errno == EINTR);
  return size == sizeof error ? error : 0;
}

/// Of an error of execvp(3). A file that is there and is no program the kernel can run belongs to
/// those that cannot be executed, as it does in shells.
SpawnError::Kind kind_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return SpawnError::Kind::not_found;
  const bool refused = error == EACCES || error == EPERM || error == ENOEXEC || error == EISDIR ||
                       error == ELIBBAD || error == ETXTBSY;
  return refused ? SpawnError::Kind::not_executable : SpawnError::Kind::other;
}

/// Nothing while it runs.
std::optional<ExitStatus> reap(pid_t pid) {
  int status = 0;
  const pid_t reaped = ::waitpid(pid, &status, WNOHANG);
  if (reaped == 0) return std::nullopt;
  if (reaped < 0) return ExitStatus{};  // reaped by another part of a host program
  if (WIFSIGNALED(status)) return ExitStatus{.code = 0, .signal = WTERMSIG(status)};
  return ExitStatus{.code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace

void adopt_orphans() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void reap_adopted(std::int64_t other) {
  siginfo_t ended{};
  while (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0 &&
         ended.si_pid != other) {
    ::waitpid(ended.si_pid, nullptr, WNOHANG);
    ended = {};
  }
}

void send_signal(std::int64_t pid, int signal) {
  ::kill(static_cast<pid_t>(pid), signal);
}

Orphan::Orphan(Loop::State& loop, ChildHandle handle, pid_t pid)
    : loop_(loop), handle_(std::move(handle)), pid_(pid) {
  handle_.set_owner(*this);
  // A forgotten child must not keep a host program's loop running.
  uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get()));
}

void Orphan::on_child_signal() {
  if (!reap(pid_)) return;
  std::erase_if(loop_.orphans, [this](const auto& orphan) { return orphan.get() == this; });
}

ChildProcess::~ChildProcess() {
  if (running_) loop_.orphans.push_back(std::make_unique<Orphan>(loop_, std::move(handle_), pid_));
}

int ChildProcess::start(const SpawnOptions& options) {
  OUTRIDER_ASSERT(!options.arguments.empty());
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = environment_of(options);
  char* const listen_pid = listen_pid_in(environment);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  std::vector<char*> environment_pointers = pointers_to(environment);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return errno;
  const FileDescriptor read_end(pipe[0]);
  FileDescriptor write_end(pipe[1]);
  // Before the child exists, so that no end of it is missed.
  int code = handle_.open(*loop_.core, *this, [](uv_loop_t* uv, uv_signal_t* handle) {
    return uv_signal_init(uv, handle);
  });
  if (code < 0) return -code;
  const auto on_signal = [](uv_signal_t* handle, int) {
    ChildHandle::with_owner(handle, [](ChildOwner& owner) { owner.on_child_signal(); });
  };
  code = uv_signal_start(handle_.get(), on_signal, SIGCHLD);
  if (code < 0) return -code;
  const Plan plan{argument_pointers.data(),
                  environment_pointers.data(),
                  listen_pid,
                  options.ends_with_us,
                  ::getpid(),
                  options.output,
                  write_end.get()};
  // No signal may be handled in the child by our own handlers.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int fork_error = errno;
  if (pid == 0) become(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fork_error;
  write_end.reset();
  if (const int error = exec_error(read_end.get()); error != 0) {
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  pid_ = pid;
  running_ = true;
  return 0;
}

bool ChildProcess::kill(int signal) {
  return running_ && ::kill(pid_, signal) == 0;
}

void ChildProcess::on_child_signal() {
  if (!running_) return;
  const auto status = reap(pid_);
  if (!status) return;
  running_ = false;
  handle_.close();
  // The callback may destroy this, so it runs from the stack.
  Callback<void(ExitStatus)> callback = std::move(callback_);
  if (callback) callback(*status);
}

Result<std::unique_ptr<Process>, SpawnError> Loop::spawn(const SpawnOptions& options,
                                                         Callback<void(ExitStatus)> on_exit) {
  auto child = std::make_unique<ChildProcess>(*state_, std::move(on_exit));
  if (const int code = child->start(options); code != 0)
    return failure(SpawnError{kind_of(code), uv_strerror(uv_translate_sys_error(code))});
  return child;
}

}  // namespace outrider::uv
