//! A virtual console of the kernel (console_codes(4)): no emulator, 16 colours, its own keys. What is on it is read from
//! /dev/vcs* (vcs(4)); keys are pushed with TIOCSTI.

#![expect(unsafe_code, reason = "the calls of consoles (ioctl_console(2)) have no safe wrapper")]

use crate::wait;
use rustix::{
    fs::{Mode, OFlags, open},
    ioctl::{Getter, IntegerSetter, Opcode, Setter, ioctl},
};
use std::{
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Number of a console that nobody uses (linux/vt.h).
const VT_OPENQRY: Opcode = 0x5600;
/// Forgets a console that nobody has open.
const VT_DISALLOCATE: Opcode = 0x5608;
/// Pushes a byte into a terminal's input (linux/tty.h).
const TIOCSTI: Opcode = 0x5412;

/// What is run: it prints its exit code and the modes of the terminal at its end.
const SHELL: &str = r#""$@"; echo "exit=$?"; stty -a; exec sleep 600"#;

/// A console with a command on it; both are gone on drop.
#[derive(Debug)]
pub struct Console {
    number: i32,
    terminal: Option<OwnedFd>,
    child: Child,
}

impl Console {
    /// Whether this kernel has consoles.
    pub fn exists() -> bool {
        Path::new("/sys/class/tty/tty0").exists()
    }

    /// Runs a command on a console that nobody uses.
    ///
    /// # Panics
    /// When there is none.
    pub fn open(command: &[&str]) -> Self {
        let any = terminal("/dev/tty0");
        // SAFETY: this call writes an int.
        let number = unsafe { ioctl(&any, Getter::<VT_OPENQRY, i32>::new()) }.expect("a free console");
        assert!(number > 0, "every console is in use");
        let terminal = terminal(&format!("/dev/tty{number}"));
        let end = || Stdio::from(terminal.try_clone().expect("a descriptor"));
        let mut setsid = Command::new("setsid");
        setsid.args(["-c", "sh", "-c", SHELL, "sh"]).args(command);
        setsid.stdin(end()).stdout(end()).stderr(end()).env("TERM", "linux").env("LANG", "C.UTF-8");
        setsid.env_remove("LC_ALL");
        let child = setsid.spawn().expect("run setsid");
        Self { number, terminal: Some(terminal), child }
    }

    /// What is on it, line by line.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn screen(&self) -> String {
        let (_, columns) = self.size();
        let cells = fs::read(format!("/dev/vcsu{}", self.number)).expect("read the console");
        let cells: Vec<char> = cells
            .as_chunks::<4>()
            .0
            .iter()
            .map(|cell| char::from_u32(u32::from_ne_bytes(*cell)).unwrap_or('?'))
            .collect();
        let lines = cells.chunks(columns).map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The colours that are on it: the attributes of its cells, each once.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn attributes(&self) -> Vec<u8> {
        let cells = fs::read(format!("/dev/vcsa{}", self.number)).expect("read the console");
        // Lines, columns and the place of the cursor come first, then a character and an attribute for each cell.
        let mut attributes: Vec<u8> = cells[4..].as_chunks::<2>().0.iter().map(|cell| cell[1]).collect();
        attributes.sort_unstable();
        attributes.dedup();
        attributes
    }

    /// Lines and columns.
    fn size(&self) -> (usize, usize) {
        let mut size = [0; 2];
        let mut cells = File::open(format!("/dev/vcsa{}", self.number)).expect("open the console");
        cells.read_exact(&mut size).expect("read the console");
        (size[0].into(), size[1].into())
    }

    /// Presses a key that is one byte.
    ///
    /// # Panics
    /// When the kernel refuses that.
    pub fn press(&self, key: u8) {
        let terminal = self.terminal.as_ref().expect("open until it is dropped");
        // SAFETY: this call reads a byte.
        unsafe { ioctl(terminal, Setter::<TIOCSTI, u8>::new(key)) }.expect("push a key");
    }

    /// Waits until it shows what `seen` accepts.
    pub fn until_seen(&self, what: &str, mut seen: impl FnMut(&str) -> bool) {
        let look = || seen(&self.screen()).then_some(());
        wait::or_tell(wait::STEP, look, || format!("{what}; the console is:\n{}", self.screen()));
    }
}

fn terminal(path: &str) -> OwnedFd {
    open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Drop for Console {
    fn drop(&mut self) {
        // The session may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
        self.terminal = None;
        // A console that is still open somewhere stays, empty.
        let any = terminal("/dev/tty0");
        let number = usize::try_from(self.number).unwrap_or_default();
        // SAFETY: the argument of this call is a number.
        unsafe { ioctl(&any, IntegerSetter::<VT_DISALLOCATE>::new_usize(number)) }.ok();
    }
}
