//! Names of ports: /etc/services, then the list that comes with this program.

use crate::bounded;
use crate::model::Protocol;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Well-known services by hand, in the form of services(5).
const BUILT_IN: &str = include_str!("services.txt");
/// The largest services file, bytes.
const MAX_FILE: u64 = 4 << 20;
/// Names kept, at most.
const MAX_NAMES: usize = 65_536;

/// Names by protocol and port.
type Services = HashMap<(Protocol, u16), Arc<str>>;

/// With the services file below `root`.
pub(super) fn load(root: &Path) -> Services {
    let mut services = Services::new();
    let file = bounded::read(&root.join("etc/services"), MAX_FILE).unwrap_or_default();
    for text in [&String::from_utf8_lossy(&file), BUILT_IN] {
        parse(text, &mut services);
    }
    services
}

/// `name port/protocol[,protocol...] alias...  # comment`; who comes first counts.
fn parse(text: &str, services: &mut Services) {
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(name), Some((port, protocols))) =
            (words.next(), words.next().and_then(|word| word.split_once('/')))
        else {
            continue;
        };
        let Ok(port) = port.parse() else { continue };
        let name: Arc<str> = name.into();
        for protocol in protocols.split(',').filter_map(protocol) {
            if services.len() < MAX_NAMES {
                services.entry((protocol, port)).or_insert_with(|| Arc::clone(&name));
            }
        }
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::TCP),
        "udp" => Some(Protocol::UDP),
        "dccp" => Some(Protocol::DCCP),
        // IANA's number (RFC 9260).
        "sctp" => Some(Protocol::Ip(132)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_overrides_the_list() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let text = "web 443/tcp https # ours\nodd\nbad x/tcp\nfar 99999/tcp\nfile 9/xyz\nmine 40000/udp\n";
        std::fs::write(dir.path().join("etc/services"), text).unwrap();
        let services = load(dir.path());
        let name = |protocol, port| services.get(&(protocol, port)).map(|name| &**name);
        assert_eq!(name(Protocol::TCP, 443), Some("web"));
        assert_eq!(name(Protocol::UDP, 443), Some("https"), "what the file does not say");
        assert_eq!(name(Protocol::UDP, 40_000), Some("mine"));
        assert_eq!(name(Protocol::TCP, 22), Some("ssh"));
        assert_eq!(name(Protocol::TCP, 40_000), None);
    }

    #[test]
    fn every_line_of_the_list_is_one() {
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let mut services = Services::new();
            parse(line, &mut services);
            assert!(!services.is_empty(), "{line}");
        }
        let mut services = Services::new();
        parse(BUILT_IN, &mut services);
        assert!(services.len() > 250, "{}", services.len());
    }
}
