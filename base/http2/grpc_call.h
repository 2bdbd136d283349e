// SPDX-License-Identifier: Apache-2.0
// One call of grpc::Server.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "base/http2/grpc.h"
#include "base/http2/grpc_framing.h"

namespace outrider::grpc {

struct CallLink {
  Call* call = nullptr;  // null once the call is over
};

class Call final : public http2::Receiver {
 public:
  /// `method` null: there is no such method.
  Call(Server& server, const Method* method, const http2::RequestHead& head,
       http2::Responder& responder);
  ~Call() override;
  Call(const Call&) = delete;

  void begin();
  void on_stop();
  /// False: pause, or the call is over.
  bool send(std::string_view message);
  void finish(Status status);

 private:
  void on_data(Bytes data) override;
  void on_end() override;
  void on_turn() override;
  void on_drained() override;

  bool is_streaming() const { return method_->kind == Method::Kind::streaming; }
  void look();
  void keep();
  void take_message();
  void forget_link();
  void set_deadline();

  Server& server_;
  http2::Responder& responder_;
  const Method* method_;
  CallHead head_;
  MessageBuffer received_;
  std::list<Call*>::iterator at_;
  std::shared_ptr<CallLink> link_;
  std::unique_ptr<StreamReader> reader_;
  Timer deadline_;
  bool ended_ = false;        // the client sends nothing further
  bool half_closed_ = false;  // and the reader knows
  bool taken_ = false;        // the message of a unary call
  bool over_ = false;
};

}  // namespace outrider::grpc
