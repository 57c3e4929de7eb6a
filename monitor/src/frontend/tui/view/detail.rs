//! The detail page of what was opened: who it is, why that is known, what it moved, how its connections fare; and a graph.

use super::super::detail::{Detail, Subject, Tcp};
use super::super::state::State;
use super::super::style::Glyphs;
use super::super::theme::Theme;
use super::page::{Line, Text, draw as draw_lines};
use super::{Ctx, graph, ledger, sockets};
use crate::model::{Attribution, FlowRow, Identity, Mono, ProcessRow, Snapshot};
use crate::query::{
    Format, GroupKey, GroupRow, Row, ViewKind, Window, clock, count, default_reason, latency,
};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Room for the words before a value.
const LABEL: usize = 9;
/// With less there is no graph beside the words.
const BESIDE: u16 = 100;
/// The graph's part of the width, in eighths.
const PART: u16 = 3;

/// How many lines it makes use of.
pub(super) fn height(width: u16, state: &State, snapshot: &Snapshot) -> u16 {
    // The styles take no room, and every sign has one column.
    let (theme, glyphs) = (&Theme::without_colour(), &Glyphs::new(true));
    let ctx = Ctx { state, snapshot, theme, glyphs };
    let lines = match state.detail() {
        Some(detail) => lines(detail, width, &ctx),
        None => selected_interface(width, &ctx),
    };
    u16::try_from(lines.len()).unwrap_or(u16::MAX)
}

/// Columns for the words.
fn words(width: u16) -> u16 {
    if width >= BESIDE { width - width * PART / 8 } else { width }
}

/// Draws it.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let Some(detail) = ctx.state.detail() else {
        return draw_lines(buffer, area, &selected_interface(area.width, ctx), 0, ctx);
    };
    let left = Rect { width: words(area.width), ..area };
    draw_lines(buffer, left, &lines(detail, area.width, ctx), 0, ctx);
    if left.width < area.width {
        let right = Rect { x: left.right(), width: area.width - left.width, ..area };
        let (rx, tx) = graph::two_minutes(&detail.points, ctx.snapshot.at, usize::from(graph::room(right)));
        graph::plot(buffer, right, &rx, &tx, ctx);
    }
}

/// The ledger of the interface that is selected in the list of them.
fn selected_interface(width: u16, ctx: &Ctx<'_>) -> Vec<Line> {
    let mut text = Text::new(ctx, width);
    if ctx.state.view == ViewKind::Interfaces
        && let Some(Row::Group(row)) = ctx.state.selected()
    {
        of_interface(&mut text, row, ctx);
    }
    text.into_lines()
}

/// Where the bytes of an interface went, where it is one that the ledger knows.
fn of_interface(text: &mut Text<'_>, row: &GroupRow, ctx: &Ctx<'_>) {
    let GroupKey::Interface(netns, ifindex) = row.key else { return };
    let mut all = ctx.snapshot.ledger.interfaces.iter();
    if let Some(ledger) = all.find(|ledger| (ledger.netns, ledger.ifindex) == (netns, ifindex)) {
        ledger::one(text, ledger, LABEL, ctx);
    }
}

/// What is said on a page of that width.
fn lines(detail: &Detail, width: u16, ctx: &Ctx<'_>) -> Vec<Line> {
    let mut text = Text::new(ctx, words(width));
    match &detail.subject {
        Subject::Process(row) => process(&mut text, row, ctx),
        Subject::Flow(row) => flow(&mut text, row, ctx),
        Subject::Group(row) => group(&mut text, row, ctx),
        Subject::Gone => {
            text.entry("gone", LABEL, &[("it is not listed any more; Esc goes back", ctx.theme.warning)]);
        }
    }
    known(&mut text, detail, ctx);
    moved(&mut text, detail, width, ctx);
    holds(&mut text, detail, ctx);
    tcp(&mut text, &detail.tcp, ctx);
    match &detail.subject {
        Subject::Process(row) => {
            row.id.into_iter().for_each(|id| sockets::held(&mut text, id, LABEL, ctx));
            background(&mut text, &row.identity, ctx);
        }
        Subject::Flow(row) => {
            socket(&mut text, row, ctx);
            background(&mut text, &row.identity, ctx);
        }
        Subject::Group(row) => {
            if let GroupKey::Process(id) = row.key {
                sockets::held(&mut text, id, LABEL, ctx);
            }
        }
        Subject::Gone => {}
    }
    text.into_lines()
}

