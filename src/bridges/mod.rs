//! Outward clients: what the broker sends to others, rather than others fetch from it. Beside `net` and the HTTP listeners, they own
//! sockets.

pub mod sns;
