//! Checked views and builders of everything a gateway reads or writes.
