// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <qrencode.h>

#include "base/bytes.h"
#include "base/qr.h"

namespace outrider {
namespace {

bool encode(std::string_view text, QrCode* code) {
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> made(
      QRcode_encodeData(static_cast<int>(text.size()), as_bytes(text).data(), 0, QR_ECLEVEL_M),
      &QRcode_free);
  if (made == nullptr) return false;
  code->width = static_cast<std::size_t>(made->width);
  code->dark.resize(code->width * code->width);
  for (std::size_t i = 0; i < code->dark.size(); ++i)
    code->dark[i] = (made->data[i] & 1U) != 0;
  return true;
}

}  // namespace
}  // namespace outrider

extern "C" {
[[gnu::visibility("default")]] extern const outrider::QrModule outrider_qr;
const outrider::QrModule outrider_qr{{outrider::kModuleBuild}, &outrider::encode};
}
