//! Prints the folder of programs of a Python environment, made if it has to be: for scripts.
fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1);
    let bin = emulator::venv::ensure(&file.unwrap_or_default())?;
    println!("{}", bin.display());
    Ok(())
}
