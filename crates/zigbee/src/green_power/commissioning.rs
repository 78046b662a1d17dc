//! What a Green Power device tells of itself: A.4.2.1.1.

use crate::bytes::{Malformed, Reader, count};
use crate::security::Key;

/// The commissioning command.
pub struct Commissioning {
    /// What kind of device it is.
    pub device: u8,
    /// Options, as bits.
    pub options: u8,
    /// Further options, as bits.
    pub extended: Option<u8>,
    /// Its key, often hidden under the well-known link key.
    pub key: Option<Key>,
    /// The integrity code of a hidden key.
    pub key_mic: Option<u32>,
    /// The counter that its next frame has.
    pub frame_counter: Option<u32>,
    /// What it is and does.
    pub application: Option<ApplicationInformation>,
}

/// What a Green Power device is and does: A.4.2.1.1.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationInformation {
    /// Which of the following are there, as bits.
    pub flags: u8,
    /// Its maker.
    pub manufacturer: Option<u16>,
    /// The maker's number for it.
    pub model: Option<u16>,
    /// The commands that it sends.
    pub commands: Option<Vec<u8>>,
    /// The clusters whose server it is, and those whose client.
    pub clusters: Option<(Vec<u16>, Vec<u16>)>,
    /// What its contacts mean.
    pub switch: Option<Vec<u8>>,
}

impl Commissioning {
    /// The command's number.
    pub const COMMAND: u8 = 0xe0;
    /// The number of what is answered to it.
    pub const REPLY: u8 = 0xf0;

    /// Reads what follows the command's number.
    ///
    /// # Errors
    ///
    /// With what is cut short or too long.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (device, options) = (r.u8("gp.device")?, r.u8("gp.options")?);
        let extended = if options & 0x80 != 0 { Some(r.u8("gp.extended_options")?) } else { None };
        let has = |flag| extended.unwrap_or(0) & flag != 0;
        let key = if has(0x20) { Some(Key::new(r.array("gp.key")?)) } else { None };
        let key_mic = if has(0x20) && has(0x40) { Some(r.u32("gp.key_mic")?) } else { None };
        let frame_counter = if has(0x80) { Some(r.u32("gp.outgoing_counter")?) } else { None };
        let application = if options & 4 != 0 { Some(ApplicationInformation::read(&mut r)?) } else { None };
        r.finish("gp.commissioning")?;
        Ok(Self { device, options, extended, key, key_mic, frame_counter, application })
    }

    /// The octets that follow the command's number.
    ///
    /// # Errors
    ///
    /// With lists longer than can be counted.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = vec![self.device, self.options];
        out.extend(self.extended);
        out.extend(self.key.iter().flat_map(Key::octets));
        out.extend(self.key_mic.iter().flat_map(|mic| mic.to_le_bytes()));
        out.extend(self.frame_counter.iter().flat_map(|counter| counter.to_le_bytes()));
        if let Some(application) = &self.application {
            application.write(&mut out)?;
        }
        Ok(out)
    }
}

impl ApplicationInformation {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = r.u8("gp.application_information")?;
        let has = |flag| flags & flag != 0;
        let manufacturer = if has(1) { Some(r.u16("gp.manufacturer")?) } else { None };
        let model = if has(2) { Some(r.u16("gp.model")?) } else { None };
        let commands = if has(4) { Some(counted(r, "gp.commands")?) } else { None };
        let clusters = if has(8) { Some(clusters(r)?) } else { None };
        let switch = if has(0x10) { Some(counted(r, "gp.switch")?) } else { None };
        Ok(Self { flags, manufacturer, model, commands, clusters, switch })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.push(self.flags);
        out.extend(self.manufacturer.iter().flat_map(|manufacturer| manufacturer.to_le_bytes()));
        out.extend(self.model.iter().flat_map(|model| model.to_le_bytes()));
        if let Some(commands) = &self.commands {
            out.push(count("gp.commands", commands.len())?);
            out.extend(commands);
        }
        if let Some((servers, clients)) = &self.clusters {
            out.push(nibble(servers)? | (nibble(clients)? << 4));
            out.extend(servers.iter().chain(clients).flat_map(|cluster| cluster.to_le_bytes()));
        }
        if let Some(switch) = &self.switch {
            out.push(count("gp.switch", switch.len())?);
            out.extend(switch);
        }
        Ok(())
    }
}

fn counted(r: &mut Reader<'_>, field: &'static str) -> Result<Vec<u8>, Malformed> {
    let len = r.u8(field)?;
    Ok(r.take(field, len.into())?.to_vec())
}

fn clusters(r: &mut Reader<'_>) -> Result<(Vec<u16>, Vec<u16>), Malformed> {
    let counts = r.u8("gp.clusters")?;
    let mut list = |count: u8| (0..count).map(|_| r.u16("gp.clusters")).collect::<Result<_, _>>();
    Ok((list(counts & 15)?, list(counts >> 4)?))
}

fn nibble(list: &[u16]) -> Result<u8, Malformed> {
    match count("gp.clusters", list.len())? {
        count if count < 16 => Ok(count),
        _ => Err(Malformed::new("gp.clusters", crate::Problem::TooMuch(list.len()))),
    }
}
