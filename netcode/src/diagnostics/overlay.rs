//! The network overlay.

