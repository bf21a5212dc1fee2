//! Which of some sockets have become readable or writable.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{Timespec, epoll};

/// Sockets that are watched, edge-triggered: each change is told once.
pub struct Ready {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Ready {
    pub fn new() -> Result<Self> {
        // A thread that waits 50 µs longer than it asked for measures itself.
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    /// Watches a socket, and makes it non-blocking.
    pub fn watch(&self, stream: &TcpStream, number: usize, to_write: bool) -> Result<()> {
        stream.set_nonblocking(true)?;
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        flags.set(epoll::EventFlags::OUT, to_write);
        Ok(epoll::add(&self.epoll, stream, epoll::EventData::new_u64(number as u64), flags)?)
    }

    /// Waits at most that long, and tells of each socket that has changed: its number, and whether it can be read and written.
    pub fn wait(&mut self, most: Duration, mut changed: impl FnMut(usize, bool, bool)) -> Result<()> {
        let most = Timespec::try_from(most)?;
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&most)) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let (number, flags) = (event.data.u64() as usize, event.flags);
            let ended = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            changed(number, ended || flags.contains(epoll::EventFlags::IN), flags.contains(epoll::EventFlags::OUT));
        }
        Ok(())
    }
}
