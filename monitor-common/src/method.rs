//! The methods of finding who owns a socket: one table for the kernel programs, which write codes, and for userspace.
//!
//! Two rankings stand side by side in it. *Rank* is the kernel's: a claim replaces an owner of the same or a lower rank, so
//! the last user wins among equals, which is what a passed or inherited descriptor needs. *Evidence* is userspace's, which
//! has all claims of a socket at once: the strongest speaks, and of equal ones the latest. They differ in [`Method::Release`]
//! only: in the kernel no last closer takes over what somebody owns, whatever the ranks say, and it need not rank below
//! others; userspace has nothing but the ranking to say that whoever closed a socket is less likely its owner than whoever
//! made or held it.

/// What a method shows of a process, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Evidence {
    /// Nothing.
    Nothing,
    /// It closed the socket, which need not have been its own.
    Closes,
    /// It made the socket or holds it, perhaps for another.
    Holds,
    /// It gave the socket an end: the first that is a use, though it moves no byte.
    NamesAnEnd,
    /// It read from the socket or accepted the connection, and so takes the socket on itself.
    TakesTheSocket,
    /// Its own call moved bytes, or is about to.
    MovesBytes,
}

macro_rules! methods {
    ($($(#[$meta:meta])* $method:ident = $code:literal, $name:literal, $evidence:ident
        $(, $claim:ident ranks $rank:ident)?;)*) => {
        /// How an owner was found.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Method {
            $($(#[$meta])* $method = $code,)*
        }

        impl Method {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$method),*];
            /// Those that kernel programs claim by, with their codes.
            pub const CLAIMS: &[(u8, Self)] = &[$($(($claim, Self::$method),)?)*];

            /// The name in machine output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$method => $name,)*
                }
            }

            /// What it shows of the process, for userspace.
            #[must_use]
            pub const fn evidence(self) -> Evidence {
                match self {
                    $(Self::$method => Evidence::$evidence,)*
                }
            }

            /// That of a claim, by its code; [`Self::None`] for what is none.
            #[must_use]
            pub const fn of_claim(code: u8) -> Self {
                match code {
                    $($($claim => Self::$method,)?)*
                    _ => Self::None,
                }
            }
        }

        $($(
            #[doc = concat!("Code of a claim by [`Method::", stringify!($method), "`].")]
            pub const $claim: u8 = $code;
        )?)*

        /// Rank of a claim in the kernel, by the code of its method; an [`Evidence`] as a number.
        #[inline(always)]
        #[must_use]
        pub const fn claim_rank(code: u8) -> u8 {
            match code {
                $($($claim => Evidence::$rank as u8,)?)*
                _ => Evidence::Nothing as u8,
            }
        }
    };
}
methods! {
    // method = code, name, evidence, and of a claim the code's name and its rank.

    /// It was not.
    #[default]
    None = 0, "none", Nothing;
    /// Found open in the process when the monitor started (iter/task_file).
    Seed = 1, "seed", Holds, CLAIM_SEED ranks Holds;
    /// The process made the socket: socket(2).
    Create = 2, "create", Holds, CLAIM_CREATE ranks Holds;
    /// The process was the last to close it, and never used it while we looked.
    Release = 3, "release", Closes, CLAIM_RELEASE ranks Holds;
    /// bind(2).
    Bind = 4, "bind", NamesAnEnd, CLAIM_BIND ranks NamesAnEnd;
    /// connect(2).
    Connect = 5, "connect", NamesAnEnd, CLAIM_CONNECT ranks NamesAnEnd;
    /// Data was read, by whoever holds the socket's lock (`tcp_rcv_space_adjust`). It replaces only the weaker claims.
    Read = 6, "read", TakesTheSocket, CLAIM_READ ranks TakesTheSocket;
    /// accept(2) with an address, or getpeername(2).
    Accept = 7, "accept", TakesTheSocket, CLAIM_ACCEPT ranks TakesTheSocket;
    /// sendmsg(2) with an address, or recvmsg(2) asking for one. Not less than a transfer: sending is told before the bytes
    /// leave, and they are the sender's even if another process has just used the socket.
    Message = 8, "message", MovesBytes, CLAIM_MESSAGE ranks MovesBytes;
    /// Bytes were accepted or delivered in the caller's context (`sock_send_length`, `sock_recv_length`).
    Transfer = 9, "transfer", MovesBytes, CLAIM_TRANSFER ranks MovesBytes;
    /// The caller is about to send (`tcp_sendmsg_locked`).
    Send = 10, "send", MovesBytes, CLAIM_SEND ranks MovesBytes;
    /// A handshake, told from the listener.
    Listener = 11, "listener", Nothing;
    /// A kernel socket or a kernel thread.
    Kernel = 12, "kernel", MovesBytes;
    /// The process was seen to hold it: the kernel's list of sockets (sock_diag(7)) and /proc.
    SockDiag = 13, "sock_diag", Holds;
    /// The process was seen to hold it: /proc/net and /proc.
    Procfs = 14, "procfs", Holds;
    /// The process was seen to hold it: lsof(8).
    Lsof = 15, "lsof", Holds;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_and_evidence_differ_in_the_last_closer_only() {
        for (code, method) in Method::CLAIMS {
            assert_eq!((Method::of_claim(*code), *method as u8), (*method, *code));
            assert_eq!(
                claim_rank(*code) == method.evidence() as u8,
                *method != Method::Release,
                "{method:?}"
            );
        }
        assert_eq!((Method::of_claim(Method::Kernel as u8), claim_rank(0)), (Method::None, 0));
    }
}
