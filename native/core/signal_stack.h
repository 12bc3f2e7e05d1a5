// A stack of a thread's own for signal handlers that ask for one (SA_ONSTACK).
#pragma once

namespace octavo {

// Gives the calling thread one until it ends, unless it has one already. Where memory is short there is none,
// and handlers run on the thread's stack as ever.
void ensure_signal_stack();

}  // namespace octavo
