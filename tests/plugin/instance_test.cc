#include "kernel/plugin/instance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/plugin/fakes.h"
#include "tests/plugin/folder.h"

namespace tenon::plugin {
namespace {

// What plugin.c shows of its inside.
struct Inside {
  uint32_t size;
  int (*instances)(void);
  int64_t (*configured)(void* self);
};
const Inside& InsideOf(const Instance& instance) {
  return *static_cast<const Inside*>(instance.Extension("org.example.inside/1"));
}

class InstanceTest : public testing::Test {
 protected:
  LoadedModule Load(const std::string& kind, const std::string& name) {
    const auto module =
        Loader(folder_.Plugin(name), {}).Load({.kind = kind, .use = folder_.path(name), .where = "etcd.yaml:4:5"});
    EXPECT_TRUE(module.ok()) << module.status();
    return *module;
  }
  Folder folder_;
};

TEST_F(InstanceTest, LivesItsLife) {
  const LoadedModule module = Load("storage", "storage-null");
  const tenon_cfg config = tenon_cfg::Map({{"size", tenon_cfg::Scalar("42")}});
  auto made = Instance::Create(module, "storage", {}, &config);
  ASSERT_TRUE(made.ok()) << made.status();
  Instance& instance = **made;
  EXPECT_EQ(InsideOf(instance).configured(instance.self()), 42);
  EXPECT_EQ(instance.Table<tenon_storage_v1>().durable_index(instance.self()), 7u);
  EXPECT_EQ(instance.Extension("org.example.other/1"), nullptr);
  EXPECT_EQ(instance.MaxApplyLevel(), 0u);
  EXPECT_TRUE(instance.Start().ok());
  const tenon_cfg other = tenon_cfg::Map({{"size", tenon_cfg::Scalar("43")}});
  EXPECT_TRUE(instance.Reconfigure(&other).ok());
  EXPECT_EQ(InsideOf(instance).configured(instance.self()), 43);
  const tenon_cfg wrong = tenon_cfg::Map({{"size", tenon_cfg::Scalar("big")}});
  EXPECT_EQ(Message(instance.Reconfigure(&wrong)),
            fmt::format("etcd.yaml:4:5: module null of plugin {} refused its new configuration: size: not a number",
                        module.path));
  instance.Stop();
  const Inside inside = InsideOf(instance);
  made->reset();
  EXPECT_EQ(inside.instances(), 0);
}

TEST_F(InstanceTest, TwoInstancesOfOneModuleShareTheCodeOnly) {
  const LoadedModule module = Load("storage", "storage-null");
  const tenon_cfg one = tenon_cfg::Map({{"size", tenon_cfg::Scalar("1")}});
  const tenon_cfg two = tenon_cfg::Map({{"size", tenon_cfg::Scalar("2")}});
  auto first = Instance::Create(module, "storage", {}, &one);
  auto second = Instance::Create(module, "storage-next", {}, &two);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->self(), (*second)->self());
  EXPECT_EQ(InsideOf(**first).instances(), 2);
  EXPECT_EQ(InsideOf(**first).configured((*first)->self()), 1);
  EXPECT_EQ(InsideOf(**second).configured((*second)->self()), 2);
  first->reset();
  EXPECT_EQ(InsideOf(**second).instances(), 1);
}

TEST_F(InstanceTest, AFailingCreateIsPassedOnInItsOwnWords) {
  const LoadedModule module = Load("storage", "create");
  EXPECT_EQ(Message(Instance::Create(module, "storage", {}, nullptr).status()),
            fmt::format("etcd.yaml:4:5: module null of plugin {} refused its configuration: size: 0 is too small",
                        module.path));
}

TEST_F(InstanceTest, AModuleThatNeedsAMissingServiceSaysSo) {
  const LoadedModule module = Load("storage", "storage-null");
  EXPECT_EQ(
      Message(Instance::Create(module, "storage", {.config = false}, nullptr).status()),
      fmt::format(
          "etcd.yaml:4:5: module null of plugin {} refused its configuration: this kernel has no tenon.host.config/1",
          module.path));
}

TEST_F(InstanceTest, AFailingStartIsDestroyedWithoutStop) {
  const LoadedModule module = Load("storage", "start");
  auto made = Instance::Create(module, "storage", {}, nullptr);
  ASSERT_TRUE(made.ok());
  const Inside inside = InsideOf(**made);
  EXPECT_EQ(
      Message((*made)->Start()),
      fmt::format("etcd.yaml:4:5: module null of plugin {} did not start: No such file or directory", module.path));
  made->reset();
  EXPECT_EQ(inside.instances(), 0);
}

TEST_F(InstanceTest, AnOldTableIsReadOnlyAsFarAsItReaches) {
  const LoadedModule module = Load("storage", "storage-old");
  const auto table = module.Table<tenon_storage_v1>();
  EXPECT_EQ(table.hash, nullptr);
  EXPECT_EQ(table.fault, nullptr);
  EXPECT_NE(table.stats, nullptr);
  EXPECT_EQ(table.m.size, sizeof(tenon_storage_v1));
}

TEST_F(InstanceTest, AModuleWithoutReconfigureSaysRestart) {
  auto made = Instance::Create(Load("storage", "storage-old"), "storage", {}, nullptr);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->Reconfigure(nullptr).code(), StatusCode::kUnimplemented);
}

TEST_F(InstanceTest, TheExampleInTheDocumentationWorks) {
  LogCapture log;
  const LoadedModule module = Load("observer", "observer-doc");
  const tenon_cfg config = tenon_cfg::Map({{"every", tenon_cfg::Scalar("2")}});
  auto made = Instance::Create(module, "observers[0]", {}, &config);
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE((*made)->Start().ok());
  for (int i = 0; i < 3; i++) (*made)->Table<tenon_observer_v1>().call_end((*made)->self(), nullptr);
  const std::string line = "\"msg\":\"calls\",\"plugin\":\"org.example.count\",\"instance\":\"observers[0]\"}";
  EXPECT_THAT(log.text(), testing::ContainsRegex("calls.*\n.*calls")) << "calls 0 and 2";
  EXPECT_THAT(log.text(), testing::HasSubstr(line));
}

TEST_F(InstanceTest, PluginsInCppAndRustLiveTheSameLife) {
  for (const char* name : {"observer-cpp", "observer-rust"}) {
    if (!folder_.Built(name)) {
      ASSERT_STREQ(name, "observer-rust");
      GTEST_SKIP() << "no rustc at build time: the Rust plugin was not built";
    }
    const LoadedModule module = Load("observer", name);
    auto made = Instance::Create(module, "observers[0]", {}, nullptr);
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_TRUE((*made)->Start().ok());
    (*made)->Table<tenon_observer_v1>().call_end((*made)->self(), nullptr);
    (*made)->Stop();
  }
}

TEST(BuiltInTest, TakesALinkedPluginAfterTheSameChecks) {
  tenon_plugin plugin{};
  EXPECT_EQ(Message(BuiltIn(nullptr, "storage").status()),
            "plugin (built in) answers NULL to tenon_plugin_query_v1: return the address of a static tenon_plugin");
  plugin.size = sizeof plugin;
  EXPECT_FALSE(BuiltIn(&plugin, "storage").ok());
}

}  // namespace
}  // namespace tenon::plugin
