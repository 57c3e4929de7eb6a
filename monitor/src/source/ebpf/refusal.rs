//! Why the kernel refused something, in one line for people, and what to do about it.

use aya::programs::ProgramError;

/// What the kernel says where a process has no more descriptors, and what to do.
pub(super) const NO_FILES: &str = "Too many open files";
pub(super) const MORE_FILES: &str =
    "allow monitor more open files: `ulimit -n 1024`, or LimitNOFILE=1024 in its unit";

/// Why a program does not run.
pub(super) struct Refusal {
    /// One line, for people.
    pub(super) why: String,
    /// Everything, for the log.
    pub(super) log: String,
    /// What to do, where it is not to use a newer kernel.
    pub(super) fix: Option<String>,
}

impl From<ProgramError> for Refusal {
    fn from(error: ProgramError) -> Self {
        let why = match &error {
            ProgramError::LoadError { io_error, .. } => format!("the kernel refused it: {io_error}"),
            other => chain(other),
        };
        let fix = why.contains(NO_FILES).then(|| MORE_FILES.to_owned());
        Self { why, log: error.to_string(), fix }
    }
}

/// A reason that is not the kernel's.
pub(super) fn refusal(why: &str) -> Refusal {
    Refusal { why: why.to_owned(), log: why.to_owned(), fix: None }
}

/// An error and its causes in one line, without the verifier's log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = first_line(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let line = first_line(&cause.to_string());
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        source = cause.source();
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
