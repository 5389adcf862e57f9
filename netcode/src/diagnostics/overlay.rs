//! The network overlay.
