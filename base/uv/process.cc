// SPDX-License-Identifier: Apache-2.0
#include "base/uv/process.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <unistd.h>

namespace outrider::uv {
namespace {

/// Ours with the additions, which replace variables of the same name.
std::vector<std::string> merged_environment(const std::vector<std::string>& additions) {
  const auto name_of = [](std::string_view variable) {
    return variable.substr(0, variable.find('='));
  };
  std::vector<std::string> merged = additions;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const bool replaced = std::ranges::any_of(additions, [&](const std::string& addition) {
      return name_of(addition) == name_of(*variable);
    });
    if (!replaced) merged.emplace_back(*variable);
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

}  // namespace

Orphan::Orphan(Loop::State& loop, ChildHandle handle) : loop_(loop), handle_(std::move(handle)) {
  handle_.set_owner(*this);
  // A forgotten child must not keep a host program's loop running.
  uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get()));
}

void Orphan::on_exit(ExitStatus) {
  std::erase_if(loop_.orphans, [this](const auto& orphan) { return orphan.get() == this; });
}

ChildProcess::~ChildProcess() {
  if (running_) loop_.orphans.push_back(std::make_unique<Orphan>(loop_, std::move(handle_)));
}

int ChildProcess::start(const SpawnOptions& options) {
  OUTRIDER_ASSERT(!options.arguments.empty());
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = merged_environment(options.environment);
  std::vector<char*> argument_pointers = pointers_to(arguments);
  std::vector<char*> environment_pointers = pointers_to(environment);
  std::array<uv_stdio_container_t, 3> streams{};
  for (int fd = 0; fd < 3; ++fd) {
    streams[static_cast<std::size_t>(fd)].flags = UV_INHERIT_FD;
    streams[static_cast<std::size_t>(fd)].data.fd = fd;
  }
  uv_process_options_t spawn{};
  spawn.file = argument_pointers.front();
  spawn.args = argument_pointers.data();
  spawn.env = environment_pointers.data();
  spawn.stdio = streams.data();
  spawn.stdio_count = static_cast<int>(streams.size());
  spawn.exit_cb = [](uv_process_t* process, std::int64_t code, int signal) {
    if (ChildOwner* owner = ChildHandle::owner(process))
      owner->on_exit({static_cast<int>(code), signal});
  };
  int code = 0;
  // libuv knows the handle also when it could not start the child.
  handle_.open(*loop_.core, *this, [&](uv_loop_t* uv, uv_process_t* process) {
    code = uv_spawn(uv, process, &spawn);
    return 0;
  });
  if (code != 0) return code;
  pid_ = uv_process_get_pid(handle_.get());
  running_ = true;
  return 0;
}

bool ChildProcess::kill(int signal) {
  return running_ && uv_process_kill(handle_.get(), signal) == 0;
}

void ChildProcess::on_exit(ExitStatus status) {
  running_ = false;
  // The callback may destroy this, so it runs from the stack.
  Callback<void(ExitStatus)> callback = std::move(callback_);
  if (callback) callback(status);
}

Result<std::unique_ptr<Process>, std::string> Loop::spawn(const SpawnOptions& options,
                                                          Callback<void(ExitStatus)> on_exit) {
  auto child = std::make_unique<ChildProcess>(*state_, std::move(on_exit));
  if (const int code = child->start(options); code != 0)
    return failure(std::string(uv_strerror(code)));
  return child;
}

}  // namespace outrider::uv
