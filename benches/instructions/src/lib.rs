//! A broker whose logs are in memory: what counts instructions, and what feeds machines nonsense, runs on it.

pub mod world;
