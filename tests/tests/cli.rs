//! The command line as a script sees it: exit codes, one sentence where something is wrong, and the fixed names.

use monitor_tests::{
    accounts::{balance, datagrams},
    cgroup,
    json::{Object, counters, field, number},
    monitor::{Monitor, command},
    program,
    scene::{Loopback, Scene},
    veth::Version,
    wait,
};
use rustix::process::{Signal, geteuid};
use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A user who owns nothing and may do nothing.
const NOBODY: u32 = 65534;

/// Waits for the end of a command that is expected to fail; gives its exit code and what it said.
fn refused(command: Command) -> (Option<i32>, String) {
    let report = Monitor::spawn(command).ended();
    let said = report.stderr;
    assert!(report.objects.is_empty(), "a refusal prints nothing on stdout; stderr: {said}");
    assert!(!said.contains("panicked"), "{said}");
    (report.status.code(), said)
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program::monitor());
    command.args(arguments);
    refused(command)
}

/// Exit code 2, and a message that names what is wrong.
fn assert_usage(arguments: &[&str], names: &str) {
    let (code, said) = run(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {said}");
    assert!(said.contains(names), "{arguments:?} should name `{names}`: {said}");
}

/// Exit code 1, and one line that names what is wrong.
fn assert_one_sentence((code, said): (Option<i32>, String), names: &str) {
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence, not: {said}");
    assert!(said.contains(names), "should name `{names}`: {said}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    assert_usage(&["--no-such-flag"], "--no-such-flag");
}

#[test]
fn a_capacity_out_of_range_is_a_usage_error() {
    for capacity in ["0", "1", "99999999", "99999999999999999999", "-1", "many"] {
        assert_usage(&["--json", &format!("--capacity={capacity}")], "--capacity");
    }
}

#[test]
fn an_interval_out_of_range_is_a_usage_error() {
    for interval in ["0.05", "0", "-1", "nan", "inf", "1e300", "soon"] {
        assert_usage(&["--json", &format!("--interval={interval}")], "--interval");
    }
}

#[test]
fn a_user_without_privilege_is_told_about_sudo() {
    let directory = tempfile::tempdir().expect("a directory that everybody can enter");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("open the directory");
    let copy = directory.path().join("monitor");
    fs::copy(program::monitor(), &copy).expect("copy monitor to where everybody can run it");
    let mut command = Command::new(&copy);
    command.arg("--json").current_dir("/");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    assert_one_sentence(refused(command), "sudo");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_cgroup_that_is_none_is_one_sentence() {
    for path in ["/nonexistent", "/tmp", "/dev/null"] {
        assert_one_sentence(run(&["--json", "--cgroup", path]), path);
    }
}

/// Runs a command, reads one line of what it prints, closes the pipe, and gives its exit code.
fn head(mut command: Command) -> Option<i32> {
    /// A child that does not outlive the test.
    struct Bounded(Child);
    impl Drop for Bounded {
        fn drop(&mut self) {
            // It fails only when the child has ended already.
            self.0.kill().ok();
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = Bounded(command.spawn().expect("run monitor"));
    let mut output = BufReader::new(child.0.stdout.take().expect("stdout is a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("read a line");
    assert!(!line.is_empty(), "monitor printed nothing");
    drop(output);
    wait::until("monitor ends", || child.0.try_wait().expect("wait for monitor")).code()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_closed_stdout_is_a_good_end() {
    let scene = Loopback::new();
    let mut text = Command::new(program::monitor());
    text.args(["-t", "--interval", "0.2", "--cgroup"]).arg(scene.cgroup.path());
    for command in [command(&scene.cgroup, None), text] {
        let what = format!("{command:?}");
        assert_eq!(head(command), Some(0), "{what}");
    }
}

/// What moved, some intervals ago, and is therefore listed only in the last object.
fn last_object_after(signal: Signal, code: i32) {
    let mut scene = Scene::new();
    let mut monitor = Monitor::start(&scene.cgroup);
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 100_000);
    monitor.next_object();
    let quiet = monitor.next_object();
    assert!(quiet.flows().is_empty(), "nothing moves: {:#}", quiet.0);
    let report = monitor.signal(signal);
    assert_eq!(report.status.code(), Some(code), "{}", report.stderr);
    let last = report.last();
    for agent in [&scene.client, &scene.server] {
        assert!(!last.flows_of(agent.pid()).is_empty(), "{:#}", last.0);
        let moved = counters(last.process(agent.pid()));
        assert!(moved.tx_bytes.max(moved.rx_bytes) > 100_000, "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn signals_end_it_with_a_last_object_and_their_own_code() {
    last_object_after(Signal::INT, 130);
    last_object_after(Signal::TERM, 143);
    last_object_after(Signal::HUP, 129);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_duration_ends_by_itself_and_once_prints_once() {
    let scene = Loopback::new();
    let mut timed = command(&scene.cgroup, None);
    timed.args(["--duration", "1"]);
    let report = Monitor::spawn(timed).ended();
    assert_eq!(report.status.code(), Some(0), "{}", report.stderr);
    assert!((2..=7).contains(&report.objects.len()), "{} objects in 1 s", report.objects.len());
    let mut once = command(&scene.cgroup, None);
    once.arg("--once");
    let report = Monitor::spawn(once).ended();
    assert_eq!((report.status.code(), report.objects.len()), (Some(0), 1), "{}", report.stderr);
}

fn assert_counters(row: &serde_json::Value) {
    counters(row);
    number(row, "rx_bps");
    number(row, "tx_bps");
}

fn assert_date(value: &serde_json::Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(
        shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z'),
        "{text} is not RFC 3339 in UTC"
    );
}

/// The names that scripts rely on; a change here is a change of `schema`.
fn assert_names(object: &Object) {
    assert_eq!((&object["schema"], &object["backend"]), (&1.into(), &"ebpf".into()));
    assert_date(&object["time"]);
    assert!(object["tier"].is_string() && object["interval_ns"].is_u64(), "{:#}", object.0);
    object.degraded();
    assert_counters(&object["totals"]);
    for process in object.processes() {
        assert_counters(process);
        for name in ["pid", "start", "process", "exe", "uid"] {
            field(process, name);
        }
    }
    for flow in object.flows() {
        assert_counters(flow);
        for name in ["proto", "pid", "process", "uid", "interface"] {
            field(flow, name);
        }
        for end in ["local", "remote"] {
            assert!(field(field(flow, end), "addr").is_string(), "{flow}");
            field(field(flow, end), "port");
        }
        let attribution = field(flow, "attribution");
        let exact = field(attribution, "confidence") == "exact";
        assert!(field(attribution, "method").is_string(), "{flow}");
        // A reason where it is not exact; whether it is absent or null where it is, is not fixed.
        let reason = attribution.get("reason").is_some_and(|reason| !reason.is_null());
        assert_eq!(reason, !exact, "{flow}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_fixed_names_are_there() {
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    let connection = scene.connect(Version::V6);
    scene.upload(connection, 100_000);
    let report = monitor.stop();
    report.objects.iter().for_each(assert_names);
    let process = report.last().process(scene.client.pid());
    assert_date(field(process, "start"));
    let traffic = program::traffic().canonicalize().expect("the helper's path");
    assert_eq!(field(process, "exe").as_str().map(Path::new), Some(traffic.as_path()));
    assert_eq!((field(process, "process"), number(process, "uid")), (&"client".into(), 0));
}

/// A shell in a mount namespace of its own that changes something and then becomes `monitor`.
fn after(change: &str, command: &Command) -> Command {
    let mut changed = Command::new("unshare");
    changed.args(["-m", "sh", "-c", &format!("{change} && exec \"$@\""), "sh"]);
    changed.arg(command.get_program()).args(command.get_args());
    changed
}

/// A hundred datagrams of a thousand bytes from the client to the server.
fn exchange(scene: &mut Loopback) {
    let server = scene.server.socket("datagram 127.0.0.1:0");
    let client = scene.client.socket("datagram 127.0.0.1:0");
    scene.client.ask(&format!("send-to {} 127.0.0.1:{} 100 1000", client.id, server.port));
    scene.server.ask(&format!("receive-from {} 100", server.id));
}

/// An exchange is counted to the byte and at the right processes, by whatever is left to do so.
fn counts(scene: &mut Loopback, command: Command) -> Object {
    let what = format!("{command:?}");
    let monitor = Monitor::counting(command);
    exchange(scene);
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    let (sent, received) =
        (counters(last.process(scene.client.pid())), counters(last.process(scene.server.pid())));
    assert_eq!(sent, datagrams(0, 100, 1028), "{what}: {:#}", last.0);
    assert_eq!(received, datagrams(100, 0, 1028), "{what}: {:#}", last.0);
    last
}

#[test]
#[ignore = "needs root and BPF"]
fn without_btf_it_counts_and_says_what_is_missing() {
    let mut scene = Loopback::new();
    let command = after("mount -t tmpfs none /sys/kernel/btf", &command(&scene.cgroup, None));
    let degraded = counts(&mut scene, command).degraded();
    assert!(degraded.iter().any(|text| text.contains("BTF")), "{degraded:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn without_a_cgroup2_mount_it_counts_all_the_same() {
    let mut scene = Loopback::new();
    let mut plain = Command::new(program::monitor());
    plain.args(["--json", "--interval", "0.2"]);
    let unmount = format!("umount -l {}", cgroup::mount_point().display());
    counts(&mut scene, after(&unmount, &plain));
}

/// The programs that `monitor` can do without.
const OPTIONAL: [&str; 21] = [
    "sock_create",
    "sock_release",
    "post_bind4",
    "post_bind6",
    "connect4",
    "connect6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
    "sched_process_exec",
    "sched_process_fork",
    "sched_process_exit",
    "task",
    "sock_send_length",
    "sock_recv_length",
    "tcp_rcv_space_adjust",
    "tcp_sendmsg_locked",
    "task_file",
];

#[test]
#[ignore = "needs root and BPF"]
fn a_refused_program_costs_only_what_it_gave() {
    for name in OPTIONAL {
        let mut scene = Loopback::new();
        let mut command = command(&scene.cgroup, None);
        command.args(["--refuse", name]);
        // Not even tried where another program tells of the same.
        let beside = name.starts_with("recvmsg");
        if beside {
            command.args(["--refuse", "sock_recv_length"]);
        }
        // No single program is the only one that knows who sends and receives a datagram.
        let degraded = counts(&mut scene, command).degraded();
        assert_eq!(degraded.len(), 1 + usize::from(beside), "{name}: {degraded:?}");
    }
}

/// Whoever it belongs to, all of an exchange is counted, and it is said that something is missing.
fn counts_without_owners(scene: &mut Loopback, command: Command) {
    let monitor = Monitor::counting(command);
    exchange(scene);
    let report = monitor.stop();
    balance(&report);
    assert_eq!(report.last().totals(), datagrams(100, 100, 1028), "{:#}", report.last().0);
    assert!(!report.last().degraded().is_empty());
}

#[test]
#[ignore = "needs root and BPF"]
fn with_every_optional_program_refused_it_counts_still() {
    let mut scene = Loopback::new();
    let mut command = command(&scene.cgroup, None);
    command.args(OPTIONAL.iter().flat_map(|name| ["--refuse", name]));
    counts_without_owners(&mut scene, command);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_refused_counter_is_one_sentence() {
    for name in ["ingress", "egress"] {
        assert_one_sentence(run(&["--json", "--backend", "ebpf", "--refuse", name]), name);
    }
}

/// `setpriv` without these capabilities, and without CAP_SYS_ADMIN, which would stand in for them.
fn without(capabilities: &str, full: &Command) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", &format!("-sys_admin,{capabilities}")]);
    command.arg(full.get_program()).args(full.get_args());
    command
}

#[test]
#[ignore = "needs root and BPF"]
fn with_programs_refused_by_the_kernel_itself_it_counts_still() {
    let mut scene = Loopback::new();
    // Tracing programs need CAP_PERFMON, and without it the verifier refuses more in the others, too.
    let command = without("-perfmon", &command(&scene.cgroup, None));
    counts_without_owners(&mut scene, command);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_capability_is_named() {
    let scene = Loopback::new();
    for (capability, name) in [("-bpf", "cap_bpf"), ("-net_admin", "cap_net_admin")] {
        assert_one_sentence(refused(without(capability, &command(&scene.cgroup, None))), name);
    }
}

/// Of all sockets, so its own would be among them.
#[test]
#[ignore = "needs root and BPF"]
fn without_names_of_hosts_it_moves_no_byte() {
    let mut scene = Scene::new();
    let mut command = Command::new(program::monitor());
    command.args(["--json", "--no-dns", "--interval", "0.2"]);
    let monitor = Monitor::counting(command);
    let (own, client) = (monitor.pid(), scene.client.pid());
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 100_000);
    let report = monitor.stop();
    let rows = report.last().processes();
    let pids: Vec<u64> = rows.iter().filter_map(|process| field(process, "pid").as_u64()).collect();
    assert!(pids.contains(&client.into()), "it counts the client");
    assert!(!pids.contains(&own.into()), "it has moved something itself");
}
