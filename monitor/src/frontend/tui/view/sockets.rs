//! The sockets of the process that is opened, as the kernel lists them: those that listen, with who waits, and those that
//! nothing moves through. What moves is in the table below.

use super::Ctx;
use super::page::Text;
use crate::model::{HeldSocket, ProcessId, SocketId, TcpState};
use crate::query::Row;
use std::collections::HashSet;

/// The most sockets of a kind that are told one by one.
const MOST: usize = 6;

/// What is known of them, from the tick after the process was opened.
pub(super) fn held(text: &mut Text<'_>, process: ProcessId, label: usize, ctx: &Ctx<'_>) {
    let Some(held) = ctx.snapshot.held.as_ref().filter(|held| held.process == process) else { return };
    let theme = ctx.theme;
    let sockets = match &held.sockets {
        Ok(sockets) => sockets,
        Err(why) => return text.entry("sockets", label, &[(why, theme.dim)]),
    };
    let moves: HashSet<SocketId> = ctx
        .snapshot
        .flows
        .iter()
        .filter(|flow| !Row::Flow(flow).is_idle())
        .map(|flow| flow.id.socket)
        .collect();
    let (listening, others): (Vec<&HeldSocket>, Vec<&HeldSocket>) =
        sockets.iter().partition(|socket| socket.state.state == Some(TcpState::Listen));
    let idle: Vec<&HeldSocket> =
        others.into_iter().filter(|socket| !moves.contains(&socket.socket)).collect();
    let sum = format!("{} held, {} listening, {} idle", sockets.len(), listening.len(), idle.len());
    text.entry("sockets", label, &[(&sum, theme.plain)]);
    list(text, "listens", label, &listening, ctx, |socket| {
        let (waiting, room) = (socket.state.receive_queue, socket.state.send_queue);
        (format!("{waiting} of {room} wait"), waiting > room)
    });
    list(text, "idle", label, &idle, ctx, |socket| {
        let units = ctx.state.format().units();
        let (unread, unsent) = (socket.state.receive_queue, socket.state.send_queue);
        let mut said = socket.state.state.map_or("", TcpState::name).to_owned();
        for (bytes, what) in [(unread, "not read"), (unsent, "not acknowledged")] {
            if bytes > 0 {
                said = format!("{said} {} {what}", units.bytes(bytes.into()));
            }
        }
        (said, socket.state.state == Some(TcpState::CloseWait))
    });
}

/// Some sockets with what is to be said of each, and whether that is worth a warning.
fn list(
    text: &mut Text<'_>,
    title: &str,
    label: usize,
    sockets: &[&HeldSocket],
    ctx: &Ctx<'_>,
    say: impl Fn(&HeldSocket) -> (String, bool),
) {
    if sockets.is_empty() {
        return;
    }
    let format = ctx.state.format();
    let mut words = Vec::new();
    for socket in sockets.iter().take(MOST) {
        let end = |end| format.end(socket.protocol, end);
        let ends = match socket.remote {
            Some(remote) => format!("{} to {}", end(socket.local), end(remote)),
            None => end(socket.local),
        };
        let (said, is_bad) = say(socket);
        let said = format!("{} {} {said}", socket.protocol, ctx.glyphs.escape(&ends));
        let style = if is_bad { ctx.theme.warning } else { ctx.theme.plain };
        words.push((format!("{}; ", said.trim_end()), style));
    }
    let more = sockets.len().saturating_sub(MOST);
    match words.last_mut() {
        Some((last, _)) if more == 0 => last.truncate(last.len() - 2),
        _ => words.push((format!("and {more} more"), ctx.theme.dim)),
    }
    let words: Vec<(&str, _)> = words.iter().map(|(text, style)| (&**text, *style)).collect();
    text.entry(title, label, &words);
}
