//! What is switched: CC, "Basic", "Binary Switch", "Multilevel Switch", "Color Switch".

use super::field::{Counted, Duration, Level, Mask, OnOff};

group! {
    /// Where a change is going.
    Target {
        target_value: Level,
        duration: Duration,
    }
}

group! {
    /// Where a switch is going.
    SwitchTarget {
        target_value: OnOff,
        duration: Duration,
    }
}

command_class! {
    /// The main thing that a node does, whatever it is: class 0x20.
    Basic = 0x20 {
        Set = 0x01 { target_value: Level },
        Get = 0x02 {},
        Report = 0x03 { current_value: Level, target: Option<Target> },
    }
}

command_class! {
    /// On and off: class 0x25.
    BinarySwitch = 0x25 {
        Set = 0x01 { target_value: OnOff, duration: Option<Duration> },
        Get = 0x02 {},
        Report = 0x03 { current_value: OnOff, target: Option<SwitchTarget> },
    }
}

bit_fields! {
    /// How a level starts to change.
    LevelChange {
        down: bool = 6, 1,
        ignore_start_level: bool = 5, 1,
    }
}

bit_fields! {
    /// A kind of switch: 2 is down and up, 3 close and open.
    SwitchType { switch_type: u8 = 0, 5 }
}

command_class! {
    /// Levels from 0 to 99: class 0x26.
    MultilevelSwitch = 0x26 {
        Set = 0x01 { target_value: Level, duration: Option<Duration> },
        Get = 0x02 {},
        Report = 0x03 { current_value: Level, target: Option<Target> },
        StartLevelChange = 0x04 { change: LevelChange, start_level: u8, duration: Option<Duration> },
        StopLevelChange = 0x05 {},
        SupportedGet = 0x06 {},
        SupportedReport = 0x07 { switch_type: SwitchType },
    }
}

group! {
    /// A colour and how much of it there is.
    Color {
        component: u8,
        value: u8,
    }
}

group! {
    /// Where a colour is going.
    ColorTarget {
        target_value: u8,
        duration: Duration,
    }
}

command_class! {
    /// Colours: class 0x33.
    ColorSwitch = 0x33 {
        SupportedGet = 0x01 {},
        SupportedReport = 0x02 { supported_color_components: Mask<0, 2> },
        Get = 0x03 { color_component: u8 },
        Report = 0x04 { color_component: u8, current_value: u8, target: Option<ColorTarget> },
        Set = 0x05 { colors: Counted<Color, 5>, duration: Option<Duration> },
        StartLevelChange = 0x06 {
            change: LevelChange,
            color_component: u8,
            start_level: u8,
            duration: Option<Duration>,
        },
        StopLevelChange = 0x07 { color_component: u8 },
    }
}
