// SPDX-License-Identifier: Apache-2.0
// Callback<R(Args...)>: a move-only function that may capture move-only things. An empty one is
// false; calling an empty one is our own mistake. Small captures (three pointers) live inside.
//
// A callable may destroy the Callback that holds it while it runs only if its owner has moved the
// Callback out first; TimerQueue and the network do so before every call.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "base/assert.h"

namespace outrider {

template <class Signature>
class Callback;

template <class R, class... Args>
class Callback<R(Args...)> {
 public:
  Callback() = default;
  Callback(std::nullptr_t) {}  // NOLINT: an absent callback reads best as nullptr

  template <class F>
    requires(!std::is_same_v<std::decay_t<F>, Callback> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  Callback(F&& function) {  // NOLINT: lambdas convert at the call site
    using Held = std::decay_t<F>;
    if constexpr (fits<Held>()) {
      new (&storage_) Held(std::forward<F>(function));
      actions_ = &inline_actions<Held>;
    } else {
      new (&storage_) Held*(new Held(std::forward<F>(function)));
      actions_ = &heap_actions<Held>;
    }
  }

  Callback(Callback&& other) noexcept { take(other); }
  Callback& operator=(Callback&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~Callback() { reset(); }

  explicit operator bool() const { return actions_ != nullptr; }

  R operator()(Args... args) {
    OUTRIDER_ASSERT(actions_ != nullptr);
    return actions_->invoke(&storage_, std::forward<Args>(args)...);
  }

 private:
  struct Actions {
    R (*invoke)(void*, Args&&...);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void*) noexcept;
  };
  static constexpr std::size_t kInlineBytes = 3 * sizeof(void*);

  template <class Held>
  static constexpr bool fits() {
    return sizeof(Held) <= kInlineBytes && alignof(Held) <= alignof(void*) &&
           std::is_nothrow_move_constructible_v<Held>;
  }

  template <class Held>
  static constexpr Actions inline_actions{
      [](void* at, Args&&... args) -> R {
        return (*static_cast<Held*>(at))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept {
        new (to) Held(std::move(*static_cast<Held*>(from)));
        static_cast<Held*>(from)->~Held();
      },
      [](void* at) noexcept { static_cast<Held*>(at)->~Held(); }};

  template <class Held>
  static constexpr Actions heap_actions{
      [](void* at, Args&&... args) -> R {
        return (**static_cast<Held**>(at))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept { new (to) Held*(*static_cast<Held**>(from)); },
      [](void* at) noexcept { delete *static_cast<Held**>(at); }};

  void take(Callback& other) noexcept {
    if (other.actions_ != nullptr) {
      other.actions_->move(&storage_, &other.storage_);
      actions_ = std::exchange(other.actions_, nullptr);
    }
  }
  void reset() noexcept {
    if (const Actions* actions = std::exchange(actions_, nullptr)) actions->destroy(&storage_);
  }

  alignas(void*) std::byte storage_[kInlineBytes];
  const Actions* actions_ = nullptr;
};

}  // namespace outrider
