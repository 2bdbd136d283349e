// SPDX-License-Identifier: Apache-2.0
// QR codes of URLs, for a phone's camera. libqrencode makes them, in a module that is loaded with
// the first one (base/qr_module).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/module.h"
#include "base/result.h"

namespace outrider {

/// Longer texts make codes that a camera hardly reads.
inline constexpr std::size_t kQrTextBytesMax = 300;

/// A square of modules, row by row, without the quiet zone around it.
struct QrCode {
  std::size_t width = 0;
  std::vector<bool> dark;

  bool is_dark(std::size_t x, std::size_t y) const { return dark[y * width + x]; }
};

/// The struct that the module exports as outrider_qr.
struct QrModule {
  ModuleHead head;
  bool (*encode)(std::string_view text, QrCode* code);
};

/// The error is a sentence: the text is empty or too long, or the module is not installed.
Result<QrCode, std::string> encode_qr(std::string_view text);
/// The code with its quiet zone, black on white.
std::string qr_svg(const QrCode& code);

}  // namespace outrider
