//! Buttons and what they call: CC, "Central Scene", "Scene Activation", "Scene Actuator Configuration", "Scene Controller
//! Configuration".

use super::Value;
use super::field::{Duration, Field};
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

bit_fields! {
    /// What was done to a button: 0 pressed, 1 released, 2 held, 3 and on pressed twice and more.
    KeyAttributes {
        slow_refresh: bool = 7, 1,
        key_attribute: u8 = 0, 3,
    }
}

bit_fields! {
    /// Whether what goes on is told every 55 seconds only.
    SlowRefresh { slow_refresh: bool = 7, 1 }
}

/// Buttons and what can be done to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    /// How many.
    pub scene_count: u8,
    /// Whether what goes on can be told more rarely.
    pub supports_slow_refresh: bool,
    /// Whether the first list is that of all.
    pub identical: bool,
    /// Attributes of each.
    pub key_attributes: Vec<Vec<u8>>,
}

impl Field for Scenes {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [scene_count, head] = reader.array()?;
        let (length, identical) = (usize::from(head >> 1 & 0x03), head & 1 == 1);
        let lists = if identical { scene_count.min(1) } else { scene_count };
        let lists = (0..lists).map(|_| reader.take(length).map(|mask| bits(mask, 0)));
        let key_attributes = lists.collect::<Result<_, _>>()?;
        Ok(Self { scene_count, supports_slow_refresh: head & 0x80 != 0, identical, key_attributes })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let masks: Vec<Vec<u8>> = self.key_attributes.iter().map(|list| mask(list, 0, 1)).collect();
        let length = masks.iter().map(Vec::len).max().unwrap_or(0).min(3);
        let slow = u8::from(self.supports_slow_refresh) << 7;
        out.extend([
            self.scene_count,
            slow | u8::try_from(length).unwrap_or(0) << 1 | u8::from(self.identical),
        ]);
        for mut mask in masks {
            mask.resize(length, 0);
            out.append(&mut mask);
        }
    }
    fn value(&self) -> Value {
        self.scene_count.into()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("scene_count", self.scene_count.into()));
        out.push(("supports_slow_refresh", self.supports_slow_refresh.into()));
        out.push(("key_attributes", self.key_attributes.iter().map(Field::value).collect::<Vec<_>>().into()));
    }
}

command_class! {
    /// A button was pressed: class 0x5b.
    CentralScene = 0x5b {
        SupportedGet = 0x01 {},
        SupportedReport = 0x02 { scenes: Scenes },
        Notification = 0x03 { sequence_number: u8, key: KeyAttributes, scene_number: u8 },
        ConfigurationSet = 0x04 { refresh: SlowRefresh },
        ConfigurationGet = 0x05 {},
        ConfigurationReport = 0x06 { refresh: SlowRefresh },
    }
}

command_class! {
    /// A scene is called: class 0x2b.
    SceneActivation = 0x2b {
        Set = 0x01 { scene_id: u8, dimming_duration: Option<Duration> },
    }
}

bit_fields! {
    /// Whether a level is given, or is the present one.
    Override { overrides: bool = 7, 1 }
}

command_class! {
    /// What a thing does in a scene: class 0x2c.
    SceneActuatorConfiguration = 0x2c {
        Set = 0x01 { scene_id: u8, dimming_duration: Duration, overrides: Override, level: u8 },
        Get = 0x02 { scene_id: u8 },
        Report = 0x03 { scene_id: u8, level: u8, dimming_duration: Duration },
    }
}

command_class! {
    /// Which scene a button calls: class 0x2d.
    SceneControllerConfiguration = 0x2d {
        Set = 0x01 { group_id: u8, scene_id: u8, dimming_duration: Duration },
        Get = 0x02 { group_id: u8 },
        Report = 0x03 { group_id: u8, scene_id: u8, dimming_duration: Duration },
    }
}