fn process(text: &mut Text<'_>, row: &ProcessRow, ctx: &Ctx<'_>) {
    let Some(id) = row.id else {
        let why = default_reason(row.confidence).unwrap_or("processes that are no longer listed");
        return text.entry("bytes of", LABEL, &[("no process: ", ctx.theme.warning), (why, ctx.theme.plain)]);
    };
    if id.pid == 0 {
        return text.entry("kernel", LABEL, &[("the kernel's own sockets and threads", ctx.theme.plain)]);
    }
    let mut who = format!("{}, pid {}", ctx.glyphs.escape(&row.process), id.pid);
    if let Some(start) = row.start {
        who = format!("{who}, started {} ago", ago(start, ctx.snapshot));
    }
    text.entry("process", LABEL, &[(&who, ctx.theme.strong)]);
    if let Some(exited) = row.exited {
        let ended = format!("{} ago", ago(exited, ctx.snapshot));
        text.entry("ended", LABEL, &[(&ended, ctx.theme.warning)]);
    }
    if let Some(exe) = &row.exe {
        text.entry("program", LABEL, &[(&ctx.glyphs.escape(exe), ctx.theme.plain)]);
    }
    identity(text, &row.identity, row.uid, ctx);
}

/// What else names a process; what is not known has no line.
fn identity(text: &mut Text<'_>, identity: &Identity, uid: Option<u32>, ctx: &Ctx<'_>) {
    let mut say = |label: &str, value: &str| {
        text.entry(label, LABEL, &[(&ctx.glyphs.escape(value), ctx.theme.plain)]);
    };
    if !identity.parents.is_empty() {
        let chain: Vec<String> =
            identity.parents.iter().map(|parent| format!("{}[{}]", parent.comm, parent.id.pid)).collect();
        say("child of", &chain.join(if ctx.glyphs.ascii { " < " } else { " ‹ " }));
    }
    match (&identity.user, uid) {
        (Some(user), Some(uid)) => say("user", &format!("{user} ({uid})")),
        (None, Some(uid)) => say("user", &uid.to_string()),
        (Some(user), None) => say("user", user),
        (None, None) => {}
    }
    if let Some(container) = &identity.container {
        let name = container.name.as_deref().unwrap_or("no name known");
        let claimed = container.claimed_by.map(|uid| format!("; uid {uid} says so")).unwrap_or_default();
        say("container", &format!("{name} ({} {}{claimed})", container.runtime, container.id));
    }
    if let Some(pod) = &identity.pod {
        let part = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or("?").to_owned();
        say("pod", &format!("{}/{} ({})", part(&pod.namespace), part(&pod.name), pod.uid));
    }
    if let Some(unit) = &identity.unit {
        let slice = identity.slice.as_ref().map(|slice| format!(" in {slice}")).unwrap_or_default();
        say("unit", &format!("{unit}{slice}"));
    }
}

/// What is known of it beside that, last because it is long and seldom asked for.
fn background(text: &mut Text<'_>, identity: &Identity, ctx: &Ctx<'_>) {
    let mut say = |label: &str, value: &str| {
        text.entry(label, LABEL, &[(&ctx.glyphs.escape(value), ctx.theme.plain)]);
    };
    if let Some(package) = &identity.package {
        say("package", package);
    }
    if let Some(cgroup) = &identity.cgroup {
        say("cgroup", cgroup);
    }
    if let Some(cmdline) = &identity.cmdline {
        say("command", cmdline);
    }
    if let Some(sha256) = &identity.sha256 {
        say("sha256", sha256);
    } else if let Some(why) = identity.unhashed {
        say("sha256", &format!("none: {why}"));
    }
}

