#include <dirent.h>

#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include "tests/transport/fixture.h"

namespace tenon::testing {
namespace {

using LifecycleTest = TransportTest;
using namespace std::chrono_literals;

// Names of this process's threads that the module gave.
std::vector<std::string> ModuleThreads() {
  std::vector<std::string> names;
  DIR* tasks = opendir("/proc/self/task");
  while (dirent* entry = readdir(tasks)) {
    std::string name;
    std::getline(std::ifstream("/proc/self/task/" + std::string(entry->d_name) + "/comm"), name);
    if (name.rfind("grpc-queue", 0) == 0 || name == "grpc-accept" || name == "grpc-drain") names.push_back(name);
    if (name.rfind("h2-loop", 0) == 0) names.push_back(name);
  }
  closedir(tasks);
  return names;
}

// A thread names itself after its start, and /proc shows it a moment longer than join waits.
bool AwaitModuleThreads(size_t count) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (ModuleThreads().size() != count) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST_F(LifecycleTest, ThreeCyclesLeaveNoThread) {
  for (int cycle = 0; cycle < 3; ++cycle) {
    StopServing();
    EXPECT_TRUE(AwaitModuleThreads(0));
    Serve({{LoadedTransport::ThreadsKey(), "2"}});
    EXPECT_TRUE(AwaitModuleThreads(LoadedTransport::Name() == "grpc" ? 3 : 2));  // grpc has one that accepts
    EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "hello").reply, "hello");
  }
}

TEST_F(LifecycleTest, StopEndsWhatIsOpen) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  stream->Write("x");
  EXPECT_EQ(stream->Read(), "x");
  auto held = client_->Open("/echo.Echo/Produce");
  held->Write("10000 4096");
  auto hanging = std::async(std::launch::async, [&] { return client_->Unary("/echo.Echo/Hang", "x").status; });
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.unary_calls == 1 && kernel_.holds >= 1; }));
  transport_->Stop();
  EXPECT_EQ(kernel_.unary_cancels, 1);
  EXPECT_EQ(kernel_.streams_released, 2);
  EXPECT_TRUE(AwaitModuleThreads(0));
  EXPECT_FALSE(hanging.get().ok());
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(LifecycleTest, DrainOfAnIdleServerIsQuick) {
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "hello").reply, "hello");
  auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(transport_->Drain(60'000'000'000), TENON_OK);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 40s) << "it waited for its grace";
}

TEST_F(LifecycleTest, DrainWaitsForACallThatEnds) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  stream->Write("x");
  EXPECT_EQ(stream->Read(), "x");
  std::string target = transport_->Target();
  auto drained = std::async(std::launch::async, [&] { return transport_->Drain(100'000'000'000); });
  // The port closes first; then a call in flight still has its say.
  while (RawClient(target).Unary("/echo.Echo/Unary", "", {.deadline = 10s}).status.ok()) {
    ASSERT_EQ(drained.wait_for(0s), std::future_status::timeout) << "the port never closed";
  }
  ASSERT_TRUE(stream->Write("y"));
  EXPECT_EQ(stream->Read(), "y");
  EXPECT_EQ(drained.wait_for(0s), std::future_status::timeout);
  stream->HalfClose();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(drained.get(), TENON_OK);
  EXPECT_EQ(kernel_.streams_cancelled, 0);
}

TEST_F(LifecycleTest, DrainCancelsAtTheEndOfGrace) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  stream->Write("x");
  EXPECT_EQ(stream->Read(), "x");
  EXPECT_EQ(transport_->Drain(50'000'000), TENON_OK);
  EXPECT_EQ(kernel_.streams_cancelled, 1);
  EXPECT_EQ(kernel_.streams_released, 1);
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(LifecycleTest, ThePortIsFreeAfterwards) {
  std::string url = transport_->Url();
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "hello").reply, "hello");
  StopServing();
  transport_ = std::make_unique<LoadedTransport>(kernel_);
  EXPECT_EQ(transport_->Listen(url), "");
  EXPECT_EQ(transport_->Start(), "");
  client_ = std::make_unique<RawClient>(transport_->Target());
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "hello").reply, "hello");
}

TEST_F(LifecycleTest, TwoInstancesServeSideBySide) {
  EchoKernel kernel;
  LoadedTransport second(kernel);
  ASSERT_EQ(second.Listen("http://127.0.0.1:0"), "");
  ASSERT_EQ(second.Start(), "");
  RawClient client(second.Target());
  EXPECT_EQ(client.Unary("/echo.Echo/Unary", "2").reply, "2");
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "1").reply, "1");
  EXPECT_EQ(kernel.unary_calls, 1);
}

TEST_F(LifecycleTest, TheDescriptionIsPureAndOfThisAbi) {
  const tenon_plugin* plugin = LoadedTransport::Plugin();
  EXPECT_EQ(plugin, LoadedTransport::Plugin());
  EXPECT_EQ(plugin->abi_major, TENON_ABI_MAJOR);
  ASSERT_GE(plugin->module_count, 1u);  // h2 has one for members besides
  EXPECT_STREQ(plugin->modules[0].kind, TENON_KIND_TRANSPORT);
  EXPECT_EQ(plugin->modules[0].name, LoadedTransport::Name());
}

}  // namespace
}  // namespace tenon::testing
