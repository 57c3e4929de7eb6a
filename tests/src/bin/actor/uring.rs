//! Sending and receiving by io_uring: the call is made by the kernel, for the process that asked.

#![expect(
    unsafe_code,
    reason = "the kernel uses the buffer of a queued operation after the call has returned"
)]

use crate::calls::system;
use io_uring::{IoUring, opcode, squeue, types::Fd};
use monitor_tests::steps::Answer;
use serde_json::json;
use std::{
    error::Error,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Which of the kernel's threads makes the call.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// One of the pool of workers, at each submission.
    Worker,
    /// The one that watches the ring (IORING_SETUP_SQPOLL).
    Poller,
}

impl By {
    fn ring(self) -> Result<IoUring, Box<dyn Error>> {
        /// How long the poller stays awake without work.
        const IDLE_MS: u32 = 50;
        Ok(match self {
            Self::Worker => IoUring::new(8)?,
            Self::Poller => IoUring::builder().setup_sqpoll(IDLE_MS).build(8)?,
        })
    }

    fn flags(self) -> squeue::Flags {
        match self {
            Self::Worker => squeue::Flags::ASYNC,
            Self::Poller => squeue::Flags::empty(),
        }
    }
}

/// Queues one operation and waits for its result.
fn one(ring: &mut IoUring, operation: &squeue::Entry) -> Result<usize, Box<dyn Error>> {
    // SAFETY: every caller keeps the buffer of the operation until this returns, which is after its completion.
    unsafe { ring.submission().push(operation)? };
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().ok_or("no completion")?;
    Ok(system(done.result())?)
}

/// `IORING_OP_SEND`, message by message.
pub(crate) fn send(by: By, socket: BorrowedFd<'_>, count: u64, length: usize) -> Answer {
    let mut ring = by.ring()?;
    let buffer = vec![b'x'; length];
    for _ in 0..count {
        let mut sent = 0;
        while sent < length {
            let rest = &buffer[sent..];
            let size = u32::try_from(rest.len())?;
            let operation = opcode::Send::new(Fd(socket.as_raw_fd()), rest.as_ptr(), size).build();
            // The kernel's poller does not wait for room: it sends what there is room for.
            sent += one(&mut ring, &operation.flags(by.flags()))?;
        }
    }
    Ok(json!({ "sent": count }))
}

/// `IORING_OP_RECV`, until that many bytes are there.
pub(crate) fn receive(by: By, socket: BorrowedFd<'_>, bytes: usize) -> Answer {
    let mut ring = by.ring()?;
    let mut buffer = vec![0; 65536];
    let mut received = 0;
    while received < bytes {
        let room = u32::try_from(buffer.len().min(bytes - received))?;
        let operation = opcode::Recv::new(Fd(socket.as_raw_fd()), buffer.as_mut_ptr(), room).build();
        let length = one(&mut ring, &operation.flags(by.flags()))?;
        if length == 0 {
            return Err("the stream ended".into());
        }
        received += length;
    }
    Ok(json!({ "received": received }))
}
