//! What a thing is and does, apart from being a device.

use thingward_grant::{Operation, Value};
use thingward_model::Shortest;
use thingward_seal::command::{Data, Refusal, Scalar, Shape};

/// A thing that can be told to do something. What it does is done when [`Thing::perform`] returns.
pub trait Thing {
    /// The stream of its readings: at most 16 bytes.
    const STREAM: &'static str;
    /// The name of its firmware and its version, which it proves: at most 64 bytes each.
    const FIRMWARE: (&'static str, &'static str);
    /// What it says when something does not succeed: at most 64 bytes of it are told.
    type Failure: AsRef<str>;

    /// What it opens to grants, as a scope in AIF: at most 128 bytes.
    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8];

    /// Whether it has the action and takes the arguments.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownAction`] or [`Refusal::BadInput`].
    fn check(&self, call: &Call<'_>) -> Result<(), Refusal>;

    /// Does it, once [`Thing::check`] said yes.
    ///
    /// # Errors
    ///
    /// Why it did not succeed.
    fn perform(&mut self, call: &Call<'_>) -> Result<(), Self::Failure>;
}

/// What a thing is told to do, by a command or by a grant.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    action: &'a str,
    arguments: Arguments<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Arguments<'a> {
    Command(Data<'a>),
    Grant(Operation<'a>),
}

impl<'a> Call<'a> {
    pub(crate) const fn of_command(action: &'a str, input: Data<'a>) -> Self {
        Self { action, arguments: Arguments::Command(input) }
    }

    pub(crate) const fn of_grant(operation: Operation<'a>) -> Self {
        Self { action: operation.action().as_str(), arguments: Arguments::Grant(operation) }
    }

    /// What shall be done.
    #[must_use]
    pub const fn action(&self) -> &'a str {
        self.action
    }

    /// The argument of this name; an input that is no map has the empty name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<Argument<'a>> {
        let mut found = None;
        self.each_argument(|key, value| {
            if key == name {
                found = Some(value);
            }
        });
        found
    }

    /// How many arguments there are.
    #[must_use]
    pub fn arguments_len(&self) -> usize {
        let mut count = 0_usize;
        self.each_argument(|_, _| count = count.saturating_add(1));
        count
    }

    /// Shows each argument with its name.
    pub fn each_argument(&self, mut see: impl FnMut(&'a str, Argument<'a>)) {
        match &self.arguments {
            Arguments::Grant(operation) => {
                // It was read before.
                let _ = operation.each_argument(|key, value| {
                    see(
                        key,
                        match value {
                            Value::Bool(value) => Argument::Bool(value),
                            Value::Integer(value) => Argument::Number(value),
                            Value::Text(value) => Argument::Text(value),
                        },
                    );
                });
            }
            Arguments::Command(data) => match data.shape() {
                Shape::Nothing => {}
                Shape::Scalar(value) => see("", Argument::of(value)),
                Shape::Map(members) => members.for_each(|(key, value)| see(key, Argument::of(value))),
            },
        }
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A number that is not whole, or beyond what is exact.
    Fraction(f64),
    /// A text.
    Text(&'a str),
}

impl<'a> Argument<'a> {
    fn of(value: Scalar<'a>) -> Self {
        match value {
            Scalar::Bool(value) => Self::Bool(value),
            Scalar::Text(value) => Self::Text(value),
            Scalar::Number(value) => match Shortest::of(value) {
                Some(Shortest::Whole(whole)) => Self::Number(whole),
                _ => Self::Fraction(value),
            },
        }
    }
}
