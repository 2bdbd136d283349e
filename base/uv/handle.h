// SPDX-License-Identifier: Apache-2.0
// How C++ objects own libuv's handles, so that an object may die at any moment, also inside its
// own callback: the handle lives in a heap cell that knows its owner. Closing clears the owner and
// leaves the cell to libuv, whose close callback deletes it. Trampolines ask owner() first and
// ignore a cell that has none (with_owner).
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <uv.h>

#include "base/assert.h"
#include "base/callback.h"

namespace outrider::uv {

/// What all cells on one uv loop share. It outlives the Loop object until the last cell is gone.
struct Core {
  uv_loop_t* loop = nullptr;
  std::size_t open = 0;
  bool keeps_alive = true;  // handles keep the loop running
  /// An allocation failed in a turn, so that something was left half done (Loop::give_up).
  bool gave_up = false;
  Callback<void()> on_give_up;
  bool abandoned = false;  // no Loop object any more: the last cell to close deletes this
  Callback<void()> closed;

  void give_up() {
    gave_up = true;
    if (auto callback = std::move(on_give_up)) callback();
  }
  void on_cell_closed() {
    OUTRIDER_ASSERT(open > 0);
    --open;
    abandon_if_done();
  }
  void abandon_if_done() {
    if (!abandoned || open != 0) return;
    Callback<void()> done = std::move(closed);
    delete this;
    if (done) done();
  }
};

/// Runs what an event is for. libuv is C: no exception may pass through it. In a process of our own
/// an allocation that fails ends it before it throws.
template <class Body>
void run_guarded(Core& core, Body body) noexcept {
  try {
    body();
  } catch (const std::bad_alloc&) {
    core.give_up();
  }
}

template <class T, class Owner>
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      close();
      cell_ = std::exchange(other.cell_, nullptr);
    }
    return *this;
  }
  ~Handle() { close(); }

  /// `init(uv_loop_t*, T*)` initialises the handle. It returns libuv's code, and a negative one
  /// only when libuv does not know the handle yet.
  template <class Init>
  int open(Core& core, Owner& owner, Init init) {
    OUTRIDER_ASSERT(cell_ == nullptr);
    auto cell = std::make_unique<Cell>(T{}, &owner, &core);
    const int code = init(core.loop, &cell->handle);
    if (code < 0) return code;
    cell->handle.data = cell.get();
    if (!core.keeps_alive) uv_unref(reinterpret_cast<uv_handle_t*>(&cell->handle));
    ++core.open;
    cell_ = cell.release();
    return 0;
  }

  void close() {
    Cell* cell = std::exchange(cell_, nullptr);
    if (cell == nullptr) return;
    cell->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&cell->handle), [](uv_handle_t* handle) {
      auto* closed = static_cast<Cell*>(handle->data);
      Core* core = closed->core;
      delete closed;
      core->on_cell_closed();
    });
  }

  /// Hands the running handle to another object.
  void set_owner(Owner& owner) { cell_->owner = &owner; }
  static Owner* owner(T* handle) { return static_cast<Cell*>(handle->data)->owner; }
  /// For trampolines: calls with the owner, if there is one.
  template <class Body>
  static void with_owner(T* handle, Body body) noexcept {
    const auto* cell = static_cast<Cell*>(handle->data);
    if (cell->owner != nullptr) run_guarded(*cell->core, [&] { body(*cell->owner); });
  }

  T* get() const { return &cell_->handle; }
  explicit operator bool() const { return cell_ != nullptr; }

 private:
  struct Cell {
    Cell(T h, Owner* o, Core* c) : handle(h), owner(o), core(c) {}
    T handle;
    Owner* owner;
    Core* core;
  };
  Cell* cell_ = nullptr;
};

/// A member of objects whose callbacks may destroy them; a Watch on the stack knows afterwards.
class Life {
 public:
  Life() = default;
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
  ~Life() {
    if (gone_ != nullptr) *gone_ = true;
  }

  class Watch {
   public:
    // Not inlined: GCC 12 takes the address of a stack object in the Life for a dangling one,
    // since it does not see that the destructor takes it back wherever the Life still is.
    [[gnu::noinline]] explicit Watch(Life& life)
        : life_(life), outer_(std::exchange(life.gone_, &gone_)) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
      if (!gone_)
        life_.gone_ = outer_;
      else if (outer_ != nullptr)
        *outer_ = true;
    }
    bool gone() const { return gone_; }

   private:
    Life& life_;
    bool* outer_;
    bool gone_ = false;
  };

 private:
  bool* gone_ = nullptr;
};

/// Calls a member that may destroy its object: it is moved to the stack while it runs, and moved
/// back if the object, of which `life` is a member, still exists.
template <typename... Arguments>
void call_member(Life& life, Callback<void(Arguments...)>& member,
                 std::type_identity_t<Arguments>... arguments) {
  const Life::Watch watch(life);
  Callback<void(Arguments...)> callback = std::move(member);
  callback(std::move(arguments)...);
  if (!watch.gone()) member = std::move(callback);
}

}  // namespace outrider::uv
