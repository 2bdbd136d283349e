// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/grpc_face.h"

#include <utility>

#include "agent/doors/etcd/proto.h"

namespace outrider::doors::etcd {
namespace {

grpc::Status status_of(Error error) {
  return {static_cast<grpc::Code>(error.code), std::move(error.text)};
}

grpc::Status malformed() {
  return {grpc::Code::invalid_argument, "the message cannot be decoded"};
}

Client client_of(const grpc::CallHead& head) {
  return {"http://" + to_string(head.local)};
}

// --- unary calls ------------------------------------------------------------------------------

template <class Response>
Reply<Response> answering(grpc::Reply reply) {
  return [reply = std::move(reply)](Result<Response, Error> response) mutable {
    if (response) return reply.answer(encode(*response));
    reply.fail(status_of(std::move(response.error())));
  };
}

using Answer = void (*)(Door& door, const grpc::CallHead& head, Bytes message, grpc::Reply reply);

template <class Request, class Response, void (Door::*kCall)(Request, Reply<Response>)>
void answer(Door& door, const grpc::CallHead&, Bytes message, grpc::Reply reply) {
  Request request;
  if (!decode(message, request)) return reply.fail(malformed());
  (door.*kCall)(std::move(request), answering<Response>(std::move(reply)));
}

/// An answer of Range, in as many turns as it takes.
class LongAnswer final : public RangeAnswer {
 public:
  explicit LongAnswer(grpc::Reply reply) : reply_(std::move(reply)) {}

 private:
  bool alive() const override { return reply_.alive(); }
  void begin(const RangeResponse& response) override { encoder_.begin(response); }
  void add(const KeyValue& kv) override { encoder_.add(kv); }
  void end(const RangeResponse& response) override { reply_.answer(encoder_.end(response)); }
  void refuse(Error error) override { reply_.fail(status_of(std::move(error))); }

  grpc::Reply reply_;
  RangeEncoder encoder_;
};

void answer_member_list(Door& door, const grpc::CallHead& head, Bytes message, grpc::Reply reply) {
  MemberListRequest request;
  if (!decode(message, request)) return reply.fail(malformed());
  door.member_list(request, client_of(head), answering<MemberListResponse>(std::move(reply)));
}

// --- streaming calls --------------------------------------------------------------------------

class WatchCall final : public grpc::StreamReader, WatchSink {
 public:
  WatchCall(Door& door, grpc::StreamWriter writer)
      : writer_(std::move(writer)), stream_(door.open_watch(*this)) {}

 private:
  void on_message(Bytes message) override {
    WatchRequest request;
    if (!decode(message, request)) {
      stream_.reset();
      return writer_.finish(malformed());
    }
    pass_on(std::move(request), *stream_);
  }
  void on_half_close() override {
    stream_.reset();
    writer_.finish({});
  }
  void on_writable() override {
    if (std::exchange(paused_, false)) stream_->resume();
  }
  bool on_watch_response(WatchResponse response) override {
    const bool takes_more = writer_.send(encode(response));
    paused_ = !takes_more;
    return takes_more;
  }
  void on_watch_end(Error error) override { writer_.finish(status_of(std::move(error))); }

  grpc::StreamWriter writer_;
  std::unique_ptr<WatchStream> stream_;
  bool paused_ = false;
};

class KeepAliveCall final : public grpc::StreamReader {
 public:
  KeepAliveCall(Door& door, grpc::StreamWriter writer)
      : door_(door), answers_(std::make_shared<Answers>(std::move(writer))) {}

 private:
  /// The door's replies may come when the call is over.
  struct Answers {
    explicit Answers(grpc::StreamWriter to) : writer(std::move(to)) {}
    void answer(Result<LeaseKeepAliveResponse, Error> response) {
      --awaited;
      if (!response) return writer.finish(status_of(std::move(response.error())));
      writer.send(encode(*response));
      if (half_closed && awaited == 0) writer.finish({});
    }
    grpc::StreamWriter writer;
    std::size_t awaited = 0;
    bool half_closed = false;
  };

  void on_message(Bytes message) override {
    LeaseKeepAliveRequest request;
    if (!decode(message, request)) return answers_->writer.finish(malformed());
    ++answers_->awaited;
    door_.lease_keep_alive(
        request, [answers = answers_](auto response) { answers->answer(std::move(response)); });
  }
  void on_half_close() override {
    answers_->half_closed = true;
    if (answers_->awaited == 0) answers_->writer.finish({});
  }
  void on_writable() override {}

