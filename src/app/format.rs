//! The two forms in which a command that looks at this host answers.

use clap::ValueEnum;

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}
