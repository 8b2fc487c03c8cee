#include "plugins/transport-h2/message.h"

namespace tenon::transport_h2 {

thread_local Message::Spare Message::spare_;

}  // namespace tenon::transport_h2
