#include "bench/h2_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "bench/runner.h"
#include "rpc.pb.h"
#include "tests/bench/fake_server.h"

namespace tenon::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Framed(const std::string& message) {
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed.push_back(static_cast<char>(message.size() >> shift));
  return framed + message;
}

class RecordedCall : public Call {
 public:
  void OnMessage(std::string_view message) override { messages.emplace_back(message); }
  void OnDone(const CallResult& r) override { result = r; }

  std::vector<std::string> messages;
  std::optional<CallResult> result;
};

// One server, one connection, one call after the other.
class H2Client : public testing::Test {
 protected:
  void Serve(std::map<std::string, Script> scripts) {
    server_ = std::make_unique<FakeServer>(std::move(scripts));
    auto connection = Connection::Open(loop_, "http://" + server_->address());
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  RecordedCall Ask(std::string_view path, const std::string& request = Framed("")) {
    RecordedCall call;
    EXPECT_TRUE(connection_->Start(call, path, request));
    while (!call.result) loop_.Turn(-1);
    return call;
  }

  Loop loop_;
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<Connection> connection_;  // closes before the server ends
};

TEST_F(H2Client, SendsWhatAGrpcClientSends) {
  Serve({{"/pkg.Service/Method", {.body = Framed("yes")}}});
  const RecordedCall call = Ask("/pkg.Service/Method", Framed("question"));
  EXPECT_EQ(call.result->code, StatusCode::kOk);
  EXPECT_THAT(call.messages, ElementsAre("yes"));
  EXPECT_EQ(server_->body, Framed("question"));
  EXPECT_EQ(server_->headers[":method"], "POST");
  EXPECT_EQ(server_->headers[":authority"], server_->address());
  EXPECT_EQ(server_->headers["content-type"], "application/grpc");
  EXPECT_EQ(server_->headers["te"], "trailers");
}

TEST_F(H2Client, MessagesAreCutAtTheirOwnBordersNotAtFrames) {
  const std::string large(300'000, 'x');
  for (const size_t chunk : {1u, 3u, 5u, 8u, 16384u}) {
    connection_.reset();
    server_.reset();
    const std::string tail = chunk < 100 ? "tail" : large;
    Serve({{"/m", {.body = Framed("first") + Framed("") + Framed(tail), .chunk = chunk}}});
    EXPECT_THAT(Ask("/m").messages, ElementsAre("first", "", tail)) << chunk;
  }
}

TEST_F(H2Client, ARequestLargerThanAFrameArrivesWhole) {
  Serve({{"/m", Script{}}});
  const std::string request = Framed(std::string(50'000, 'r'));
  EXPECT_EQ(Ask("/m", request).result->code, StatusCode::kOk);
  EXPECT_EQ(server_->body, request);
}

TEST_F(H2Client, ErrorsKeepTheirCodeAndText) {
  Serve({{"/m", {.grpc_status = "8", .grpc_message = "etcdserver: too many requests"}}});
  const RecordedCall call = Ask("/m");
  EXPECT_EQ(call.result->code, StatusCode::kResourceExhausted);
  EXPECT_EQ(call.result->message, "etcdserver: too many requests");
  EXPECT_THAT(call.messages, IsEmpty());
}

TEST_F(H2Client, NoGrpcStatusIsAnError) {
  Serve({{"/m", {.http_status = "503", .grpc_status = ""}}});
  const RecordedCall call = Ask("/m");
  EXPECT_EQ(call.result->code, StatusCode::kUnknown);
  EXPECT_THAT(call.result->message, HasSubstr("503"));
}

TEST_F(H2Client, AResetStreamEndsOneCallAndNotTheConnection) {
  Serve({{"/reset", {.reset = true}}, {"/m", {.body = Framed("still here")}}});
  const RecordedCall reset = Ask("/reset");
  EXPECT_EQ(reset.result->code, StatusCode::kUnavailable);
  EXPECT_THAT(reset.result->message, HasSubstr("ENHANCE_YOUR_CALM"));
  EXPECT_THAT(Ask("/m").messages, ElementsAre("still here"));
}

TEST_F(H2Client, ALostConnectionEndsItsCallsAndTakesNoMore) {
  Serve({{"/bye", {.hang_up = true}}});
  EXPECT_EQ(Ask("/bye").result->code, StatusCode::kUnavailable);
  EXPECT_TRUE(connection_->lost());
  RecordedCall late;
  EXPECT_FALSE(connection_->Start(late, "/bye", Framed("")));
}

TEST_F(H2Client, NobodyListening) {
  EXPECT_EQ(Connection::Open(loop_, "127.0.0.1:1").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Connection::Open(loop_, "nonsense").status().code(), StatusCode::kInvalidArgument);
}

// The runner against a server that answers every put, or none.
class RunnerTest : public testing::Test {
 protected:
  static std::string PutAnswer() {
    etcdserverpb::PutResponse response;
    response.mutable_header()->set_revision(2);
    return Framed(response.SerializeAsString());
  }

  Plan PlanFor(const FakeServer& server) {
    Plan plan;
    plan.endpoints = {server.address()};
    plan.clients = 8;
    plan.total = 1000;
    plan.warmup_ns = 0;
    return plan;
  }
};

TEST_F(RunnerTest, CountsEveryAnswer) {
  FakeServer server({{"/etcdserverpb.KV/Put", {.body = PutAnswer()}}});
  const Result<Outcome> outcome = RunPlan(PlanFor(server));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->requests(), 1000u);
  EXPECT_THAT(outcome->errors, IsEmpty());
  EXPECT_EQ(outcome->each_ns.size(), 100u);
  EXPECT_GT(outcome->seconds, 0);
  EXPECT_GT(outcome->own_cpu_us, 0);
}

TEST_F(RunnerTest, ARateIsNotExceeded) {
  FakeServer server({{"/etcdserverpb.KV/Put", {.body = PutAnswer()}}});
  Plan plan = PlanFor(server);
  plan.total = 50;
  plan.rate = 500;
  const Result<Outcome> outcome = RunPlan(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->requests(), 50u);
  EXPECT_GE(outcome->seconds, 49 / 500.0);
}

TEST_F(RunnerTest, TheFirstErrorEndsTheRun) {
  FakeServer server({{"/etcdserverpb.KV/Put", {.grpc_status = "14", .grpc_message = "etcdserver: no leader"}}});
  const Result<Outcome> outcome = RunPlan(PlanFor(server));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->requests(), 0u);
  EXPECT_LE(outcome->errors.at(StatusCode::kUnavailable), 8u);
  EXPECT_EQ(outcome->first_error, "etcdserver: no leader");
}

TEST_F(RunnerTest, AllowedErrorsAreCounted) {
  FakeServer server({{"/etcdserverpb.KV/Put", {.grpc_status = "14", .grpc_message = "etcdserver: no leader"}}});
  Plan plan = PlanFor(server);
  plan.allow_errors = true;
  const Result<Outcome> outcome = RunPlan(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->errors.at(StatusCode::kUnavailable), 1000u);
}

TEST_F(RunnerTest, AnAnswerWithoutAMessageIsAnError) {
  FakeServer server({{"/etcdserverpb.KV/Put", Script{}}});
  const Result<Outcome> outcome = RunPlan(PlanFor(server));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_GE(outcome->errors.at(StatusCode::kDataLoss), 1u);
}

}  // namespace
}  // namespace tenon::bench
