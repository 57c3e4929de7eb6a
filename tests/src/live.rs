//! `monitor` in a terminal over two helpers that exchange datagrams, driven by keys: what a person sees who presses them.

use crate::{agent::Socket, program, scene::Scene, terminal::Terminal, veth::Version};
use std::{fs, net::SocketAddr, path::Path};
use tempfile::TempDir;

/// The port of the server: one that has a name everywhere.
pub const PORT: u16 = 53;
/// The name of that port.
pub const SERVICE: &str = "domain";
/// What the hosts file calls the server.
pub const HOST: &str = "server.lab";

/// A terminal and what it shows; fields drop in this order.
#[derive(Debug)]
pub struct Live {
    /// Where `monitor` runs.
    pub terminal: Terminal,
    /// Who moves the bytes.
    pub scene: Scene,
    client: Socket,
    server: Socket,
    address: SocketAddr,
    /// Settings that `monitor` finds, in `monitor/`, and a hosts file, in `etc/`.
    directory: TempDir,
}

impl Live {
    /// Begins with more arguments and these settings, in a terminal of that size.
    ///
    /// # Panics
    /// When it does not begin.
    pub fn new(size: (u16, u16), arguments: &[&str], settings: &str) -> Self {
        let mut scene = Scene::new();
        let address = scene.pair.b.address(Version::V4, PORT);
        let server = scene.server.socket(&format!("datagram {address}"));
        let client = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
        let directory = tempfile::tempdir().expect("a directory for the settings");
        let path = directory.path();
        for (name, text) in [
            ("etc/hosts", format!("{} {HOST}\n", address.ip())),
            ("monitor/config.toml", settings.to_owned()),
        ] {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("it has a parent")).expect("make the directory");
            fs::write(file, text).expect("write the file");
        }
        let monitor = program::monitor();
        let [monitor, cgroup, root] =
            [&*monitor, scene.cgroup.path(), path].map(|path: &Path| path.to_str().expect("a path in UTF-8"));
        let words = [monitor, "--interval", "0.2", "--cgroup", cgroup, "--state-root", root];
        let terminal =
            Terminal::open(size.0, size.1, &[&words, arguments].concat(), &[("XDG_CONFIG_HOME", root)]);
        Self { terminal, scene, client, server, address, directory }
    }

    /// Sends ten datagrams to the server, which takes them.
    pub fn exchange(&mut self) {
        self.scene.client.ask(&format!("send-to {} {} 10 1000", self.client.id, self.address));
        self.scene.server.ask(&format!("receive-from {} 10", self.server.id));
    }

    /// Moves bytes until the screen has what `seen` accepts; gives the screen.
    pub fn until(&mut self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        let (scene, client, server, address) = (&mut self.scene, self.client, self.server, self.address);
        self.terminal.until_drawn(what, |screen| {
            scene.client.ask(&format!("send-to {} {address} 10 1000", client.id));
            scene.server.ask(&format!("receive-from {} 10", server.id));
            seen(screen)
        })
    }

    /// Presses a key and moves bytes until the screen has what `seen` accepts; gives the screen.
    pub fn press(&mut self, key: &str, seen: impl Fn(&str) -> bool) -> String {
        self.terminal.press(key);
        self.until(&format!("the effect of {key}"), seen)
    }

    /// Quits, which must leave the terminal as it was.
    ///
    /// # Panics
    /// When it does not.
    pub fn quit(self) {
        self.terminal.press("q");
        assert_eq!(self.terminal.ended_sane().0, 0);
        drop(self.directory);
    }
}
