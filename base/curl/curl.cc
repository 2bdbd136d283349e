// SPDX-License-Identifier: Apache-2.0
#include "base/curl/curl.h"

namespace outrider::curl {
namespace {

const CurlModule* open(const char* needed_by, std::string* why) {
  return open_module_as<CurlModule>({.file = "outrider-curl.so",
                                     .symbol = "outrider_curl",
                                     .needed_by = needed_by,
                                     .package = "outrider-modules",
                                     .folder = "base/curl/module"},
                                    why);
}

class NotLoaded final : public Pending {
 public:
  NotLoaded(Env& env, std::string why, TlsCallback callback)
      : callback_(std::move(callback)),
        timer_(env.after(Duration::zero(), [this, why = std::move(why)] {
          TlsCallback called = std::move(callback_);
          called(failure(Failure{Failure::Kind::no_resources, why}));
        })) {}

 private:
  TlsCallback callback_;
  Timer timer_;
};

}  // namespace

bool have_module(const char* needed_by, std::string* why) {
  return open(needed_by, why) != nullptr;
}

std::unique_ptr<Curl> load_curl(Env& env, const char* needed_by, std::string* why) {
  const CurlModule* module = open(needed_by, why);
  if (module == nullptr) return nullptr;
  std::unique_ptr<Curl> curl(module->make(env));
  if (!curl) *why = std::string(needed_by) + ": libcurl could not be started";
  return curl;
}

std::unique_ptr<Pending> connect_tls(Env& env, const TlsConnect& options, TlsCallback callback) {
  std::string why;
  const CurlModule* module = open(kTlsRegistries, &why);
  if (module == nullptr)
    return std::make_unique<NotLoaded>(env, std::move(why), std::move(callback));
  return std::unique_ptr<Pending>(module->connect_tls(env, options, std::move(callback)));
}

}  // namespace outrider::curl
