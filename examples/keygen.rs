//! Makes a key pair for CURVE: NAME.pub, to be given to others, and NAME.key, to be kept.
//!
//! ```sh
//! cargo run --features curve --example keygen -- NAME [--force]
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;

use aqueduct::KeyPair;

fn main() -> Result<(), Box<dyn Error>> {
    let mut force = false;
    let mut name = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--force" => force = true,
            _ => name = Some(argument),
        }
    }
    let Some(name) = name else {
        return Err("usage: keygen NAME [--force]; the second overwrites".into());
    };
    let keys = KeyPair::generate()?;
    // The secret first: a public key whose secret could not be kept is of no use to anybody.
    keys.secret()
        .expose_z85(|text| write(&format!("{name}.key"), text, 0o600, force))?;
    write(&format!("{name}.pub"), &keys.public().to_string(), 0o644, force)?;
    println!("{name}.pub: {}", keys.public());
    Ok(())
}

/// Writes a file that nobody without the right could read at any moment.
fn write(path: &str, text: &str, mode: u32, force: bool) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{path}: {error}");
    if force {
        // A new file has the mode that is asked for; an old one would keep its own.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(fail)?;
    writeln!(file, "{text}").map_err(fail)
}
