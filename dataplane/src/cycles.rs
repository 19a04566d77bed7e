//! The processor's cycle counter, for what a stage costs.

/// Cycles of the time-stamp counter since some past moment; nanoseconds of the monotonic clock
/// where the processor has none. Only differences on one core mean anything.
#[inline]
#[must_use]
pub fn read() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: RDTSC exists on every x86_64 processor, reads no memory, and Linux leaves it
        // usable from userspace.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::sync::OnceLock;
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        ORIGIN.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
}
