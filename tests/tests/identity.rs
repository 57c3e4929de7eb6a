//! What names a process beside its pid: on real processes, in cgroups of the shapes that systemd, docker and the kubelet
//! give, with the state files of runtimes in a directory of the test's own.

use monitor_tests::{
    cgroup::Cgroup,
    json::{Object, field, number},
    monitor::{self, Monitor},
    netns::Netns,
    stage::{self, Stage},
    veth::Version,
    wait,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "2f1b3c4d-0000-1111-2222-333344445555";

/// A script of bash that sends one datagram; nobody listens.
const SEND: &str = "echo hello >/dev/udp/127.0.0.1/9";

/// A cgroup with a tree in it, and files of the system. Cgroups drop innermost first.
struct Place {
    inner: Vec<Cgroup>,
    outer: Cgroup,
    netns: Netns,
    root: TempDir,
}

impl Place {
    /// The path names the tree below the test's cgroup.
    fn new(path: &str) -> Self {
        let (outer, netns, root) = (Cgroup::new(), Netns::new(), tempfile::tempdir().expect("a directory"));
        let mut inner = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let cgroup = Cgroup::named(inner.last().unwrap_or(&outer), name);
            inner.push(cgroup);
        }
        let place = Self { inner, outer, netns, root };
        place.file("etc/passwd", "operator:x:0:0::/:/bin/sh\n");
        place.file("var/lib/dpkg/info/bash-it.list", &format!("/.\n{}\n", bash().display()));
        place
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Where processes go.
    fn cgroup(&self) -> &Path {
        self.inner.last().unwrap_or(&self.outer).path()
    }

    /// The same as monitor shows it.
    fn shown(&self) -> String {
        let below =
            self.cgroup().strip_prefix(monitor_tests::cgroup::mount_point()).expect("below the mount");
        format!("/{}", below.display())
    }

    /// bash with a script, which joins the cgroup first. Its arguments are seen in its command line.
    fn bash(&self, script: &str, words: &[&str]) -> Command {
        let mut command = self.netns.command(bash());
        command.arg("-c").arg(format!("echo 0 >\"$0\"; {script}"));
        command.arg(self.cgroup().join("cgroup.procs")).args(words);
        command
    }

    fn monitor(&self, interval: &str, options: &[&str]) -> Monitor {
        let mut command = monitor::command_every(interval, self.outer.path(), None);
        command.arg("--state-root").arg(self.root.path()).args(options);
        Monitor::counting(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        while self.inner.pop().is_some() {}
    }
}

fn bash() -> PathBuf {
    let found = ["/usr/bin/bash", "/bin/bash"].iter().find_map(|path| fs::canonicalize(path).ok());
    found.expect("bash is installed")
}

/// The row of the only process with this command line.
fn by_cmdline<'o>(object: &'o Object, ending: &str) -> &'o Value {
    let is_it = |row: &&Value| field(row, "cmdline").as_str().is_some_and(|line| line.ends_with(ending));
    let mut rows = object.processes().iter().filter(is_it);
    let row = rows.next().unwrap_or_else(|| panic!("no process `...{ending}` in {:#}", object.0));
    assert!(rows.next().is_none(), "two processes `...{ending}` in {:#}", object.0);
    row
}

/// Waits until such a process has moved bytes; gives its row.
fn moved(monitor: &mut Monitor, is_it: impl Fn(&Value) -> bool) -> Value {
    wait::until("it moved bytes", || {
        let objects = monitor.objects_from(1);
        objects.iter().flat_map(Object::processes).find(|row| is_it(row)).cloned()
    })
}

fn pids(row: &Value) -> Vec<u64> {
    let parents = field(row, "parents").as_array().expect("a list");
    parents.iter().map(|parent| field(parent, "pid").as_u64().expect("a pid")).collect()
}

