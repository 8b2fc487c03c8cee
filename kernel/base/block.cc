#include "kernel/base/block.h"

#include "kernel/base/slab.h"

namespace tenon {

void Block::Free(Rep* rep) {
  if ((rep->size & kInSlab) != 0) {
    BlockSlab::Release(rep);
  } else {
    std::free(rep);
  }
}

}  // namespace tenon
