//! Frames of Z-Wave under Security 2, decrypted, read and named. Beside zwave-js with the same frames.

use std::hint::black_box;
use std::path::Path;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use serde_json::json;
use thingward_model::Value;
use thingward_zwave::affordance::{Reading, Shown, readings};
use thingward_zwave::security2::{EntropyInput, KeySlot, Security2};
use thingward_zwave::{Command, HomeId, Key, NodeId, S2Class};

use crate::chain::Chain;
use crate::clock::{Rounds, spent};
use crate::peer::{Peer, WARM, hex};

const HOME: u32 = 0xcafe_f00d;
const CONTROLLER: u16 = 1;
const NODES: u16 = 200;
const OF_EACH: usize = 100;
const KEY: [u8; 16] = [7; 16];
const SLOT: KeySlot = KeySlot::Class(S2Class::Authenticated);
/// What nodes report in turn: a temperature, a switch, a meter, a battery.
const REPORTS: [&[u8]; 4] = [
    &[0x31, 0x05, 0x01, 0x22, 0x00, 0xd7],
    &[0x25, 0x03, 0xff],
    &[0x32, 0x02, 0x21, 0x44, 0x00, 0x00, 0x30, 0x39, 0x00, 0x00],
    &[0x80, 0x03, 0x5a],
];

/// Frames in a second of the processor.
#[derive(Default)]
pub(crate) struct Zwave {
    pub(crate) decoded: Rounds,
    pub(crate) sealed: Rounds,
    pub(crate) peer_decoded: Rounds,
}

pub(crate) struct Bench {
    frames: Vec<(NodeId, Vec<u8>)>,
    peer: Peer,
    figures: Zwave,
}

impl Bench {
    pub(crate) fn new(modules: &Path) -> Self {
        let mut controller = end(CONTROLLER);
        let told: Vec<_> = nodes().map(|node| (node, tell(&mut controller, node))).collect();
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let mut senders: Vec<(NodeId, Security2)> = told
            .iter()
            .map(|(node, told)| {
                let mut sender = end(node.number());
                sender.heard_nonce(number(CONTROLLER), *told, &mut rng);
                (*node, sender)
            })
            .collect();
        let mut frames = Vec::new();
        for at in 0..OF_EACH {
            for (node, sender) in &mut senders {
                let report = REPORTS[at % REPORTS.len()];
                frames.push((*node, sender.seal(number(CONTROLLER), SLOT, report, &mut rng).unwrap()));
            }
        }
        let told: Vec<_> = told.iter().map(|(node, told)| json!([node.number(), hex(told)])).collect();
        let sent: Vec<_> = frames.iter().map(|(node, frame)| json!([node.number(), hex(frame)])).collect();
        let given = json!({"home": HOME, "own": CONTROLLER, "key": hex(&KEY), "told": told, "frames": sent});
        let mut peer = Peer::start("zwave.mjs", modules, &given);
        (0..WARM).for_each(|_| drop(peer.round()));
        Self { frames, peer, figures: Zwave::default() }
    }

    /// The figures; the peer ends.
    pub(crate) fn done(self) -> Zwave {
        self.figures
    }

    pub(crate) fn round(&mut self) {
        let frames = f64::from(u32::try_from(self.frames.len()).unwrap());
        let mut controller = listening();
        let ((), decoded) = spent(|| self.listen(&mut controller, |_, reading| drop(black_box(reading))));
        self.figures.decoded.push(frames / decoded.as_secs_f64());

        let mut controller = listening();
        let mut chains: Vec<Chain> =
            nodes().map(|node| Chain::new(&format!("thing-{}", node.number()))).collect();
        let of = |node: NodeId| usize::from(node.number() - CONTROLLER - 1);
        let ((), sealed) =
            spent(|| self.listen(&mut controller, |node, reading| add(&mut chains[of(node)], &reading)));
        self.figures.sealed.push(frames / sealed.as_secs_f64());

        let peer = self.peer.round();
        self.figures.peer_decoded.push(frames / peer["decoded"].as_f64().unwrap());
    }

    fn listen(&self, controller: &mut Security2, mut heard: impl FnMut(NodeId, Reading)) {
        for (node, frame) in &self.frames {
            let opened = controller.open(*node, black_box(frame)).unwrap();
            for reading in readings(&Command::parse(&opened.command).unwrap()) {
                heard(*node, reading);
            }
        }
    }
}

fn number(number: u16) -> NodeId {
    NodeId::new(number).unwrap()
}

fn nodes() -> impl Iterator<Item = NodeId> {
    (0..NODES).map(|at| number(CONTROLLER + 1 + at))
}

fn end(own: u16) -> Security2 {
    let mut end = Security2::new(HomeId(HOME), number(own));
    end.insert_key(S2Class::Authenticated, Key::new(KEY));
    end
}

/// Tells a node the controller's half of a nonce, which is the same each time.
fn tell(controller: &mut Security2, node: NodeId) -> EntropyInput {
    let [low, high] = node.number().to_le_bytes();
    let mut seed = [5; 32];
    (seed[0], seed[1]) = (low, high);
    let report = controller.nonce_report(node, &mut ChaCha20Rng::from_seed(seed));
    report[4..].try_into().unwrap()
}

/// The controller that all nodes were told a nonce of.
fn listening() -> Security2 {
    let mut controller = end(CONTROLLER);
    for node in nodes() {
        tell(&mut controller, node);
    }
    controller
}

fn add(chain: &mut Chain, reading: &Reading) {
    let value = match &reading.value {
        Shown::Number(number) => Value::Number(*number),
        Shown::Flag(flag) => Value::Bool(*flag),
        Shown::Word(word) => Value::Text(word),
        Shown::Bytes(bytes) => Value::Data(bytes),
        Shown::Unknown => return,
    };
    chain.add(&reading.name, reading.unit, value);
}
