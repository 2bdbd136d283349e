// SPDX-License-Identifier: Apache-2.0
// A stream is cut into the same objects however its bytes come, and each is a message or none.
#include "base/assert.h"
#include "base/bytes.h"
#include "registries/etcd/messages.h"

using namespace outrider;
using namespace outrider::registries::etcd;

namespace {

std::string hear(std::string_view text, std::size_t piece) {
  ObjectSplitter splitter;
  std::string heard;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    splitter.feed(text.substr(at, piece));
    for (std::string object = splitter.take(); !object.empty(); object = splitter.take()) {
      OUTRIDER_ASSERT(object.front() == '{' && object.back() == '}');
      if (const auto message = read_watch_message(object))
        heard += std::to_string(message->number) + std::to_string(message->events.size());
      heard += object + '\n';
    }
  }
  return heard;
}

/// A message in parts has an envelope that is an object, and parts that are read or not.
void take_parts(std::string_view text) {
  ObjectSplitter splitter;
  splitter.feed(text);
  for (RawMessage raw = splitter.take_message(); !raw.envelope.empty();
       raw = splitter.take_message()) {
    OUTRIDER_ASSERT(raw.envelope.front() == '{' && raw.envelope.back() == '}');
    for (const std::string& part : raw.events)
      static_cast<void>(read_watch_events(part));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = as_text({data, size});
  OUTRIDER_ASSERT(hear(text, size) == hear(text, 1));
  take_parts(text);
  static_cast<void>(read_answer(text, kAnswerBytesMax));
  OUTRIDER_ASSERT(!read_refusal(500, text).text.empty());
  return 0;
}
