//! Commands of nodes, typed: CC, the chapter of each class.
//!
//! A class is a table: its commands with their numbers and fields ([`switches`] is the simplest). A command that no table has
//! is [`Command::Raw`] and keeps its bytes. A command inside another one stays bytes until it is read in a step of its own.

#[macro_use]
mod macros;
pub mod association;
pub mod battery;
mod bits;
pub mod configuration;
pub mod covering;
pub mod crc16;
pub mod encapsulation;
pub mod entry_control;
pub mod field;
pub mod firmware_update;
pub mod humidity;
pub mod indicator;
pub mod information;
pub mod key_locker;
pub mod lock;
pub mod meter;
pub mod notification;
pub mod scene;
pub mod security;
pub mod sensors;
pub mod sound_switch;
pub mod switches;
pub mod thermostat;
pub mod time;
pub mod transport_service;
pub mod user_code;
pub mod user_credential;
mod value;
pub mod wake_up;

pub use value::Value;

use crate::ParseError;
use crate::bytes::Reader;

/// Longest command, in bytes: what Transport Service carries.
pub const COMMAND_MAX: usize = 1280;
/// Classes from here on have a second byte.
const EXTENDED_FIRST: u8 = 0xf1;

macro_rules! commands {
    ($($class:ident: $path:path),* $(,)?) => {
        /// A command of a node, or to one.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Command {
            /// Nothing: whether a node is there.
            NoOperation,
            /// Another command, or one that is not known.
            Raw {
                /// Its class.
                class: u16,
                /// The bytes after it, its number first.
                payload: Vec<u8>,
            },
            $(
                /// A command of this class.
                $class($path),
            )*
        }

        $(impl From<$path> for Command {
            fn from(command: $path) -> Self {
                Self::$class(command)
            }
        })*

        impl Command {
            fn parse_known(class: u8, command: u8, reader: &mut Reader) -> Result<Option<Self>, ParseError> {
                match class {
                    $(<$path>::CLASS => Ok(<$path>::parse(command, reader)?.map(Self::$class)),)*
                    _ => Ok(None),
                }
            }

            /// Its bytes, from its class on.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                match self {
                    Self::NoOperation => vec![0x00],
                    Self::Raw { class, payload } => {
                        let class = class.to_be_bytes();
                        class.into_iter().skip_while(|byte| *byte == 0).chain(payload.iter().copied()).collect()
                    }
                    $(Self::$class(command) => {
                        let mut out = vec![<$path>::CLASS];
                        command.write(&mut out);
                        out
                    })*
                }
            }

            /// Number of its class.
            #[must_use]
            pub fn class(&self) -> u16 {
                match self {
                    Self::NoOperation => 0,
                    Self::Raw { class, .. } => *class,
                    $(Self::$class(_) => <$path>::CLASS.into(),)*
                }
            }

            /// Names of fields and what they say.
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, Value)> {
                match self {
                    Self::NoOperation => Vec::new(),
                    Self::Raw { payload, .. } => vec![("payload", Value::Bytes(payload.clone()))],
                    $(Self::$class(command) => command.values(),)*
                }
            }
        }
    };
}

commands! {
    AlarmSensor: notification::AlarmSensor,
    Association: association::Association,
    AssociationGroupInfo: association::AssociationGroupInfo,
    BarrierOperator: covering::BarrierOperator,
    Basic: switches::Basic,
    Battery: battery::Battery,
    BinarySensor: sensors::BinarySensor,
    BinarySwitch: switches::BinarySwitch,
    CentralScene: scene::CentralScene,
    Clock: time::Clock,
    ColorSwitch: switches::ColorSwitch,
    Configuration: configuration::Configuration,
    Crc16: crc16::Crc16,
    DeviceResetLocally: information::DeviceResetLocally,
    DoorLock: lock::DoorLock,
    DoorLockLogging: lock::DoorLockLogging,
    EnergyProduction: meter::EnergyProduction,
    EntryControl: entry_control::EntryControl,
    FirmwareUpdate: firmware_update::FirmwareUpdate,
    HumidityControlMode: humidity::HumidityControlMode,
    HumidityControlOperatingState: humidity::HumidityControlOperatingState,
    HumidityControlSetpoint: humidity::HumidityControlSetpoint,
    Indicator: indicator::Indicator,
    Language: information::Language,
    Lock: lock::Lock,
    ManufacturerSpecific: information::ManufacturerSpecific,
    Meter: meter::Meter,
    MultiChannel: encapsulation::MultiChannel,
    MultiChannelAssociation: association::MultiChannelAssociation,
    MultiCommand: encapsulation::MultiCommand,
    MultilevelSensor: sensors::MultilevelSensor,
    MultilevelSwitch: switches::MultilevelSwitch,
    NodeNaming: information::NodeNaming,
    Notification: notification::Notification,
    Powerlevel: information::Powerlevel,
    Protection: lock::Protection,
    SceneActivation: scene::SceneActivation,
    SceneActuatorConfiguration: scene::SceneActuatorConfiguration,
    SceneControllerConfiguration: scene::SceneControllerConfiguration,
    Security0: security::Security0,
    Security2: security::Security2,
    SoundSwitch: sound_switch::SoundSwitch,
    Supervision: encapsulation::Supervision,
    ThermostatFanMode: thermostat::ThermostatFanMode,
    ThermostatFanState: thermostat::ThermostatFanState,
    ThermostatMode: thermostat::ThermostatMode,
    ThermostatOperatingState: thermostat::ThermostatOperatingState,
    ThermostatSetpoint: thermostat::ThermostatSetpoint,
    ThermostatSetback: thermostat::ThermostatSetback,
    Time: time::Time,
    TimeParameters: time::TimeParameters,
    TransportService: transport_service::Segment,
    UserCode: user_code::UserCode,
    UserCredential: user_credential::UserCredential,
    Version: information::Version,
    WakeUp: wake_up::WakeUp,
    WindowCovering: covering::WindowCovering,
    ZWavePlusInfo: information::ZWavePlusInfo,
}

impl Command {
    /// Reads a command from its class on. What follows its last field is left alone: later versions append.
    ///
    /// # Errors
    ///
    /// [`ParseError`] where a command that is known is not what it must be. One that is not known is [`Self::Raw`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > COMMAND_MAX {
            return Err(ParseError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let class = reader.u8()?;
        if class == 0 {
            return Ok(Self::NoOperation);
        }
        let known = reader.clone();
        let class =
            if class >= EXTENDED_FIRST { u16::from_be_bytes([class, reader.u8()?]) } else { class.into() };
        let mut inside = known;
        if let (Ok(class), Some(command)) = (u8::try_from(class), inside.optional())
            && let Some(command) = Self::parse_known(class, command, &mut inside)?
        {
            return Ok(command);
        }
        Ok(Self::Raw { class, payload: reader.rest().to_vec() })
    }
}
