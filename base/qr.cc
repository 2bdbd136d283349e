// SPDX-License-Identifier: Apache-2.0
#include "base/qr.h"

namespace outrider {
namespace {

constexpr ModuleName kQrModuleName{
    .file = "outrider-qr.so",
    .symbol = "outrider_qr",
    .needed_by = "QR codes",
    .package = "outrider-modules",
    .folder = "base/qr_module",
};
constexpr std::size_t kQuietZone = 4;  // modules, ISO/IEC 18004 §6.3.8

}  // namespace

Result<QrCode, std::string> encode_qr(std::string_view text) {
  if (text.empty()) return failure(std::string("there is no text for the QR code"));
  if (text.size() > kQrTextBytesMax)
    return failure("the text of a QR code may have " + std::to_string(kQrTextBytesMax) + " bytes");
  std::string why;
  const auto* module = open_module_as<QrModule>(kQrModuleName, &why);
  if (module == nullptr) return failure(std::move(why));
  QrCode code;
  if (!module->encode(text, &code)) return failure(std::string("no QR code can hold this text"));
  return code;
}

std::string qr_svg(const QrCode& code) {
  const std::string size = std::to_string(code.width + 2 * kQuietZone);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size + ' ' + size +
                    "\" shape-rendering=\"crispEdges\"><rect width=\"" + size + "\" height=\"" +
                    size + "\" fill=\"#fff\"/><path d=\"";
  for (std::size_t y = 0; y < code.width; ++y)
    for (std::size_t x = 0; x < code.width; ++x)
      if (code.is_dark(x, y))
        out += 'M' + std::to_string(x + kQuietZone) + ' ' + std::to_string(y + kQuietZone) +
               "h1v1h-1z";
  return out + "\"/></svg>\n";
}

}  // namespace outrider
