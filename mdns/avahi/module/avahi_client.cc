// SPDX-License-Identifier: Apache-2.0
// The main loop's side of the client. If it is destroyed while the thread waits for D-Bus, the
// thread ends by itself: it owns all that it touches, and the module stays loaded.
#include <pthread.h>
#include <signal.h>

#include "mdns/avahi/module.h"
#include "mdns/avahi/module/worker.h"

namespace outrider::mdns::avahi {
namespace {

class ThreadedClient final : public Client {
 public:
  ~ThreadedClient() override {
    if (!running_) return;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->abandoned = true;
      shared_->drained.notify_all();
    }
    shared_->to_thread.raise();
    if (left_)
      pthread_join(thread_, nullptr);  // it holds no connection any more: nothing keeps it
    else
      pthread_detach(thread_);
  }

  bool start(Env& env) {
    shared_ = std::make_shared<Shared>();
    if (shared_->to_thread.fd() < 0 || shared_->to_main.fd() < 0) return false;
    auto watch = env.network.watch_fd(shared_->to_main.fd(), {.readable = true, .writable = false},
                                      [this](FdEvents) { on_wake(); });
    if (!watch) return false;
    watch_ = std::move(*watch);
    // Signals are for the main loop.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // Not std::thread, which throws when no thread is available.
    auto handed_over = std::make_unique<std::shared_ptr<Shared>>(shared_);
    running_ = pthread_create(&thread_, nullptr, &run_worker, handed_over.get()) == 0;
    if (running_) handed_over.release();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return running_;
  }

  void connect(Sink& sink) override {
    sink_ = &sink;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->request = Shared::Request::connect;
      shared_->commands.clear();
      shared_->events.clear();
      ++shared_->connection;
      shared_->drained.notify_all();
    }
    shared_->to_thread.raise();
  }

  bool send(Command command) override {
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->commands.size() >= kCommandsMax) return false;
      shared_->commands.push_back(std::move(command));
    }
    shared_->to_thread.raise();
    return true;
  }

  void disconnect(Callback<void()> done) override {
    done_ = std::move(done);
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->request = Shared::Request::disconnect;
    }
    shared_->to_thread.raise();
  }

 private:
  void on_wake() {
    shared_->to_main.clear();
    std::vector<Event> events;
    {
      const std::lock_guard lock(shared_->mutex);
      events = shared_->take();
      left_ = shared_->left && shared_->events.empty();
    }
    if (!events.empty() && sink_ != nullptr) sink_->on_events(std::move(events));
    // Last: the owner may destroy us in it.
    if (left_ && done_) std::exchange(done_, nullptr)();
  }

  std::shared_ptr<Shared> shared_;
  Sink* sink_ = nullptr;
  std::unique_ptr<FdWatch> watch_;
  pthread_t thread_{};
  bool running_ = false;
  Callback<void()> done_;
  bool left_ = false;
};

Client* make_client(Env& env) {
  auto client = std::make_unique<ThreadedClient>();
  return client->start(env) ? client.release() : nullptr;
}

}  // namespace
}  // namespace outrider::mdns::avahi

extern "C" {
[[gnu::visibility("default")]] extern const outrider::mdns::avahi::AvahiModule outrider_mdns_avahi;
const outrider::mdns::avahi::AvahiModule outrider_mdns_avahi{{outrider::kModuleBuild},
                                                             &outrider::mdns::avahi::make_client};
}
