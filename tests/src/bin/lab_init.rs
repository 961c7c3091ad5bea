//! The first process of a laboratory: builds its root, then reaps until the test that started it is gone.

fn main() -> std::process::ExitCode {
    hello_tests::hold()
}