fn flow(text: &mut Text<'_>, row: &FlowRow, ctx: &Ctx<'_>) {
    let (theme, format) = (ctx.theme, ctx.state.format());
    let end = |end: Option<_>| end.map_or_else(|| "-".to_owned(), |end| format.end(row.id.protocol, end));
    let ends = format!("{} {} - {}", row.id.protocol, end(row.id.local_end()), end(row.id.remote_end()));
    text.entry("flow", LABEL, &[(&ctx.glyphs.escape(&ends), theme.strong)]);
    if let (Some(remote), true) = (row.id.remote_end(), names_a_host(row, &format)) {
        text.entry("address", LABEL, &[(&remote.to_string(), theme.plain)]);
    }
    let interface = if row.interface.is_empty() { "?" } else { &*row.interface };
    let interface = ctx.glyphs.escape(interface);
    let mut place = format!("{interface}, netns cookie {}, socket cookie {}", row.id.netns, row.id.socket.0);
    if row.id.netns == 0 {
        place = format!("{interface}, netns not known, socket cookie {}", row.id.socket.0);
    }
    text.entry("on", LABEL, &[(&place, theme.plain)]);
    let mut times =
        format!("first {} ago, last {} ago", ago(row.first, ctx.snapshot), ago(row.last, ctx.snapshot));
    if row.predates {
        let elapsed = clock(ctx.snapshot.elapsed);
        times = format!("{times}; its socket is older than the counting, which began {elapsed} ago");
    }
    if let Some(closed) = row.closed {
        times = format!("{times}, closed {} ago", ago(closed, ctx.snapshot));
    }
    text.entry("seen", LABEL, &[(&times, theme.plain)]);
    let Attribution { owner, method, confidence, reason } = &row.attribution;
    let name = Row::Flow(row).name();
    let owner = match owner {
        Some(owner) if owner.pid != 0 => format!("{name}[{}]", owner.pid),
        _ => name.to_owned(),
    };
    let why = reason.as_deref().or_else(|| default_reason(*confidence));
    let why = why.map(|why| format!(": {}", ctx.glyphs.escape(why))).unwrap_or_default();
    let how = format!(", {} by {}{why}", confidence.name(), method.name());
    text.entry("owner", LABEL, &[(&ctx.glyphs.escape(&owner), theme.strong), (&how, theme.plain)]);
    identity(text, &row.identity, row.uid, ctx);
}

fn names_a_host(row: &FlowRow, format: &Format<'_>) -> bool {
    row.id.remote_end().is_some_and(|end| format.host(end.addr) != end.addr.to_string())
}

fn group(text: &mut Text<'_>, row: &GroupRow, ctx: &Ctx<'_>) {
    let format = ctx.state.format();
    let label = row.label(&format);
    let kind = row.view.spec().group;
    let key = row.key_text().filter(|key| *key != label).map(|key| format!(" ({key})")).unwrap_or_default();
    let name = format!("{label}{key}");
    text.entry(kind, LABEL, &[(&ctx.glyphs.escape(&name), ctx.theme.strong)]);
    if let Some(exited) = row.exited {
        let ended = format!("the last of its processes, {} ago", ago(exited, ctx.snapshot));
        text.entry("ended", LABEL, &[(&ended, ctx.theme.warning)]);
    }
    of_interface(text, row, ctx);
}

/// Why the owners of its flows are known.
fn known(text: &mut Text<'_>, detail: &Detail, ctx: &Ctx<'_>) {
    if matches!(detail.subject, Subject::Flow(_)) || detail.owners.is_empty() {
        return;
    }
    let each: Vec<String> = detail
        .owners
        .iter()
        .map(|((confidence, method), flows)| {
            let why = default_reason(*confidence).map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{} by {}{why}: {}", confidence.name(), method.name(), count(*flows as u64))
        })
        .collect();
    text.entry("owner", LABEL, &[(&each.join(", "), ctx.theme.plain)]);
}

fn moved(text: &mut Text<'_>, detail: &Detail, width: u16, ctx: &Ctx<'_>) {
    let (units, sums) = (ctx.state.format().units(), &detail.sums);
    let peaks = match &detail.subject {
        Subject::Process(row) => row.peak.map(|peak| (peak.rx, peak.tx)),
        Subject::Flow(row) => Some((row.peak.rx, row.peak.tx)),
        _ => None,
    };
    let total = &sums.total;
    let directions = [
        ("rx", sums.windows.rx, total.rx_bytes, peaks.map(|peaks| peaks.0), ctx.theme.rx),
        ("tx", sums.windows.tx, total.tx_bytes, peaks.map(|peaks| peaks.1), ctx.theme.tx),
    ];
    for (name, rates, bytes, peak, style) in directions {
        let averages =
            Window::ALL.map(|window| format!("{}s {}", window.seconds(), units.rate(rates[window.index()])));
        let peak = peak.map(|peak| format!("peak {}", units.rate(peak)));
        let total = format!("total {}", units.bytes(bytes));
        let line: Vec<String> = averages.into_iter().chain(peak).chain([total]).collect();
        let line = line.join(" ");
        text.entry(name, LABEL, &[(&line, style)]);
    }
    // Else the graph beside it says so.
    if width < BESIDE {
        let room = usize::from(width).saturating_sub(LABEL + 3);
        let (rx, tx) = graph::two_minutes(&detail.points, ctx.snapshot.at, room);
        for (name, rates, style) in [("2 min rx", rx, ctx.theme.rx), ("2 min tx", tx, ctx.theme.tx)] {
            text.entry(name, LABEL, &[(&graph::sparkline(&rates, ctx).replace(' ', "\u{a0}"), style)]);
        }
    }
    let flow = match &detail.subject {
        Subject::Flow(row) => Some(&**row),
        Subject::Process(_) | Subject::Group(_) | Subject::Gone => None,
    };
    let since = since(flow, detail.by_processes, ctx.snapshot);
    let [rx, tx] = [total.rx_packets, total.tx_packets].map(count);
    text.entry("totals", LABEL, &[(&format!("since {since}, packets {rx} rx {tx} tx"), ctx.theme.plain)]);
}

