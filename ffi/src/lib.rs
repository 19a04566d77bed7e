//! Raw bindings to the system's libdpdk (22.11 or later): what compute-gateway needs of it, and
//! nothing else.
//!
//! Two kinds of names. `rte_*` and `RTE_*` are DPDK's own, made by bindgen from the headers that
//! are installed; its guide says what they mean. `dpdk_*` are the shims of `shim.h`, for what DPDK
//! has as static inline functions or in structures that change between releases; those of the hot
//! path do a burst a call.
//!
//! Without the feature `link` the crate is empty, and libdpdk need not be there.

#[cfg(feature = "link")]
#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

#[cfg(feature = "link")]
pub use bindings::*;
