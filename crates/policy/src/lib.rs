//! Who may do what. A [`Permit`] is the answer, and nobody else can make one.
//!
//! Decided by [Cedar] policies: those of every tenant, which are part of the program, and the tenant's own files on top.
//! What no policy permits is denied, what one forbids is denied, and what one fails over is denied too.
//!
//! [Cedar]: https://docs.cedarpolicy.com

mod action;
mod entities;
mod explain;
mod index;
mod permit;
mod policies;
mod reader;
mod remembered;
mod resource;
mod schema;
mod source;
mod standing;
mod subject;
mod weak;
mod world;

pub use action::{
    Act, Action, Forward, IssueGrants, ManageDevices, ManageKeys, ManagePolicy, ManageTenants, ManageTokens,
    ManageUsers, PublishReadings, ReadDevices, ReadLog, ReadPolicy, ReadReadings, ReadSegments, RevokeGrants,
    SendCommands,
};
pub use index::{Answer, Index};
pub use permit::{Denied, Permit};
pub use policies::{Decision, Difference, Explanation, Named, Policies};
pub use reader::Reader;
pub use resource::{Categories, Resource, ten_thousandths};
pub use schema::{BASELINE, BASELINE_FILE, SCHEMA};
pub use source::{BYTES_MAX, FILES_MAX, Place, PolicyFile, Problem, Problems, Source};
pub use standing::{STANDING_BYTES_MAX, Standing, StandingError};
pub use subject::{Scopes, Subject, TokenKind, TokenName, UserRole};
pub use weak::WeakJoin;
pub use world::{GROUP_DEPTH_MAX, Member, Operation, User, World};
