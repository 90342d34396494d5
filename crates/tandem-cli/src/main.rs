//! The `tandem` command.

fn main() -> std::process::ExitCode {
    tandem_cli::main()
}
