//! Rows as text that leaves the screen: for the clipboard and for a file.
//!
//! Tab-separated, names escaped, so that each row is one line and each column one field. A spreadsheet runs a field that begins
//! like a formula, and processes choose their names, so such a field begins with `'`. Behind the columns of the screen stand the
//! numbers that these round for people, as they are, in columns that are named after their unit.

use super::state::State;
use crate::config::Caller;
use crate::frontend::escape;
use crate::model::Snapshot;
use crate::query::{Row, ViewKind, columns, rounded};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Files of one second that are told apart.
const MOST: u32 = 1000;

/// One row: its columns, separated by tabs.
pub(super) fn line(state: &State, row: Row<'_>) -> String {
    let format = state.format();
    let shown = columns(state.view).iter().map(|column| harmless(&column.field(row, &format)));
    let exact = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let exact = rounded(state.view).map(|(column, _)| exact(column.id.value(row, format.snapshot).exact()));
    shown.chain(exact).collect::<Vec<_>>().join("\t")
}

/// A field that no spreadsheet takes for a formula. Numbers stay, and the `-` of a field with nothing in it.
fn harmless(field: &str) -> String {
    // The wide ones are signs, too, for a spreadsheet of East Asia.
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let field = escape(field);
    let is_formula = field.starts_with(SIGNS) && field != "-" && field.parse::<f64>().is_err();
    if is_formula { format!("'{field}") } else { field.into_owned() }
}

/// All rows of the view that is shown, in its order, with the names of the columns.
pub(super) fn page(state: &State) -> String {
    let shown = columns(state.view).iter().map(|column| column.name.to_owned());
    let exact = rounded(state.view).map(|(column, unit)| format!("{}_{unit}", column.name));
    let mut page = shown.chain(exact).collect::<Vec<_>>().join("\t") + "\n";
    for row in state.select(usize::MAX).rows {
        page += &line(state, row);
        page.push('\n');
    }
    page
}

/// Writes a page to a new file in this directory with the caller's rights, named after the view and the time of the snapshot;
/// never over one that is there. Gives its name.
///
/// # Errors
/// The directory cannot be written to. Then there is no file.
pub(super) fn write(view: ViewKind, snapshot: &Snapshot, page: &str, caller: &Caller) -> io::Result<PathBuf> {
    let stamp = jiff::Timestamp::from_nanosecond(snapshot.wall.0.into())
        .map_or_else(|_| String::from("unknown"), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
    let base = format!("monitor-{}-{stamp}", view.title().to_lowercase());
    caller.act(|| {
        for number in 1..MOST {
            let path = PathBuf::from(if number == 1 {
                format!("{base}.tsv")
            } else {
                format!("{base}-{number}.tsv")
            });
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    return fill(file, page).map(|()| path.clone()).inspect_err(|_| {
                        // It was made above, and half a table is worse than none.
                        let _ = fs::remove_file(&path);
                    });
                }
            }
        }
        Err(io::Error::from(ErrorKind::AlreadyExists))
    })
}

/// A full disk may say so only at the end.
fn fill(mut file: File, page: &str) -> io::Result<()> {
    file.write_all(page.as_bytes())?;
    file.sync_all()
}

/// The sequence that puts text on the terminal's clipboard, also through ssh (OSC 52).
pub(super) fn clipboard(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", base64(text.as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = std::array::from_fn(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::busy;
    use std::sync::Arc;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("é", "w6k=")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(clipboard("foo"), "\x1b]52;c;Zm9v\x07");
    }

    #[test]
    fn no_field_begins_like_a_formula() {
        for (field, written) in [
            ("=cmd|'/c x'!A0", "'=cmd|'/c x'!A0"),
            ("+1+1", "'+1+1"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("-", "-"),
            ("-5", "-5"),
            ("+0.25", "+0.25"),
            ("nginx", "nginx"),
            ("\t=1", "\\x09=1"),
            ("", ""),
        ] {
            assert_eq!(harmless(field), written, "{field:?}");
        }
        let (mut state, mut snapshot) = (State::default(), busy());
        Arc::make_mut(&mut snapshot.processes[0]).process = "=1+1".into();
        state.settle(&Arc::new(snapshot), 10);
        assert!(page(&state).contains("\t'=1+1\t"), "{}", page(&state));
    }

    #[test]
    fn every_row_is_a_line_of_as_many_fields_as_there_are_columns() {
        let (mut state, snapshot) = (State::default(), Arc::new(busy()));
        state.settle(&snapshot, 10);
        let page = page(&state);
        assert_eq!(page.lines().count(), snapshot.processes.len() + 1);
        let fields = columns(state.view).len() + rounded(state.view).count();
        for line in page.lines() {
            assert_eq!(line.split('\t').count(), fields, "{line}");
        }
        assert!(page.starts_with("pid\t") && page.contains("a\\x1b[2J\\u{202e}b"));
    }

    #[test]
    fn what_is_rounded_for_people_stands_behind_it_as_it_is() {
        let snapshot = Arc::new(busy());
        for view in ViewKind::ALL {
            let mut state = State::default();
            state.view = view;
            state.settle(&snapshot, 10);
            let page = page(&state);
            let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split('\t').collect()).collect();
            let exact = |name: &str| -> u64 {
                let place = rows[0].iter().position(|title| *title == name).unwrap();
                rows[1..].iter().map(|row| row[place].parse::<u64>().unwrap()).sum()
            };
            let (sent, rate) = (exact("tx_total_bytes"), exact("tx_2s_bps"));
            if view != ViewKind::Tree {
                let sums = state.listing().sums();
                let rest = state.listing().rest().map_or(0, |rest| rest.sums.total.tx_bytes);
                assert_eq!(sent, sums.total.tx_bytes - rest, "{view:?}: {page}");
            }
            assert!(rate > 0 && page.contains("Mb/s"), "{view:?}: {page}");
        }
    }
}
