//! Somebody's eyes: which values of readings they see.

use std::fmt;
use std::sync::Arc;

use thingward_model::{DeviceName, FieldName, StreamName};

use crate::action::{Action, ReadReadings};
use crate::permit::{Denied, Permit};
use crate::policies::Policies;
use crate::resource::{Categories, Resource};
use crate::subject::Subject;

/// Decides about each value of a reading, when it is about to be shown.
#[derive(Clone)]
pub struct Reader {
    policies: Arc<Policies>,
    who: Subject,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.who).finish()
    }
}

impl Reader {
    /// The eyes of `who`.
    #[must_use]
    pub const fn new(policies: Arc<Policies>, who: Subject) -> Self {
        Self { policies, who }
    }

    /// The permit to see a value.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn may_see(
        &self,
        device: &DeviceName,
        stream: &StreamName,
        field: Option<&FieldName>,
        unit: Option<&str>,
    ) -> Result<Permit<ReadReadings>, Denied> {
        let categories = Categories::guessed(field, unit);
        self.policies.decide(&self.who, &Resource::Field(*device, *stream, field.copied(), categories))
    }

    /// Whether they see a value.
    #[must_use]
    pub fn sees(
        &self,
        device: &DeviceName,
        stream: &StreamName,
        field: Option<&FieldName>,
        unit: Option<&str>,
    ) -> bool {
        self.may_see(device, stream, field, unit).is_ok()
    }

    /// Whether asking for readings is out of the question, whatever they are of: a token for other things.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        matches!(self.who, Subject::Token { scopes, .. } if !scopes.contains(Action::ReadReadings))
    }
}
