//! The `gatehound` program: a thin shell over the library.

fn main() -> std::process::ExitCode {
    gatehound::cli::main()
}
