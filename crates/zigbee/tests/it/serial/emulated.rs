//! A coordinator of EZSP version 13: it forms, copies and leaves a network, and sends every message back to its sender.

use thingward_zigbee::ezsp::{EzspFrame, EzspHeader};
use thingward_zigbee::library::{self, EzspInfo};

/// The version of the protocol, of the stack's kind, and of the stack.
const VERSIONS: [u8; 4] = [13, 2, 0x40, 0x74];
const EUI64: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];
const NOT_JOINED: u8 = 0x93;
const NETWORK_UP: u8 = 0x90;
const NETWORK_DOWN: u8 = 0x91;
const INVALID_COMMAND: u16 = 0x0058;

/// The coordinator behind the line.
#[derive(Default)]
pub(super) struct Coordinator {
    /// Keys, as they were set.
    security: Vec<u8>,
    counter: [u8; 4],
    /// The network's settings, as it was formed.
    network: Option<Vec<u8>>,
}

impl Coordinator {
    /// What it answers to a message, and its news behind that.
    pub(super) fn respond(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        // The first question comes in the format of old.
        if let [sequence, 0, 0, _] = message {
            return vec![[&[*sequence, 0x80, 0][..], &VERSIONS].concat()];
        }
        let Ok(frame) = EzspFrame::read(message) else { return Vec::new() };
        let sequence = frame.header.sequence;
        let Some(info) = library::ezsp(frame.header.id) else {
            return vec![written(sequence, 0x80, INVALID_COMMAND, &[0x36])];
        };
        // A host's command has to be what the table says, to the last octet.
        let read = info.layout(false).read(&frame.parameters);
        let Ok((_, [])) = read else { return vec![written(sequence, 0x80, INVALID_COMMAND, &[0x38])] };
        let (answer, news) = self.done(info, &frame.parameters);
        let mut all = vec![written(sequence, 0x80, info.id, &answer)];
        all.extend(news.into_iter().map(|(id, parameters)| written(sequence, 0x90, id, &parameters)));
        all
    }

    fn done(&mut self, info: &EzspInfo, given: &[u8]) -> (Vec<u8>, Vec<(u16, Vec<u8>)>) {
        let status = |status| (vec![0], vec![(0x0019, vec![status])]);
        match info.name {
            "version" => (VERSIONS.to_vec(), Vec::new()),
            "getEui64" => (EUI64.to_vec(), Vec::new()),
            "networkInit" => (vec![if self.network.is_some() { 0 } else { NOT_JOINED }], Vec::new()),
            "setInitialSecurityState" => {
                self.security = given.to_vec();
                (vec![0], Vec::new())
            }
            "setValue" if given[0] == 0x23 => {
                self.counter.copy_from_slice(&given[2..6]);
                (vec![0], Vec::new())
            }
            "formNetwork" => {
                self.network = Some(given.to_vec());
                status(NETWORK_UP)
            }
            "leaveNetwork" => {
                *self = Self::default();
                status(NETWORK_DOWN)
            }
            "getNetworkParameters" => {
                let state = if self.network.is_some() { 0 } else { NOT_JOINED };
                let network = self.network.clone().unwrap_or_else(|| vec![0; 20]);
                ([&[state, 1][..], &network].concat(), Vec::new())
            }
            "exportKey" => ([&self.security[18..34], &[0; 4]].concat(), Vec::new()),
            "getNetworkKeyInfo" => ([&[0, 0, 0, 0, 1, 0, 0, 0][..], &self.counter].concat(), Vec::new()),
            "sendUnicast" => {
                let sent = [&given[..15], &[0, 0]].concat();
                let heard =
                    [&[0][..], &given[3..14], &[200, 0xd0], &given[1..3], &[0xff, 0xff], &given[15..]];
                (vec![0, 9], vec![(0x003f, sent), (0x0045, heard.concat())])
            }
            // All else goes well, and has nothing to say.
            _ => (nothing(info), Vec::new()),
        }
    }
}

/// An answer of zeros.
fn nothing(info: &EzspInfo) -> Vec<u8> {
    let mut answer = Vec::new();
    let (record, _) = info.layout(true).read(&[0; 96]).unwrap();
    info.layout(true).write(&record, &mut answer).unwrap();
    answer
}

fn written(sequence: u8, control: u8, id: u16, parameters: &[u8]) -> Vec<u8> {
    let header = EzspHeader { sequence, control: [control, 1], id };
    EzspFrame { header, parameters: parameters.to_vec().into() }.to_bytes().to_vec()
}
