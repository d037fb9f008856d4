//! What the programs that measure have in common: bare sockets and channels, clocks, bodies, arguments, figures.

pub mod arguments;
pub mod channel;
pub mod clock;
pub mod figures;
pub mod payload;
pub mod wire;
pub mod zmtp;

/// What can fail here is reported to a person, who wants the words and not the type.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
