// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/driver.h"

#include <csignal>
#include <utility>

#include <unistd.h>

namespace outrider::embed {

Driver::Driver(Mode mode) : mode_(mode), pid_(::getpid()), owner_(::pthread_self()) {}

bool Driver::is_forked() const {
  return ::getpid() != pid_;
}

bool Driver::is_on_thread() const {
  return ::pthread_equal(owner_, ::pthread_self()) != 0;
}

bool Driver::start_thread(Callback<void()> main) {
  main_ = std::move(main);
  // A thread inherits the mask: no signal of the program is delivered here, and writing to a closed
  // pipe is an error like any other.
  sigset_t all, before;
  ::sigfillset(&all);
  if (::pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  const auto run = [](void* self) -> void* {
    auto* driver = static_cast<Driver*>(self);
    {
      const std::lock_guard lock(driver->mutex);
      driver->owner_ = ::pthread_self();
    }
    auto main_function = std::move(driver->main_);
    main_function();  // may destroy the driver
    return nullptr;
  };
  const int error = ::pthread_create(&thread_, nullptr, run, this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error == 0;
}

void Driver::attach(uv::Loop& loop) {
  loop_ = &loop;
  auto waker = loop.make_waker([this] { run_jobs(); });
  const std::lock_guard lock(mutex);
  waker_ = std::move(waker);
}

void Driver::turn_until_stopped() {
  while (!stopped_ && !loop_->gave_up())
    loop_->turn(true);
}

void Driver::detach() {
  std::unique_ptr<uv::Loop::Waker> waker;
  std::vector<Job> jobs;  // an empty one takes no memory
  {
    const std::lock_guard lock(mutex);
    waker = std::move(waker_);
    jobs.swap(jobs_);
  }
  loop_ = nullptr;
}

void Driver::join() {
  ::pthread_join(thread_, nullptr);
}

void Driver::let_go() {
  ::pthread_detach(::pthread_self());
}

bool Driver::post(Job job) {
  const std::lock_guard lock(mutex);
  if (waker_ == nullptr) return false;
  jobs_.push_back(std::move(job));
  waker_->wake();
  return true;
}

void Driver::call_last(Job last) {
  const std::lock_guard lock(mutex);
  if (waker_ == nullptr) return;  // the loop has ended by itself
  last_ = std::move(last);
  waker_->wake();
}

void Driver::run_jobs() {
  std::vector<Job> jobs;
  {
    const std::lock_guard lock(mutex);
    jobs.swap(jobs_);
  }
  for (Job& job : jobs)
    job();
  Job last;
  {
    const std::lock_guard lock(mutex);
    last = std::exchange(last_, nullptr);
  }
  if (last) last();
}

}  // namespace outrider::embed
