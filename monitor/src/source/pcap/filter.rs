//! `-f`: libpcap's filter language, where packets come out of a file. Live, the kernel runs the filter.

use super::recording::Wanted;
use crate::source::SourceError;
use pcap::{BpfProgram, Capture, Linktype};
use std::collections::HashMap;

/// LINKTYPE_RAW of files, and what libpcap calls it.
const LINKTYPE_RAW: u32 = 101;
const DLT_RAW: u32 = 12;
/// Ethernet: what an expression is tried on before any packet was seen.
const ETHERNET: u32 = 1;

/// Compiles an expression.
///
/// # Errors
/// Where libpcap does not understand it; in its words.
pub(crate) fn wanted(expression: &str) -> Result<Wanted, SourceError> {
    let expression = expression.to_owned();
    compile(&expression, ETHERNET)?;
    let mut programs: HashMap<u32, Option<BpfProgram>> = HashMap::new();
    let mut whole = Vec::new();
    Ok(Box::new(move |link, bytes, length| {
        let program = programs.entry(link).or_insert_with(|| {
            let program = compile(&expression, link);
            // It asks for something that this link layer does not have.
            program.inspect_err(|error| log::warn!("link type {link}: {error}")).ok()
        });
        let Some(program) = program else { return false };
        if length <= bytes.len() {
            return program.filter(bytes);
        }
        // An expression can ask for the length on the wire.
        whole.clear();
        whole.extend_from_slice(bytes);
        whole.resize(length.min(1 << 18), 0);
        program.filter(&whole)
    }))
}

/// Compiles it for a link type.
fn compile(expression: &str, link: u32) -> Result<BpfProgram, SourceError> {
    let link = if link == LINKTYPE_RAW { DLT_RAW } else { link };
    let link = Linktype(i32::try_from(link).unwrap_or(0));
    let program = Capture::dead(link).and_then(|capture| capture.compile(expression, true));
    program.map_err(|error| refused(expression, &error))
}

/// The sentence about an expression that libpcap refuses.
pub(super) fn refused(expression: &str, error: &pcap::Error) -> SourceError {
    let expression: String = expression.chars().flat_map(char::escape_debug).collect();
    let why = error.to_string().replace('\n', " ");
    let why = why.trim_start_matches("libpcap error: ");
    SourceError::new(format!("-f \"{expression}\": {why}; the language is described in pcap-filter(7)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4, UDP from port 5000 to 53.
    fn packet() -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend([0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        packet
    }

    #[test]
    fn expressions_choose() {
        for (expression, expected) in
            [("udp port 53", true), ("tcp", false), ("len >= 100", false), ("src host 10.0.0.1", true)]
        {
            assert_eq!(wanted(expression).unwrap()(1, &packet(), 42), expected, "{expression}");
        }
        assert!(wanted("len >= 100").unwrap()(1, &packet(), 150), "the length on the wire counts");
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        let error = wanted("no such \u{1b}[2J thing").err().unwrap().to_string();
        assert!(
            error.contains("pcap-filter(7)") && !error.contains('\n') && !error.contains('\u{1b}'),
            "{error}"
        );
    }

    #[test]
    fn what_a_link_layer_does_not_have_is_not_wanted() {
        assert!(!wanted("ether host 1:2:3:4:5:6").unwrap()(101, &packet()[14..], 28));
        assert!(wanted("udp").unwrap()(101, &packet()[14..], 28));
    }
}
