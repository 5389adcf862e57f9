//! End to end, one module per story: real sockets, real WebRTC, real programs.

mod stock_clients;
