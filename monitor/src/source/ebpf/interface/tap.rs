//! An AF_PACKET socket on one interface, with a program that counts and queues nothing (packet(7)).
//!
//! All `unsafe` of the interface view is here. What is counted is the program's business.
#![expect(unsafe_code, reason = "packet sockets and SO_ATTACH_BPF have no safe wrapper")]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A tap; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Tap {
    _socket: OwnedFd,
}

impl Tap {
    /// Opens a tap. The program is attached before the socket hears anything, so nothing is ever queued.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn open(ifindex: u32, program: BorrowedFd<'_>, promiscuous: bool) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program.as_raw_fd())?;
        let index = libc::c_int::try_from(ifindex).map_err(io::Error::other)?;
        bind(&socket, index)?;
        if promiscuous {
            let member = libc::packet_mreq {
                mr_ifindex: index,
                mr_type: u16::try_from(libc::PACKET_MR_PROMISC).map_err(io::Error::other)?,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            set(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member)?;
        }
        Ok(Self { _socket: socket })
    }
}

fn length<T>() -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = length::<T>()?;
    // SAFETY: the socket is open, and the value is readable for the length that is passed.
    checked(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length)
    })
}

fn bind(socket: &OwnedFd, ifindex: libc::c_int) -> io::Result<()> {
    let all = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
        sll_protocol: all.to_be(),
        sll_ifindex: ifindex,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = length::<libc::sockaddr_ll>()?;
    // SAFETY: the socket is open, and the address is readable for the length that is passed.
    checked(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) })
}
