#include "kernel/base/slab.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace tenon {
namespace {

size_t ResidentPages() {
  FILE* file = fopen("/proc/self/statm", "r");
  size_t all = 0, resident = 0;
  EXPECT_EQ(fscanf(file, "%zu %zu", &all, &resident), 2);
  fclose(file);
  return resident;
}

std::string Row(size_t i) { return std::string(i % 3000, static_cast<char>('a' + i % 26)); }

TEST(BlockSlabTest, BlocksOutliveTheirSlabAndEachOther) {
  std::vector<Block> blocks;
  {
    BlockSlab slab;
    for (size_t i = 0; i < 4000; i++) {
      if (i == 1000) slab.ExpectMany();  // small pieces, then large ones
      blocks.push_back(slab.Copy(Row(i)));
    }
  }
  for (size_t i = 0; i < blocks.size(); i += 2) blocks[i] = {};
  for (size_t i = 1; i < blocks.size(); i += 2) {
    EXPECT_EQ(blocks[i].view(), Row(i));
    EXPECT_TRUE(blocks[i].in_slab());
  }
  EXPECT_FALSE(Block::Copy("alone").in_slab());
}

TEST(BlockSlabTest, ALargeBlockIsAlone) {
  BlockSlab slab;
  const std::string large(1 << 20, 'x');
  const Block block = slab.Copy(large);
  EXPECT_EQ(block.view(), large);
  EXPECT_FALSE(block.in_slab());
}

TEST(BlockSlabTest, WhatWasDroppedGoesBackToTheSystem) {
  const size_t before = ResidentPages();
  for (const bool many : {false, true}) {
    BlockSlab slab;
    if (many) slab.ExpectMany();
    std::vector<Block> blocks;
    blocks.reserve(64 << 10);
    const std::string row(1000, 'x');
    for (size_t i = 0; i < blocks.capacity(); i++) blocks.push_back(slab.Copy(row));
  }
  const size_t pages = (8u << 20) / static_cast<size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_LT(ResidentPages(), before + pages) << "64 MB were taken and given back";
}

}  // namespace
}  // namespace tenon
