//! Tests of the gateway on captures.
#![forbid(unsafe_code)]
