// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection on the side of the server, without its socket and its clock: bytes in,
// events out; responses in, bytes out (RFC 9113). The implementation is libnghttp2's, in a module
// that is loaded when the first server needs it (base/http2/library.h).
//
//   receive ▸ Sink::on_request ▸ on_data … ▸ on_end          respond ▸ Sink::read_body ▸
//   next_output
//
// What a client may demand is limited here: streams, header lists, and frames that cost work and
// carry nothing. Such frames are taken from an Allowance; a client that exhausts one of them is
// told to calm down (GOAWAY with ENHANCE_YOUR_CALM), and the session ends. This covers floods of
// PING, SETTINGS, RST_STREAM ("rapid reset", also of resets that it provokes), WINDOW_UPDATE and
// empty frames. CONTINUATION frames are counted for each header list. A client that has sent GOAWAY
// opens no further streams; the session is finished with those that are open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/http/text.h"
#include "base/time.h"

namespace outrider::http2 {

/// Streams that a client may have open at the same time (SETTINGS_MAX_CONCURRENT_STREAMS).
inline constexpr std::uint32_t kStreamsMax = 1'024;
/// Octets of a request's header list as RFC 9113 §6.5.2 counts them: name, value and 32 each. A
/// longer list costs the client the stream, one that is longer than the second the connection.
inline constexpr std::size_t kHeaderListBytesMax = 16U << 10;
inline constexpr std::size_t kHeaderListBytesFatal = 256U << 10;
/// Octets of a request's body that a client may send ahead of consume(): of one stream (the
/// protocol's default), and of all streams.
inline constexpr std::size_t kStreamWindowBytes = 65'535;
inline constexpr std::size_t kConnectionWindowBytes = 1U << 20;
inline constexpr std::size_t kContinuationsMax = 8;  // CONTINUATION frames after one HEADERS
inline constexpr std::size_t kSettingsMax = 32;      // entries of one SETTINGS frame
inline constexpr std::size_t kAcksMax = 256;         // acknowledgements that wait to be sent

/// How many frames of one kind a client may send: `burst` at once, and `per_second` from then on.
struct AllowanceLimits {
  std::uint32_t burst = 0;
  std::uint32_t per_second = 0;
};
/// Each HEADERS and DATA frame that the server sends earns one more: gRPC clients measure the
/// bandwidth of a connection by a PING for what they receive.
inline constexpr AllowanceLimits kPingsMax{64, 4};
inline constexpr AllowanceLimits kSettingsFramesMax{16, 1};
/// Each response that is sent to its end earns one more.
inline constexpr AllowanceLimits kResetsMax{256, 32};
/// Each DATA frame that the server sends earns kWindowUpdatesPerData more.
inline constexpr AllowanceLimits kWindowUpdatesMax{2'048, 64};
inline constexpr std::uint32_t kWindowUpdatesPerData = 4;
/// DATA without content and without END_STREAM, and PRIORITY, which RFC 9113 does without.
inline constexpr AllowanceLimits kEmptyFramesMax{128, 16};

using StreamId = std::int32_t;

/// RFC 9113 §7. Those that this server sends.
enum class ErrorCode : std::uint32_t {
  no_error = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  refused_stream = 0x7,
  cancel = 0x8,
  enhance_your_calm = 0xb,
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct RequestHead {
  std::string method;     // "" never
  std::string path;       // with its query; "" for CONNECT
  std::string authority;  // "" if the client did not send one; not always a host, as etcd's are
  http::Headers headers;  // names in lower case, without the pseudo-header fields
};

/// A part of a response's body, copied into the room that was offered.
struct BodyPiece {
  std::size_t size = 0;
  bool last = false;                     // the body ends with this piece
  const HeaderList* trailers = nullptr;  // with `last`: what follows the body; null: nothing
};

class Session {
 public:
  /// No callback may destroy the session, or call receive() or next_output().
  class Sink {
   public:
    virtual void on_request(StreamId id, RequestHead head) = 0;
    /// What is passed on is not given back to the flow control until consume().
    virtual void on_data(StreamId id, Bytes data) = 0;
    /// The request is complete. Its trailers are dropped.
    virtual void on_end(StreamId id) = 0;
    /// The stream is over: both sides have ended it, or one has reset it. For each on_request()
    /// once, but for those that are open at the end of the session.
    virtual void on_closed(StreamId id) = 0;
    /// No size, and not the last piece: nothing is there; resume() asks again.
    virtual BodyPiece read_body(StreamId id, MutableBytes room) = 0;

   protected:
    ~Sink() = default;
  };

  virtual ~Session() = default;

  /// False: the session has ended for what the client did. What next_output() has is still to be
  /// sent. If the client broke the protocol, the session may also end by what next_output() says.
  virtual bool receive(TimePoint now, Bytes data) = 0;
  /// One frame or a few, valid until the next call; empty: nothing is to be sent now.
  virtual Bytes next_output() = 0;

  enum class Body : std::uint8_t { none, follows };
  virtual void respond(StreamId id, int status, const HeaderList& headers, Body body) = 0;
  /// The body of this response has more, or its end.
  virtual void resume(StreamId id) = 0;
  /// Lets the client send this much more. Also of a stream that is over.
  virtual void consume(StreamId id, std::size_t bytes) = 0;
  virtual void reset(StreamId id, ErrorCode code) = 0;
  virtual void ping() = 0;
  /// No further streams (GOAWAY); those that are open go on.
  virtual void refuse_streams() = 0;
  /// Nothing further at all.
  virtual void terminate(ErrorCode code) = 0;

  /// Neither side has anything more to say: the connection may be closed.
  virtual bool finished() const = 0;
  /// What the client did wrong, known when it was told; empty: nothing so far.
  virtual std::string_view violation() const = 0;
};

}  // namespace outrider::http2
