//! Change data capture into a destination PostgreSQL: initial copy, then the stream, each destination transaction
//! carrying whole source transactions together with the checkpoint.
//!
//! Exactly once follows from three rules. The checkpoint is written in the transaction that carries the rows
//! ([`checkpoint`]). The source is told to forget only what is committed at the destination ([`reader`]). A table's
//! copy and the stream are joined at one position: what committed before it is in the snapshot, what committed at or
//! after it is applied ([`slot`]). So a run may be killed anywhere and started again.
//!
//! A table that is published later is copied while the stream goes on ([`join`]) and handed over to it ([`handover`]).
//!
//! A column that the source adds is followed where that is certain ([`follow`]); how far the destination is behind is
//! told by the source's clock and log ([`lag`], [`pulse`]). [`verify`] compares both sides.
//!
//! The other method reads rows with a newer `xmin` again and again ([`xmin`]); it shares the destination's side.
//!
//! What has gathered behind the slot is read with SQL ([`backlog`]), which is faster, and the stream begins where that ends.
//!
//! From the wire to the rows: [`walsender`] (behind [`stream`], on its own [`mod@line`]) -> [`reader`] (at its [`pace`]) ->
//! bounded queue -> [`apply`], which decodes ([`pgoutput`]) and joins changes to the destination's tables ([`described`],
//! [`relation`]) -> [`arranged`], which sorts them ([`coalesce`]) -> [`carrier`], while the next are read -> [`batch`], which
//! writes them. The initial copy ([`initial`]) hands rows on without a look at them ([`copy`], [`wire`]).

mod added;
mod apply;
mod arranged;
mod backlog;
mod batch;
mod carrier;
mod change;
mod checkpoint;
mod coalesce;
pub mod compare;
mod copy;
mod counted;
mod create;
mod described;
mod destination;
mod follow;
mod formats;
mod halt;
mod handover;
mod initial;
mod join;
mod journal;
mod lag;
mod line;
mod lines;
mod look;
mod lossless;
mod membership;
mod pace;
mod patience;
mod pgoutput;
mod pieces;
mod prepare;
mod presence;
pub mod probe;
pub mod progress;
mod pulse;
mod rates;
mod reader;
mod refusal;
mod relation;
pub mod run;
mod scope;
mod sequences;
mod sets;
mod slot;
mod source;
mod steady;
mod stream;
mod types;
pub mod verify;
mod walsender;
mod wire;
mod xmin;

pub use counted::counted;
pub use progress::{PassProgress, Phase, Progress, RunEvent, TablePhase, TableProgress};
pub use rates::{Rates, TableRate};
pub use run::{RunError, RunOptions, Summary, create_schema, forget, run, sync_sequences};
pub use xmin::XminOptions;
