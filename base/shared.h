// SPDX-License-Identifier: Apache-2.0
// A value that its copies share and that never changes. For what is large, copied often and mostly
// empty: an empty one costs two pointers.
#pragma once

#include <memory>
#include <utility>

namespace outrider {

template <typename T>
class Shared {
 public:
  /// T{}
  Shared() = default;
  Shared(T value) : value_(value == T() ? nullptr : std::make_shared<const T>(std::move(value))) {}

  const T& operator*() const {
    static const T kEmpty;
    return value_ ? *value_ : kEmpty;
  }
  const T* operator->() const { return &**this; }
  bool operator==(const Shared& other) const { return value_ == other.value_ || **this == *other; }

 private:
  std::shared_ptr<const T> value_;
};

}  // namespace outrider
