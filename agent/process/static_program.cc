// SPDX-License-Identifier: Apache-2.0
#include "agent/process/static_program.h"

#ifdef OUTRIDER_STATIC
#include <nss.h>

#include "base/http2/library.h"
#include "base/pattern.h"

extern "C" {
extern const outrider::http2::Library outrider_http2;
extern const outrider::PatternModule outrider_re2;
}
#endif

namespace outrider {

#ifdef OUTRIDER_STATIC

void prepare_static_program() {
  // Whatever the host's nsswitch.conf names beyond these is a plugin for the host's libc.
  __nss_configure_lookup("hosts", "files dns");
  __nss_configure_lookup("passwd", "files");
  __nss_configure_lookup("group", "files");
  __nss_configure_lookup("services", "files");
#ifdef OUTRIDER_STATIC_HTTP2
  hold_module("outrider_http2", outrider_http2.head);
#endif
#ifdef OUTRIDER_STATIC_RE2
  hold_module("outrider_re2", outrider_re2.head);
#endif
}

#else

void prepare_static_program() {}

#endif

}  // namespace outrider