fn finished(mut child: Child) {
    assert!(child.wait().expect("wait for bash").success());
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_is_gone_before_anybody_looked_is_fully_named() {
    let place = Place::new(&format!("system.slice/docker-{ID}.scope"));
    place.file(&format!("var/lib/docker/containers/{ID}/config.v2.json"), r#"{"Name":"/db"}"#);
    let mut monitor = place.monitor("2", &[]);
    let looks = monitor.printed();
    // A parent that stays, and a child that lives for as long as one datagram takes.
    let script = format!("{} -c '{SEND}' brief x{ID}; read", bash().display());
    let mut parent = place.bash(&script, &["parent"]);
    let mut parent = parent.stdin(Stdio::piped()).spawn().expect("bash");
    wait::until("the child is gone", || {
        let line = fs::read(format!("/proc/{}/task/{0}/children", parent.id())).ok()?;
        let joined = fs::read_to_string(format!("/proc/{}/cgroup", parent.id())).ok()?;
        let reads = fs::read_to_string(format!("/proc/{}/syscall", parent.id())).ok()?;
        // It joined the cgroup, has no child any more and waits in read(2) on its stdin.
        (joined.contains(ID) && line.is_empty() && reads.starts_with("0 0x0 ")).then_some(())
    });
    assert_eq!(monitor.printed(), looks, "monitor looked while the process lived; the test proves nothing");
    monitor.next_object();
    let report = monitor.stop();
    let last = report.last();
    let row = by_cmdline(last, &format!("brief x{ID}"));
    assert_eq!(field(row, "process"), "bash");
    assert_eq!(field(row, "exe").as_str(), bash().to_str());
    assert_eq!(field(row, "cmdline"), &json!(format!("{} -c {SEND} brief x{ID}", bash().display())));
    assert_eq!((field(row, "user"), field(row, "uid")), (&json!("operator"), &json!(0)));
    assert_eq!(field(row, "cgroup"), &json!(place.shown()));
    assert_eq!(field(row, "unit"), &json!(format!("docker-{ID}.scope")));
    assert_eq!(field(row, "slice"), "system.slice");
    assert_eq!(
        field(row, "container"),
        &json!({"runtime": "docker", "id": ID, "name": "db", "claimed_by": null})
    );
    assert_eq!(field(row, "pod"), &Value::Null);
    assert_eq!(
        field(row, "netns_inode"),
        &json!(fs::metadata(place.netns.path()).expect("the namespace").ino())
    );
    assert_eq!(field(row, "package"), "bash-it");
    assert_eq!(pids(row)[..2], [u64::from(parent.id()), u64::from(std::process::id())]);
    assert!(field(row, "start").is_string() && field(row, "exited").is_string(), "{row}");
    assert!(field(row, "start").as_str() <= field(row, "exited").as_str(), "{row}");
    drop(parent.stdin.take());
    parent.wait().expect("wait for bash");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_older_than_monitor_is_fully_named() {
    let place = Place::new("kubepods.slice/kubepods-besteffort.slice");
    let pod = Cgroup::named(
        place.inner.last().expect("a slice"),
        &format!("kubepods-besteffort-pod{}.slice", UID.replace('-', "_")),
    );
    let container = Cgroup::named(&pod, &format!("cri-containerd-{ID}.scope"));
    let bundle = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json");
    place.file(&bundle, r#"{"annotations":{"io.kubernetes.cri.container-name":"api"}}"#);
    place.file(&format!("var/log/pods/shop_cart-0_{UID}/api/0.log"), "");
    // Its socket is older, too.
    let script = "exec 3>/dev/udp/127.0.0.1/9; echo ready; read; echo hello >&3; read";
    let mut command = place.netns.command(bash());
    command.arg("-c").arg(format!("echo 0 >\"$0\"; {script}"));
    command.arg(container.path().join("cgroup.procs")).arg("elder");
    let mut elder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
    let mut line = String::new();
    BufReader::new(elder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let mut monitor = place.monitor("0.2", &[]);
    writeln!(elder.stdin.as_mut().expect("a pipe"), "go").expect("bash reads");
    moved(&mut monitor, |row| field(row, "pid") == elder.id());
    monitor.next_object();
    let report = monitor.stop();
    let row = report.last().process(elder.id());
    assert_eq!(field(row, "exe").as_str(), bash().to_str());
    assert!(field(row, "cmdline").as_str().is_some_and(|line| line.ends_with(" elder")), "{row}");
    assert_eq!((field(row, "user"), field(row, "uid")), (&json!("operator"), &json!(0)));
    assert_eq!(field(row, "unit"), &json!(format!("cri-containerd-{ID}.scope")));
    assert_eq!(
        field(row, "slice"),
        &json!(format!("kubepods-besteffort-pod{}.slice", UID.replace('-', "_")))
    );
    let container = json!({"runtime": "containerd", "id": ID, "name": "api", "claimed_by": null});
    assert_eq!(field(row, "container"), &container);
    assert_eq!(field(row, "pod"), &json!({"uid": UID, "name": "cart-0", "namespace": "shop"}));
    assert_eq!(
        field(row, "netns_inode"),
        &json!(fs::metadata(place.netns.path()).expect("the namespace").ino())
    );
    assert_eq!(field(row, "package"), "bash-it");
    assert_eq!(pids(row)[0], u64::from(std::process::id()));
    assert_eq!(field(row, "exited"), &Value::Null);
    elder.kill().expect("end bash");
    elder.wait().expect("wait for bash");
}

#[test]
#[ignore = "needs root and BPF"]
fn an_orphan_keeps_its_chain() {
    let place = Place::new("user.slice/user-1000.slice/user@1000.service/app.slice/app-ci.scope");
    let mut monitor = place.monitor("0.2", &[]);
    // Both the middle one and the top have ended before their child moves its first byte.
    let script = format!("( ( {SEND} ) <\"$1\" & ); exit 0");
    let fifo = place.root.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let top = place.bash(&script, &[fifo.to_str().expect("text"), "top"]).spawn().expect("bash");
    let pid = u64::from(top.id());
    finished(top);
    // Opening the fifo lets the orphan go on.
    drop(fs::OpenOptions::new().write(true).open(&fifo).expect("the orphan reads"));
    let row = moved(&mut monitor, |row| pids(row).contains(&pid));
    let chain = pids(&row);
    assert_eq!(chain[1..3], [pid, u64::from(std::process::id())], "{row}");
    assert_ne!(chain[0], pid, "the middle one is between: {row}");
    assert_eq!(field(&row, "unit"), "user@1000.service/app-ci.scope");
    assert_eq!(field(&row, "slice"), "user-1000.slice");
    monitor.stop();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recycled_pid_has_an_identity_of_its_own() {
    let mut stage = Stage::new();
    let (sink, to) = stage.sink(Version::V4);
    let mut monitor = Monitor::start(&stage.cgroup);
    let send = |stage: &mut Stage, child: stage::Child| {
        let step = |words: &str| format!("child {} {words}", child.id);
        let socket = stage.client.socket(&step("socket 2 2 0"));
        stage.client.ask(&step(&format!("send {} 3 100 {to}", socket.id)));
    };
    let first = stage::fork(&mut stage.client, "first");
    send(&mut stage, first);
    stage.client.ask(&format!("reap {}", first.id));
    let second = stage::fork(&mut stage.client, &format!("second {}", first.pid));
    assert_eq!(second.pid, first.pid);
    send(&mut stage, second);
    stage.server.ask(&format!("take-in {} 6", sink.id));
    monitor.next_object();
    let report = monitor.stop();
    let rows = report.last().processes().iter().filter(|row| field(row, "pid") == first.pid);
    let mut named: Vec<_> =
        rows.map(|row| (field(row, "process").clone(), field(row, "exited").is_string())).collect();
    named.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(named, [(json!("first"), true), (json!("second"), false)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn hostile_names_come_out_raw_in_json_and_whole() {
    let place = Place::new(&format!("a\u{1b}[2J.slice/docker-{ID}.scope"));
    place.file(&format!("var/lib/docker/containers/{ID}/config.v2.json"), "{\"Name\":\"/x\\u001b[31m\\ny\"}");
    let long = "z".repeat(5_000);
    let mut monitor = place.monitor("0.2", &[]);
    finished(place.bash(SEND, &["two\nlines\u{1b}]0;", "last"]).spawn().expect("bash"));
    let mut talker = place.bash(&format!("{SEND}; read"), &[&long]);
    let mut talker = talker.stdin(Stdio::piped()).spawn().expect("bash");
    monitor.next_object();
    let report = monitor.stop();
    let row = by_cmdline(report.last(), "two\nlines\u{1b}]0; last");
    assert_eq!(field(row, "slice"), "a\u{1b}[2J.slice");
    assert_eq!(field(row, "cgroup"), &json!(place.shown()));
    assert_eq!(field(field(row, "container"), "name"), "x\u{1b}[31m\ny");
    let row = report.last().process(talker.id());
    let line = field(row, "cmdline").as_str().expect("a command line");
    assert!(line.len() == 4096 && line.ends_with('z'), "{} bytes", line.len());
    talker.kill().expect("end bash");
    talker.wait().expect("wait for bash");
}

#[test]
#[ignore = "needs root and BPF"]
fn an_executable_is_hashed_on_demand_however_deep_it_runs() {
    // Names as long as they can be, and a path of 2 KiB.
    let place = Place::new(&format!("{}/", "d".repeat(255)).repeat(7));
    let mut monitor = place.monitor("0.2", &["--sha256"]);
    let mut talker = place.bash(&format!("{SEND}; read"), &["hashed"]);
    let mut talker = talker.stdin(Stdio::piped()).spawn().expect("bash");
    let output = Command::new("sha256sum").arg(bash()).output().expect("sha256sum");
    let expected = String::from_utf8_lossy(&output.stdout).split(' ').next().expect("a sum").to_owned();
    moved(&mut monitor, |row| field(row, "pid") == talker.id());
    monitor.next_object();
    let report = monitor.stop();
    let row = report.last().process(talker.id());
    assert_eq!((field(row, "sha256"), field(row, "cgroup")), (&json!(expected), &json!(place.shown())));
    talker.kill().expect("end bash");
    talker.wait().expect("wait for bash");
}

/// What whoever owns a cgroup calls those that he makes in it names nobody else's unit, container or pod.
#[test]
#[ignore = "needs root and BPF"]
fn a_user_names_his_own_cgroups_and_nobody_elses() {
    const NOBODY: u32 = 65_534;
    let manager = "user.slice/user-65534.slice/user@65534.service";
    let place = Place::new(&format!("{manager}/docker-{ID}.scope/nginx.service"));
    place.file(&format!("var/lib/docker/containers/{ID}/config.v2.json"), r#"{"Name":"/payroll-db"}"#);
    for cgroup in &place.inner[2..] {
        std::os::unix::fs::chown(cgroup.path(), Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    let mut monitor = place.monitor("0.2", &[]);
    finished(place.bash(SEND, &["forged"]).spawn().expect("bash"));
    monitor.next_object();
    let report = monitor.stop();
    let row = by_cmdline(report.last(), " forged");
    assert_eq!(field(row, "cgroup"), &json!(place.shown()));
    assert_eq!(field(row, "unit"), &json!(format!("user@65534.service/docker-{ID}.scope")));
    assert_eq!(field(row, "slice"), "user-65534.slice");
    let claimed =
        json!({"runtime": "docker", "id": format!("65534:{ID}"), "name": null, "claimed_by": NOBODY});
    assert_eq!(field(row, "container"), &claimed);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_overwrites_its_arguments_keeps_what_it_was_started_with() {
    let place = Place::new("");
    let mut monitor = place.monitor("0.2", &[]);
    // A relative path proves nothing, so /proc is looked at for the executable.
    let forge = r#"use IO::Socket::INET; $0 = "forged"; IO::Socket::INET->new(Proto => "udp", PeerAddr => "127.0.0.1:9")->send("hello"); <STDIN>"#;
    let mut talker = place.bash("exec env -C /usr/bin ./perl -e \"$1\"", &[forge]);
    let mut talker = talker.stdin(Stdio::piped()).spawn().expect("bash");
    moved(&mut monitor, |row| field(row, "pid") == talker.id());
    let shown = fs::read(format!("/proc/{}/cmdline", talker.id())).expect("it runs");
    assert!(shown.starts_with(b"forged"), "{:?}", String::from_utf8_lossy(&shown));
    monitor.next_object();
    let report = monitor.stop();
    let row = report.last().process(talker.id());
    assert_eq!(field(row, "cmdline"), &json!(format!("./perl -e {forge}")));
    assert!(field(row, "exe").as_str().is_some_and(|exe| exe.ends_with("/perl")), "{row}");
    talker.kill().expect("end perl");
    talker.wait().expect("wait for perl");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_name_that_the_kernel_cuts_is_whole_where_the_file_is_known() {
    let place = Place::new("");
    let mut monitor = place.monitor("0.2", &[]);
    let link = place.root.path().join("averylongprocessname-server");
    std::os::unix::fs::symlink(bash(), &link).expect("a link");
    finished(
        place
            .bash(&format!("exec \"$1\" -c '{SEND}' \"$2\""), &[link.to_str().expect("text"), "long"])
            .spawn()
            .expect("bash"),
    );
    monitor.next_object();
    let report = monitor.stop();
    let row = by_cmdline(report.last(), " long");
    assert_eq!(field(row, "process"), "averylongproces");
    assert_eq!(field(row, "full_name"), "averylongprocessname-server");
    assert_eq!(field(row, "exe").as_str(), bash().to_str());
}

#[test]
#[ignore = "needs root and BPF"]
fn executables_of_processes_that_ended_are_hashed() {
    let place = Place::new("");
    let mut monitor = place.monitor("0.2", &["--sha256"]);
    let gone = place.root.path().join("gone");
    fs::copy(bash(), &gone).expect("a copy");
    for number in 0..20 {
        finished(
            place.bash(&format!("( {SEND} ); true"), &[&format!("brief {number}")]).spawn().expect("bash"),
        );
    }
    // Its file is changed and gone before anybody can have hashed it: the monitor stands still meanwhile.
    let pid = rustix::process::Pid::from_raw(monitor.pid().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stop it");
    let script = format!("exec \"$1\" -c '{SEND}' gone");
    finished(place.bash(&script, &[gone.to_str().expect("text")]).spawn().expect("bash"));
    fs::remove_file(&gone).expect("it is there");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("let it go on");
    let output = Command::new("sha256sum").arg(bash()).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&output.stdout).split(' ').next().expect("a sum").to_owned();
    // Hashed after all of these, as it comes after them; it moves bytes until that is in an object.
    let mut last = place.bash(&format!("while {SEND}; do sleep 0.1; done"), &["last"]).spawn().expect("bash");
    let is_hashed = |row: &Value| field(row, "pid") == last.id() && field(row, "sha256") == sum.as_str();
    moved(&mut monitor, is_hashed);
    last.kill().expect("end bash");
    last.wait().expect("wait for bash");
    let report = monitor.stop();
    let rows = report.last().processes();
    let brief =
        rows.iter().filter(|row| field(row, "cmdline").as_str().is_some_and(|line| line.contains(" brief ")));
    let sums: Vec<_> = brief.map(|row| field(row, "sha256").as_str()).collect();
    assert!(sums.len() >= 20 && sums.iter().all(|of| *of == Some(&sum)), "{sums:?}");
    let row = by_cmdline(report.last(), " gone");
    assert_eq!(field(row, "sha256"), &Value::Null);
    assert!(field(row, "sha256_reason").as_str().is_some_and(|why| why.contains("ended")), "{row}");
}

/// Ms since 1970.
fn millis(date: &Value) -> i64 {
    let date = date.as_str().expect("a date");
    let output = Command::new("date").args(["-d", date, "+%s%3N"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

#[test]
#[ignore = "needs root and BPF"]
fn times_and_names_are_right_in_a_time_namespace_of_its_own() {
    let place = Place::new("");
    let script = "exec 3>/dev/udp/127.0.0.1/9; echo ready; read; echo hello >&3; read";
    let mut elder = place.bash(script, &["elder"]);
    let mut elder = elder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
    let mut line = String::new();
    BufReader::new(elder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let usual = place.monitor("0.2", &[]);
    let full = monitor::command_every("0.2", place.outer.path(), None);
    let mut command = Command::new("unshare");
    command.args(["--time", "--boottime", "1000000", "--fork"]).arg(full.get_program()).args(full.get_args());
    command.arg("--state-root").arg(place.root.path());
    let mut shifted = Monitor::counting(command);
    writeln!(elder.stdin.as_mut().expect("a pipe"), "go").expect("bash reads");
    moved(&mut shifted, |row| field(row, "pid") == elder.id());
    shifted.next_object();
    let children = fs::read_to_string(format!("/proc/{}/task/{0}/children", shifted.pid())).expect("it runs");
    let pid = children.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("one child");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signal monitor");
    let (usual, shifted) = (usual.stop(), shifted.ended());
    let [one, other] = [&usual, &shifted].map(|report| report.last().process(elder.id()));
    let apart = millis(field(one, "start")).abs_diff(millis(field(other, "start")));
    assert!(apart < 1000, "{one} {other}");
    for name in ["exe", "cmdline", "parents", "unit", "netns_inode"] {
        assert_eq!(field(one, name), field(other, name));
    }
    assert_eq!(field(other, "exe").as_str(), bash().to_str());
    elder.kill().expect("end bash");
    elder.wait().expect("wait for bash");
}

/// What moved in the row of that kind and key, and what the key is called.
fn group(object: &Object, kind: &str, key: &str) -> (u64, u64, Value) {
    let rows = object["groups"].as_array().expect("a list");
    let row = rows.iter().find(|row| field(row, "kind") == kind && field(row, "key") == key);
    let row = row.unwrap_or_else(|| panic!("no {kind} {key} in {:#}", object.0));
    (number(row, "processes"), number(row, "tx_bytes"), field(row, "name").clone())
}

#[test]
#[ignore = "needs root and BPF"]
fn every_view_of_what_processes_are_in_has_its_names() {
    const VIEWS: [&str; 7] = ["users", "units", "slices", "containers", "pods", "packages", "tree"];
    // One datagram with `hello` and a newline.
    const SENT: u64 = 34;
    let other = ID.replace('0', "f");
    let mut place = Place::new(&format!("system.slice/docker-{ID}.scope"));
    place.file(&format!("var/lib/docker/containers/{ID}/config.v2.json"), r#"{"Name":"/db"}"#);
    let bundle = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{other}/config.json");
    place.file(&bundle, r#"{"annotations":{"io.kubernetes.cri.container-name":"api"}}"#);
    place.file(&format!("var/log/pods/shop_cart-0_{UID}/api/0.log"), "");
    let slice = format!("kubepods-pod{}.slice", UID.replace('-', "_"));
    let monitors = VIEWS.map(|view| place.monitor("0.2", &["--view", view]));
    finished(place.bash(SEND, &["in docker"]).spawn().expect("bash"));
    for name in ["kubepods.slice", &slice, &format!("cri-containerd-{other}.scope")] {
        let above = place.inner.last().filter(|_| name != "kubepods.slice");
        let cgroup = Cgroup::named(above.unwrap_or(&place.outer), name);
        place.inner.push(cgroup);
    }
    finished(place.bash(SEND, &["in a pod"]).spawn().expect("bash"));
    let [users, units, slices, containers, pods, packages, tree] = monitors.map(Monitor::stop);
    assert_eq!(group(users.last(), "user", "0"), (2, 2 * SENT, json!("operator")));
    assert_eq!(group(packages.last(), "package", "bash-it"), (2, 2 * SENT, Value::Null));
    for (report, kind, docker, pod) in [
        (&units, "unit", format!("docker-{ID}.scope"), format!("cri-containerd-{other}.scope")),
        (&slices, "slice", "system.slice".to_owned(), slice),
    ] {
        assert_eq!(group(report.last(), kind, &docker), (1, SENT, Value::Null));
        assert_eq!(group(report.last(), kind, &pod), (1, SENT, Value::Null));
    }
    assert_eq!(group(containers.last(), "container", ID), (1, SENT, json!("db")));
    assert_eq!(group(containers.last(), "container", &other), (1, SENT, json!("api")));
    assert_eq!(group(pods.last(), "pod", UID), (1, SENT, json!("shop/cart-0")));
    // Both were this process's children and are gone: it has moved nothing, and all of it.
    let (_, moved, _) = group(tree.last(), "subtree", &std::process::id().to_string());
    assert_eq!(moved, 2 * SENT, "{:#}", tree.last().0);
}

/// A monitor without CAP_SYS_PTRACE whose /proc shows it its own processes only.
#[test]
#[ignore = "needs root and BPF"]
fn what_hidepid_hides_is_said_and_the_rest_is_named() {
    let place = Place::new("system.slice/hidden.service");
    let script = "exec 3>/dev/udp/127.0.0.1/9; echo ready; read; echo hello >&3; read";
    let mut elder = place.bash(script, &["elder"]);
    let mut elder = elder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
    let mut line = String::new();
    BufReader::new(elder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let full = monitor::command_every("0.2", place.outer.path(), None);
    let mut command = Command::new("unshare");
    let mount =
        "mount -t proc -o hidepid=2,gid=65534 proc /proc && exec setpriv --bounding-set -sys_ptrace \"$@\"";
    command.args(["--mount", "sh", "-c", mount, "sh"]).arg(full.get_program()).args(full.get_args());
    command.arg("--state-root").arg(place.root.path());
    let mut monitor = Monitor::counting(command);
    writeln!(elder.stdin.as_mut().expect("a pipe"), "go").expect("bash reads");
    finished(place.bash(SEND, &["younger"]).spawn().expect("bash"));
    moved(&mut monitor, |row| field(row, "pid") == elder.id());
    monitor.next_object();
    let report = monitor.stop();
    let row = report.last().process(elder.id());
    assert_eq!((field(row, "exe"), field(row, "cmdline")), (&Value::Null, &Value::Null), "{row}");
    assert_eq!((field(row, "process"), field(row, "user")), (&json!("bash"), &json!("operator")));
    assert_eq!(field(row, "unit"), "hidden.service");
    let younger = by_cmdline(report.last(), " younger");
    assert_eq!(field(younger, "exe").as_str(), bash().to_str());
    let said = field(&report.last().0, "degraded").to_string();
    assert!(said.contains("older than monitor") && said.contains("hidepid"), "{said}");
    elder.kill().expect("end bash");
    elder.wait().expect("wait for bash");
}

/// Name and service of the remote end of the only flow of the cgroup.
fn remote(place: &Place, monitor: Monitor) -> (Value, Value) {
    finished(place.bash("echo hello >/dev/udp/127.0.0.7/53", &[]).spawn().expect("bash"));
    let report = monitor.stop();
    let flows = report.last().flows();
    let flow =
        flows.iter().find(|flow| field(field(flow, "remote"), "addr") == "127.0.0.7").expect("the flow");
    let end = field(flow, "remote");
    (field(end, "name").clone(), field(end, "service").clone())
}

#[test]
#[ignore = "needs root and BPF"]
fn hosts_and_ports_have_names_unless_they_are_not_wanted() {
    let place = Place::new("");
    place.file("etc/hosts", "127.0.0.7 seven.example seven\n");
    place.file("etc/services", "names 53/udp\n");
    let command = |options: &[&str]| {
        let mut command = Command::new(monitor_tests::program::monitor());
        command.args(["--json", "--interval", "0.2", "--cgroup"]).arg(place.outer.path());
        command.arg("--state-root").arg(place.root.path()).args(options);
        Monitor::counting(command)
    };
    assert_eq!(remote(&place, command(&[])), (json!("seven.example"), json!("names")));
    assert_eq!(remote(&place, command(&["-n"])), (Value::Null, json!("names")));
    assert_eq!(remote(&place, command(&["-N"])), (json!("seven.example"), Value::Null));
}

/// CPU time that the threads of a process took, by name, ms.
fn cpu(pid: u32, thread: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the threads");
    threads
        .flatten()
        .filter(|entry| fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == thread))
        .filter_map(|entry| {
            let times = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse::<u64>().ok()
        })
        .sum::<u64>()
        / 1_000_000
}

/// The aims of naming, in one test because a minute is long: what lived for 50 ms has its name after a minute in which
/// 10,000 others came and went, and the ticks went on meanwhile.
#[test]
#[ignore = "needs root and BPF"]
fn a_short_process_keeps_its_name_for_a_minute_of_ten_thousand_new_ones() {
    const COUNT: usize = 10_000;
    let place = Place::new("system.slice/storm.service");
    let mut monitor = place.monitor("0.2", &[]);
    // Without an end of its own, bash would become the sleep.
    finished(place.bash(&format!("{SEND}; sleep 0.05; true"), &["short"]).spawn().expect("bash"));
    let gone = Instant::now();
    monitor.next_object();
    let (before, printed) = (cpu(monitor.pid(), "identity"), monitor.printed());
    // Each is a process of its own with a socket of its own.
    let script = format!("for ((i = 0; i < {COUNT}; i++)); do ({SEND}); done");
    let mut storm = place.bash(&script, &["storm"]).spawn().expect("bash");
    let limit = Duration::from_mins(2);
    wait::within(limit, "the storm is over", || storm.try_wait().expect("wait for bash"));
    let ticks = monitor.printed() - printed;
    monitor.next_object();
    let took = cpu(monitor.pid(), "identity") - before;
    wait::within(limit, "a minute is over", || (gone.elapsed() > Duration::from_mins(1)).then_some(()));
    let report = monitor.stop();
    let short = by_cmdline(report.last(), " short");
    assert_eq!((field(short, "process"), field(short, "user")), (&json!("bash"), &json!("operator")));
    assert_eq!(field(short, "exe").as_str(), bash().to_str());
    assert_eq!(
        (field(short, "unit"), field(short, "slice")),
        (&json!("storm.service"), &json!("system.slice"))
    );
    assert_eq!((field(short, "cgroup"), field(short, "package")), (&json!(place.shown()), &json!("bash-it")));
    assert_eq!(pids(short)[0], u64::from(std::process::id()));
    assert!(field(short, "start").is_string() && field(short, "exited").is_string(), "{short}");
    assert!(field(short, "netns_inode").is_u64(), "{short}");
    let rows = report.last().processes().iter().filter(|row| field(row, "unit") == "storm.service");
    let named = rows.filter(|row| {
        field(row, "exe").as_str() == bash().to_str() && pids(row).first() == Some(&u64::from(storm.id()))
    });
    assert_eq!(named.count(), COUNT, "all have their executable, unit and parent");
    println!("naming {COUNT} new processes took {took} ms of one core");
    // Making so many takes seconds on any machine.
    assert!(ticks > 2, "{ticks} ticks while they were made");
}

#[test]
#[ignore = "needs root and BPF"]
fn processes_whose_end_was_missed_are_found_to_have_ended() {
    let place = Place::new("");
    let mut monitor = place.monitor("0.2", &[]);
    let waits = || {
        let script = format!("{SEND}; echo sent; read line");
        let mut command = place.bash(&script, &["waits"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash")
    };
    let mut children: Vec<Child> = (0..30).map(|_| waits()).collect();
    for child in &mut children {
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("stdout is a pipe");
        BufReader::new(out).read_line(&mut line).expect("read what bash says");
        assert_eq!(line, "sent\n");
    }
    monitor.next_object();
    let pid = rustix::process::Pid::from_raw(monitor.pid().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stop it");
    // More than the kernel's buffer holds, and after that the ends of those that are known.
    let full = "for ((n = 0; n < 3000 * $(nproc); n++)); do /bin/true; done";
    finished(Command::new(bash()).args(["-c", full]).spawn().expect("bash"));
    let pids: Vec<u32> = children.iter().map(Child::id).collect();
    for mut child in children {
        drop(child.stdin.take());
        child.wait().expect("wait for bash");
    }
    let mut alive = waits();
    let mut line = String::new();
    BufReader::new(alive.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read what bash says");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("let it go on");
    let object = monitor.next_object();
    let said = object.degraded().join("\n");
    assert!(said.contains("may have ended earlier than is said"), "the buffer was full: {said}");
    let last = monitor.stop().last().clone();
    for row in last.processes() {
        let pid = field(row, "pid");
        if pids.iter().any(|gone| pid == *gone) {
            assert!(field(row, "exited").is_string(), "it has ended: {row:#}");
        }
        assert!(pid != alive.id() || field(row, "exited").is_null(), "it lives: {row:#}");
    }
    assert!(last.processes().iter().filter(|row| field(row, "exited").is_string()).count() >= pids.len());
    drop(alive.stdin.take());
    alive.wait().expect("wait for bash");
}
