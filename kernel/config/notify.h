// systemd's readiness protocol without its library: one datagram to the socket that $NOTIFY_SOCKET names.
#pragma once
#include <string_view>

#include "kernel/base/status.h"

namespace tenon {

// Sends `state`, for example "READY=1" or "STOPPING=1\nSTATUS=closing", to this process's supervisor.
// false: nobody asked for it ($NOTIFY_SOCKET is not set). Waits if the supervisor lags, as systemd's own does: a lost
// READY=1 would end in a restart. [any thread]
Result<bool> NotifySupervisor(std::string_view state);
// The same to a given address: an absolute path, or "@name" for a socket of Linux's abstract namespace.
Status NotifyAt(std::string_view socket_address, std::string_view state);

}  // namespace tenon