  Door& door_;
  std::shared_ptr<Answers> answers_;
};

// --- methods ----------------------------------------------------------------------------------

struct Row : grpc::Method {
  Answer answer = nullptr;  // null: a streaming call, or Range
};

constexpr auto kUnary = grpc::Method::Kind::unary;
constexpr auto kStreaming = grpc::Method::Kind::streaming;
constexpr auto kReads = http::Work::reads;
constexpr auto kChanges = http::Work::changes;

constexpr std::string_view kRangePath = "/etcdserverpb.KV/Range";
constexpr std::string_view kWatchPath = "/etcdserverpb.Watch/Watch";

constexpr Row kRows[] = {
    {{kRangePath, kUnary, kReads}},
    {{"/etcdserverpb.KV/Put", kUnary, kChanges}, &answer<PutRequest, PutResponse, &Door::put>},
    {{"/etcdserverpb.KV/DeleteRange", kUnary, kChanges},
     &answer<DeleteRangeRequest, DeleteRangeResponse, &Door::delete_range>},
    {{"/etcdserverpb.KV/Txn", kUnary, kChanges}, &answer<TxnRequest, TxnResponse, &Door::txn>},
    {{kWatchPath, kStreaming, kReads}},
    {{"/etcdserverpb.Lease/LeaseGrant", kUnary, kChanges},
     &answer<LeaseGrantRequest, LeaseGrantResponse, &Door::lease_grant>},
    {{"/etcdserverpb.Lease/LeaseRevoke", kUnary, kChanges},
     &answer<LeaseRevokeRequest, LeaseRevokeResponse, &Door::lease_revoke>},
    {{"/etcdserverpb.Lease/LeaseKeepAlive", kStreaming, kChanges}},
    {{"/etcdserverpb.Lease/LeaseTimeToLive", kUnary, kReads},
     &answer<LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, &Door::lease_time_to_live>},
    {{"/etcdserverpb.Lease/LeaseLeases", kUnary, kReads},
     &answer<LeaseLeasesRequest, LeaseLeasesResponse, &Door::lease_leases>},
    {{"/etcdserverpb.Cluster/MemberList", kUnary, kReads}, &answer_member_list},
    {{"/etcdserverpb.Maintenance/Status", kUnary, kReads},
     &answer<StatusRequest, StatusResponse, &Door::status>},
    {{"/etcdserverpb.Auth/Authenticate", kUnary, kReads},
     &answer<AuthenticateRequest, AuthenticateResponse, &Door::authenticate>},
};

}  // namespace

GrpcFace::GrpcFace(Env& env, http::Clients& clients, const http2::Library& library, Door& door)
    : door_(door),
      ranges_(env, clients),
      calls_(env, *this, kRequestBytesMax),
      server_(env, clients, library, calls_) {}

void GrpcFace::stop(Callback<void()> done) {
  calls_.stop("etcdserver: server stopped");
  server_.stop(std::move(done));
}

const grpc::Method* GrpcFace::find(std::string_view path) const {
  for (const Row& row : kRows)
    if (row.path == path) return &row;
  return nullptr;
}

void GrpcFace::on_call(const grpc::Method& method, const grpc::CallHead& head, Bytes message,
                       grpc::Reply reply) {
  if (method.path == kRangePath) return range(message, std::move(reply));
  static_cast<const Row&>(method).answer(door_, head, message, std::move(reply));
}

void GrpcFace::range(Bytes message, grpc::Reply reply) {
  RangeRequest request;
  if (!decode(message, request)) return reply.fail(malformed());
  std::unique_ptr<RangeAnswer> to = std::make_unique<LongAnswer>(std::move(reply));
  door_.range(std::move(request),
              [this, to = std::move(to)](Result<RangeResponse, Error> response) mutable {
                if (!to->alive()) return;  // nor perhaps the face
                if (!response) return to->refuse(std::move(response.error()));
                ranges_.answer(std::move(*response), std::move(to));
              });
}

std::unique_ptr<grpc::StreamReader> GrpcFace::on_stream(const grpc::Method& method,
                                                        const grpc::CallHead&,
                                                        grpc::StreamWriter writer) {
  if (method.path == kWatchPath) return std::make_unique<WatchCall>(door_, std::move(writer));
  return std::make_unique<KeepAliveCall>(door_, std::move(writer));
}

}  // namespace outrider::doors::etcd
