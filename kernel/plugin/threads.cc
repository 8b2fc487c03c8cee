#include "kernel/plugin/threads.h"

namespace tenon::plugin {
namespace {

thread_local uint32_t tags = 0;

uint32_t Bit(int tag) { return tag >= TENON_ON_MAIN && tag <= TENON_ON_ROLE ? 1u << tag : 0; }

}  // namespace

ThreadTag::ThreadTag(tenon_thread tag) : before_(tags) { tags |= Bit(tag); }
ThreadTag::~ThreadTag() { tags = before_; }

bool OnThread(int tag) { return (tags & Bit(tag)) != 0; }
bool OnlyOnThread(int tag) { return tags != 0 && tags == Bit(tag); }

}  // namespace tenon::plugin
