//! Arguments that several nouns share.

use clap::Args;

use super::output::ListArgs;
use super::profile::Connection;

/// Arguments of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    #[command(flatten)]
    pub list: ListArgs,
    #[command(flatten)]
    pub connection: Connection,
}

/// Arguments of `inspect` and `rm`.
#[derive(Debug, Args)]
pub struct Named {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub connection: Connection,
}
