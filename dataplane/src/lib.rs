//! Moves packets: packet memory, ports, the worker, time and counters.
