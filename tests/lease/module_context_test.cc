// The apply context: a module sees the engine and what the turn holds over it, and a call that fails leaves nothing.
#include "kernel/apply/module_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/store_fixture.h"

namespace tenon::apply {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ModuleContextTest : public ::testing::Test {
 protected:
  ModuleContextTest() : table(s.engine->Table("m/jobs", 0).value()), tables(*s.engine, {table}) {}

  template <class Fn>
  tenon_status Apply(Fn fn) {
    return tables.Apply({s.batch, Index(1), Term(1)}, fn);
  }
  static tenon_status Put(const tenon_apply_v1* c, std::string_view key, std::string_view value) {
    return c->put(c, 0, storage::Slice(key), storage::Slice(value));
  }
  static std::string Get(const tenon_apply_v1* c, std::string_view key) {
    tenon_slice value;
    const tenon_status status = c->get(c, 0, storage::Slice(key), &value);
    return status == TENON_OK ? std::string(storage::View(value)) : status == TENON_NOT_FOUND ? "none" : "error";
  }
  static std::vector<std::string> Scan(const tenon_apply_v1* c, std::string_view low = {}, std::string_view high = {},
                                       int reverse = 0) {
    std::vector<std::string> out;
    EXPECT_EQ(c->scan(
                  c, 0, {storage::Slice(low), storage::Slice(high)}, reverse,
                  [](void* to, const tenon_kv* row) -> tenon_status {
                    static_cast<std::vector<std::string>*>(to)->push_back(std::string(storage::View(row->key)) + "=" +
                                                                          std::string(storage::View(row->val)));
                    return TENON_OK;
                  },
                  &out),
              TENON_OK);
    return out;
  }

  testing::StoreFixture s;
  uint32_t table;
  ModuleTables tables;
};

TEST_F(ModuleContextTest, SeesTheEngineAndWhatIsPending) {
  Apply([](const tenon_apply_v1* c) {
    for (const char* key : {"a", "c", "e"}) EXPECT_EQ(Put(c, key, "1"), TENON_OK);
    return tenon_status(TENON_OK);
  });
  s.Commit();
  Apply([](const tenon_apply_v1* c) {
    Put(c, "b", "2");
    Put(c, "c", "2");
    EXPECT_EQ(c->del(c, 0, storage::Slice("e")), TENON_OK);
    EXPECT_EQ(c->del(c, 0, storage::Slice("nothing")), TENON_OK);
    return tenon_status(TENON_OK);
  });
  Apply([](const tenon_apply_v1* c) {  // a later entry of the same turn
    EXPECT_EQ(Get(c, "a"), "1");
    EXPECT_EQ(Get(c, "c"), "2");
    EXPECT_EQ(Get(c, "e"), "none");
    EXPECT_THAT(Scan(c), ElementsAre("a=1", "b=2", "c=2"));
    EXPECT_THAT(Scan(c, "b", "c"), ElementsAre("b=2"));
    EXPECT_THAT(Scan(c, "", "", 1), ElementsAre("c=2", "b=2", "a=1"));
    Put(c, "z", "3");
    EXPECT_THAT(Scan(c, "c"), ElementsAre("c=2", "z=3"));
    return tenon_status(TENON_OK);
  });
  s.Commit();
  tables.Recover([](const tenon_apply_v1* c) {
    EXPECT_THAT(Scan(c), ElementsAre("a=1", "b=2", "c=2", "z=3"));
    EXPECT_EQ(Put(c, "a", "2"), TENON_DENIED);
    return tenon_status(TENON_OK);
  });
}

TEST_F(ModuleContextTest, AFailedCallLeavesNothing) {
  Apply([](const tenon_apply_v1* c) {
    Put(c, "a", "1");
    return tenon_status(TENON_OK);
  });
  EXPECT_EQ(Apply([](const tenon_apply_v1* c) {
              Put(c, "a", "2");
              Put(c, "b", "2");
              EXPECT_EQ(Get(c, "a"), "2");
              return tenon_status(TENON_EXISTS);
            }),
            TENON_EXISTS);
  Apply([](const tenon_apply_v1* c) {
    EXPECT_THAT(Scan(c), ElementsAre("a=1"));
    return tenon_status(TENON_OK);
  });
}

TEST_F(ModuleContextTest, RefusesWhatIsNotItsOwn) {
  Apply([](const tenon_apply_v1* c) {
    tenon_slice value;
    int64_t deleted;
    EXPECT_EQ(c->put(c, 1, storage::Slice("a"), {}), TENON_DENIED);
    EXPECT_EQ(c->get(c, 1, storage::Slice("a"), &value), TENON_DENIED);
    EXPECT_EQ(c->kv_put(c, storage::Slice("a"), {}, 0), TENON_DENIED);
    EXPECT_EQ(c->kv_delete(c, {}, &deleted), TENON_DENIED);
    EXPECT_EQ(Put(c, "", "1"), TENON_INVALID);
    EXPECT_EQ(Put(c, std::string(512, 'k'), "1"), TENON_INVALID);
    return tenon_status(TENON_OK);
  });
  EXPECT_TRUE(s.batch.empty());
}

}  // namespace
}  // namespace tenon::apply
