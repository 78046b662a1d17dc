//! What a command class and a byte of bits are written with.

/// A command class: its commands with their numbers and fields, in the order in which they travel.
macro_rules! command_class {
    ($(#[$meta:meta])* $name:ident = $class:literal {
        $($(#[$about:meta])* $command:ident = $number:literal { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? }),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $command { $($(#[$note])* $field: $type),* }),*
        }

        impl $name {
            /// Its number.
            pub const CLASS: u8 = $class;

            /// `None` for a command that is not known.
            #[allow(unused_variables, reason = "its commands may have no fields")]
            pub(crate) fn parse(
                command: u8,
                reader: &mut $crate::bytes::Reader,
            ) -> Result<Option<Self>, $crate::ParseError> {
                Ok(Some(match command {
                    $($number => Self::$command { $($field: $crate::command_class::field::Field::read(reader)?),* },)*
                    _ => return Ok(None),
                }))
            }

            pub(crate) fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$command { $($field),* } => {
                        out.push($number);
                        $($crate::command_class::field::Field::write($field, out);)*
                    })*
                }
            }

            /// Names of fields and what they say.
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, $crate::command_class::Value)> {
                #[allow(unused_mut, reason = "a command may have no fields")]
                let mut out = Vec::new();
                match self {
                    $(Self::$command { $($field),* } => {
                        $($crate::command_class::field::Field::values($field, stringify!($field), &mut out);)*
                    })*
                }
                out
            }
        }
    };
}

/// A byte of bits: each field with its lowest bit and its width.
macro_rules! bit_fields {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $field:ident: $type:ty = $low:literal, $width:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[$note])* pub $field: $type),*
        }

        impl $crate::command_class::field::Field for $name {
            fn read(reader: &mut $crate::bytes::Reader) -> Result<Self, $crate::ParseError> {
                let byte = u16::from(reader.u8()?);
                Ok(Self {
                    $($field: $crate::command_class::bits::Bits::from_bits(byte >> $low & ((1 << $width) - 1))),*
                })
            }
            fn write(&self, out: &mut Vec<u8>) {
                let byte = 0_u16 $(| ($crate::command_class::bits::Bits::bits(self.$field) & ((1 << $width) - 1)) << $low)*;
                let [_, byte] = byte.to_be_bytes();
                out.push(byte);
            }
            fn value(&self) -> $crate::command_class::Value {
                $crate::command_class::Value::Record(vec![$((stringify!($field), self.$field.into())),*])
            }
            fn values(&self, _: &'static str, out: &mut Vec<(&'static str, $crate::command_class::Value)>) {
                $(out.push((stringify!($field), self.$field.into()));)*
            }
        }
    };
}

/// Fields that travel together and make sense together only.
macro_rules! group {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$note])* pub $field: $type),*
        }

        impl $crate::command_class::field::Field for $name {
            fn read(reader: &mut $crate::bytes::Reader) -> Result<Self, $crate::ParseError> {
                Ok(Self { $($field: $crate::command_class::field::Field::read(reader)?),* })
            }
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::command_class::field::Field::write(&self.$field, out);)*
            }
            fn value(&self) -> $crate::command_class::Value {
                let mut values = Vec::new();
                $crate::command_class::field::Field::values(self, "", &mut values);
                $crate::command_class::Value::Record(values)
            }
            fn values(&self, _: &'static str, out: &mut Vec<(&'static str, $crate::command_class::Value)>) {
                $($crate::command_class::field::Field::values(&self.$field, stringify!($field), out);)*
            }
        }
    };
}
