// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <new>

namespace outrider::embed {

/// False: `body` found no memory.
template <class Body>
bool has_memory_for(Body body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

}  // namespace outrider::embed
