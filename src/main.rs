//! The one binary.

fn main() -> std::process::ExitCode {
    dockwarden::app::main()
}
