//! Two running gateways between two hosts: network namespaces, a wire of ours that loses, real
//! traffic. All need root, and iproute2: `make test-live`.
#![forbid(unsafe_code)]

mod absence;
mod captures;
mod congestion;
mod detour;
#[cfg(feature = "dpdk")]
mod dpdk;
mod elastic;
mod ends;
mod frames;
mod gateway;
mod health;
mod namespace;
mod network;
mod passing;
mod pauses;
mod refusals;
mod roce;
mod sizes;
mod srv6;
mod traffic;
