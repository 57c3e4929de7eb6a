//! Children of this process, what is passed to them, and executing another program: everything by which a socket
//! changes hands.

use crate::{Actor, Parent, raw, sockets::Sockets};
use monitor_tests::steps::{Answer, Words};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
    process::{Pid, WaitOptions, waitpid},
    thread::set_name,
};
use serde_json::{Value, json};
use std::{
    error::Error,
    ffi::CString,
    io::{BufRead, BufReader, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{self, Command},
    thread,
    time::Duration,
};

/// The first argument of a program that this one executed.
pub(crate) const ADOPT: &str = "--adopt";

struct Child {
    pid: Pid,
    lines: BufReader<UnixStream>,
    rights: UnixStream,
}

impl Child {
    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| format!("`{line}`: {error}"))?;
        match answer.get("error") {
            Some(error) => Err(format!("child {}: {error}", self.pid).into()),
            None => Ok(answer),
        }
    }
}

/// The children.
#[derive(Default)]
pub(crate) struct Family(Vec<Option<Child>>);

impl Family {
    fn child(&mut self, words: &mut Words<'_>) -> Result<&mut Child, Box<dyn Error>> {
        let number: usize = words.take("child")?;
        self.0.get_mut(number).and_then(Option::as_mut).ok_or_else(|| format!("no child {number}").into())
    }

    pub(crate) fn relay(&mut self, words: &mut Words<'_>) -> Answer {
        let child = self.child(words)?;
        writeln!(child.lines.get_mut(), "{}", words.rest())?;
        child.answer()
    }

    pub(crate) fn reap(&mut self, words: &mut Words<'_>) -> Answer {
        let number: usize = words.take("child")?;
        let child = self.0.get_mut(number).and_then(Option::take).ok_or("no such child")?;
        let pid = child.pid;
        drop(child);
        waitpid(Some(pid), WaitOptions::empty())?;
        Ok(json!({}))
    }
}

pub(crate) fn fork(actor: &mut Actor, words: &mut Words<'_>) -> Answer {
    let name = CString::new(words.take::<String>("name")?)?;
    let (lines, childs_lines) = UnixStream::pair()?;
    let (rights, childs_rights) = UnixStream::pair()?;
    let wanted: i32 = words.flag().map_or(Ok(0), str::parse)?;
    if wanted != 0 {
        // Starts with the same pid are told apart from a millisecond on, and all that the one before did may have taken less.
        thread::sleep(Duration::from_millis(3));
    }
    let Some(pid) = (if wanted == 0 { raw::fork()? } else { raw::fork_as(wanted)? }) else {
        // The child: it must not hold the ends by which its siblings are told to end.
        drop((lines, rights));
        actor.family = Family::default();
        actor.parent = Some(Parent { lines: childs_lines, rights: childs_rights });
        let served = set_name(&name).map_err(Into::into).and_then(|()| actor.serve());
        process::exit(i32::from(served.is_err()));
    };
    lines.set_read_timeout(Some(crate::DEADLINE))?;
    let mut child = Child { pid, lines: BufReader::new(lines), rights };
    child.answer()?;
    let family = &mut actor.family.0;
    family.push(Some(child));
    Ok(json!({ "id": family.len() - 1, "pid": pid.as_raw_nonzero() }))
}

pub(crate) fn pass(actor: &mut Actor, words: &mut Words<'_>) -> Answer {
    let socket = actor.sockets.remove(words)?;
    let child = actor.family.child(words)?;
    let fds = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err("no room for a descriptor".into());
    }
    sendmsg(&child.rights, &[IoSlice::new(b"x")], &mut control, SendFlags::empty())?;
    Ok(json!({}))
}

pub(crate) fn take(actor: &mut Actor) -> Answer {
    let parent = actor.parent.as_ref().ok_or("there is no parent")?;
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&parent.rights, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let message = control.drain().next().ok_or("no descriptor came")?;
    let RecvAncillaryMessage::ScmRights(mut fds) = message else { return Err("no descriptor came".into()) };
    actor.sockets.add(fds.next().ok_or("no descriptor came")?)
}

/// The executed program answers the step, or this one does when it cannot be.
pub(crate) fn exec(actor: &mut Actor, words: &mut Words<'_>) -> Answer {
    let path: String = words.take("path")?;
    let mut kept: Vec<i32> = Vec::new();
    if let Some(Parent { lines, rights }) = &actor.parent {
        for fd in [lines.as_fd(), rights.as_fd()] {
            fcntl_setfd(fd, FdFlags::empty())?;
            kept.push(fd.as_raw_fd());
        }
    } else {
        kept.extend([-1, -1]);
    }
    for socket in actor.sockets.all() {
        fcntl_setfd(socket, FdFlags::empty())?;
        kept.push(socket.as_raw_fd());
    }
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    Err(Command::new(path).arg(ADOPT).arg(kept.join(",")).exec().into())
}

/// What an executed program begins with.
pub(crate) fn adopt(list: &str) -> Result<Actor, Box<dyn Error>> {
    let fds: Vec<i32> = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [lines, rights, sockets @ ..] = fds.as_slice() else { return Err("too few descriptors".into()) };
    let parent = if *lines < 0 {
        None
    } else {
        let (lines, rights) = (raw::adopt(*lines), raw::adopt(*rights));
        Some(Parent { lines: lines.into(), rights: rights.into() })
    };
    let mut adopted = Sockets::default();
    for fd in sockets {
        adopted.add(raw::adopt(*fd))?;
    }
    Ok(Actor { sockets: adopted, family: Family::default(), parent })
}