fn holds(text: &mut Text<'_>, detail: &Detail, ctx: &Ctx<'_>) {
    let parts = [
        (detail.processes, "processes"),
        (detail.flows, "flows"),
        (detail.closed, "closed"),
        (detail.peers, "remote hosts"),
        (detail.ports, "local ports"),
    ];
    let from = match detail.subject {
        Subject::Flow(_) => return,
        Subject::Process(_) => 1,
        Subject::Group(_) | Subject::Gone => 0,
    };
    let parts = parts[from..].iter().filter(|(number, what)| *what != "closed" || *number > 0);
    let words = parts.map(|(number, what)| format!("{} {what}", count(*number as u64)));
    let words: Vec<String> = words.collect();
    text.entry("holds", LABEL, &[(&words.join(", "), ctx.theme.plain)]);
}

fn tcp(text: &mut Text<'_>, tcp: &Tcp, ctx: &Ctx<'_>) {
    if tcp.sampled == 0 {
        return;
    }
    let states: Vec<String> = tcp
        .states
        .iter()
        .map(
            |(state, number)| {
                if tcp.sampled == 1 { (*state).to_owned() } else { format!("{number} {state}") }
            },
        )
        .collect();
    let [least, middle, most] = tcp.srtt.map(latency);
    let times = if least == most {
        format!("rtt {middle}")
    } else {
        format!("rtt {least} to {most}, mostly {middle}")
    };
    let again = format!("{} segments sent again", count(tcp.retransmits));
    // Both are the kernel's, which counts for as long as there is a socket.
    let made = if tcp.sampled == 1 { "it was" } else { "they were" };
    let acked = format!("{} acknowledged since {made} made", ctx.state.format().units().bytes(tcp.acked));
    let style = if tcp.retransmits > 0 { ctx.theme.warning } else { ctx.theme.plain };
    let words = [
        (format!("{}; {times}; ", states.join(", ")), ctx.theme.plain),
        (again, style),
        (format!(", {acked}"), ctx.theme.plain),
    ];
    let words: Vec<(&str, _)> = words.iter().map(|(text, style)| (&**text, *style)).collect();
    text.entry("tcp", LABEL, &words);
}

/// What the kernel's list of sockets says of this one. It is asked only while the flow is open, from the next tick on.
fn socket(text: &mut Text<'_>, row: &FlowRow, ctx: &Ctx<'_>) {
    let Some(inspected) = ctx.snapshot.inspected.filter(|inspected| inspected.flow == row.id) else { return };
    let theme = ctx.theme;
    let state = match inspected.socket {
        Ok(state) => state,
        Err(why) => return text.entry("socket", LABEL, &[(why, theme.dim)]),
    };
    let units = ctx.state.format().units();
    let [unread, unsent] = [state.receive_queue, state.send_queue].map(|bytes| units.bytes(bytes.into()));
    let mut words = format!("{unread} not read, {unsent} not acknowledged");
    if let Some(tcp) = state.tcp {
        let received = units.bytes(tcp.received_bytes);
        words = format!("{words}; window {} segments, {received} received since it was made", tcp.cwnd);
    }
    text.entry("socket", LABEL, &[(&words, theme.plain)]);
}

/// Since when something was added up: of a flow, of processes, or of flows.
pub(super) fn since(flow: Option<&FlowRow>, by_processes: bool, snapshot: &Snapshot) -> String {
    match flow {
        Some(flow) => format!("it was first seen ({})", ago(flow.first, snapshot)),
        None if by_processes => format!("counting began ({})", clock(snapshot.elapsed)),
        None => format!("each flow was first seen ({} at most)", clock(snapshot.elapsed)),
    }
}

fn ago(then: Mono, snapshot: &Snapshot) -> String {
    clock(snapshot.at.since(then))
}
