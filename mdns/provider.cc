// SPDX-License-Identifier: Apache-2.0
#include "mdns/provider.h"

namespace outrider::mdns {

const char* to_string(PublishError error) {
  switch (error) {
    case PublishError::bad_label:
      return "bad_label";
    case PublishError::bad_type:
      return "bad_type";
    case PublishError::bad_txt:
      return "bad_txt";
    case PublishError::txt_too_long:
      return "txt_too_long";
    case PublishError::too_many:
      return "too_many";
  }
  OUTRIDER_UNREACHABLE();
}

const char* to_string(LostReason reason) {
  switch (reason) {
    case LostReason::goodbye:
      return "goodbye";
    case LostReason::expired:
      return "expired";
    case LostReason::interface_down:
      return "interface_down";
    case LostReason::reconfirmed:
      return "reconfirmed";
    case LostReason::evicted:
      return "evicted";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace outrider::mdns
