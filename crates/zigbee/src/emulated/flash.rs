//! What a coordinator and the nodes around it still know when they had no power.

use super::{Coordinator, Presence};
use crate::bytes::{Malformed, Reader};

/// Of this format.
const FORMAT: u8 = 2;

/// What is there is no flash of such a coordinator with so many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no flash of an emulated coordinator and its nodes")]
pub struct NoFlash;

impl From<Malformed> for NoFlash {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl Coordinator {
    /// What it and its nodes keep: the network and its keys, which are secret, the counters, and who is in it.
    #[must_use]
    pub fn flash(&self) -> Vec<u8> {
        let mut flash = vec![FORMAT];
        flash.extend(self.eui64);
        flash.extend(self.key);
        flash.push(self.key_sequence);
        flash.extend(self.counter.to_le_bytes());
        flash.push(self.aps);
        write(&mut flash, self.alternate.as_ref().map(<[u8; 16]>::as_slice));
        write(&mut flash, self.network.as_deref());
        for node in &self.nodes {
            flash.extend([u8::from(node.presence == Presence::Joined), node.sequence]);
            flash.extend(node.network_key);
            write(&mut flash, node.next_key.as_ref().map(<[u8; 16]>::as_slice));
        }
        flash
    }

    /// Goes on with what was kept, with as many nodes around it as there were.
    ///
    /// # Errors
    ///
    /// [`NoFlash`]; it is not to be used then.
    pub fn resume(&mut self, flash: &[u8]) -> Result<(), NoFlash> {
        let mut reader = Reader::new(flash);
        if reader.u8("flash.format")? != FORMAT {
            return Err(NoFlash);
        }
        self.eui64 = reader.array("flash.eui64")?;
        self.key = reader.array("flash.key")?;
        self.key_sequence = reader.u8("flash.key_sequence")?;
        self.counter = reader.u32("flash.counter")?;
        self.aps = reader.u8("flash.aps")?;
        self.alternate = read_key(&mut reader)?;
        self.network = read(&mut reader)?.map(<[u8]>::to_vec);
        for node in &mut self.nodes {
            let is_joined = reader.u8("flash.presence")? == 1;
            node.presence = if is_joined { Presence::Joined } else { Presence::Away };
            node.sequence = reader.u8("flash.sequence")?;
            node.network_key = reader.array("flash.network_key")?;
            node.next_key = read_key(&mut reader)?;
        }
        Ok(reader.finish("flash")?)
    }
}

/// Its length, and then what is there.
fn write(flash: &mut Vec<u8>, what: Option<&[u8]>) {
    let what = what.unwrap_or_default();
    flash.push(u8::try_from(what.len()).unwrap_or(u8::MAX));
    flash.extend(what);
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, NoFlash> {
    let length = reader.u8("flash.length")?;
    Ok(Some(reader.take("flash", length.into())?).filter(|what| !what.is_empty()))
}

fn read_key(reader: &mut Reader<'_>) -> Result<Option<[u8; 16]>, NoFlash> {
    let key = read(reader)?.map(<[u8; 16]>::try_from).transpose();
    key.map_err(|_| NoFlash)
}
