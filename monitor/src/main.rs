//! The `monitor` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    monitor::app::main()
}
