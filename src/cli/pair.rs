//! A source and a destination: what `walpilot run` and `walpilot verify` are told alike.

use std::path::PathBuf;

use clap::Args;

use super::exit::Stop;
use super::source::{self, SourceArgs, SshArgs, WantedArgs};
use crate::connection::Settings;
use crate::profile::{Profile, Selection};

/// From where to where.
#[derive(Args, Clone, Debug)]
pub struct PairArgs {
    /// The source: a postgres:// URI or "host=… dbname=…"; PGPASSWORD is its password if the URI has none
    #[arg(long, value_name = "URI", required_unless_present = "profile")]
    pub from: Option<String>,
    /// A saved profile as the source; what stands beside it on the command line wins
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The destination; WALPILOT_TO_PASSWORD is its password if the URI has none
    #[arg(long, value_name = "URI")]
    pub to: String,
    /// Reads the source's password from this file's first line (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub from_password_file: Option<PathBuf>,
    /// Reads the destination's password from this file's first line (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub to_password_file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub ssh: SshArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub wanted: WantedArgs,
}

impl PairArgs {
    /// The source's profile and the destination's settings. Without tables, schemas or a saved profile the selection is
    /// the whole publication: [`Selection::Schemas`] without a name.
    ///
    /// # Errors
    /// When an argument, a variable or a file can't be read; the sentence names it.
    pub fn opened(&self) -> Result<(Profile, Settings), Stop> {
        let from = SourceArgs {
            uri: self.from.clone(),
            profile: self.profile.clone(),
            password_file: self.from_password_file.clone(),
            ssh: self.ssh.clone(),
            wanted: self.wanted.clone(),
        };
        let opened = from.opened(true)?;
        let mut profile = opened.profile;
        if !opened.asked {
            profile.selection = Selection::Schemas(Vec::new());
        }
        let mut destination = source::destination(&self.to)?;
        if let Some(file) = &self.to_password_file {
            destination = destination.with_password(Some(source::password_from(file)?));
        }
        Ok((profile, destination))
    }
}
