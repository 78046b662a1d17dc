//! What makes sounds: CC, "Sound Switch".

use super::field::SizedText;

command_class! {
    /// Tones: class 0x79. Tone 0 stops, volume 0 is silent, 255 the volume that is set.
    SoundSwitch = 0x79 {
        TonesNumberGet = 0x01 {},
        TonesNumberReport = 0x02 { tone_count: u8 },
        ToneInfoGet = 0x03 { tone_id: u8 },
        ToneInfoReport = 0x04 { tone_id: u8, duration: u16, name: SizedText },
        ConfigurationSet = 0x05 { default_volume: u8, default_tone_id: u8 },
        ConfigurationGet = 0x06 {},
        ConfigurationReport = 0x07 { default_volume: u8, default_tone_id: u8 },
        TonePlaySet = 0x08 { tone_id: u8, volume: Option<u8> },
        TonePlayGet = 0x09 {},
        TonePlayReport = 0x0a { tone_id: u8, volume: Option<u8> },
    }
}
