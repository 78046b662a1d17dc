//! What a service makes of the messages it takes.

use std::collections::BTreeMap;

use thingward_agent::reading::{OwnedReading, OwnedValue};
use thingward_crypto::RecipientSecretKey;
use thingward_model::{Timestamp, Value, senml};
use thingward_pki::LeafIdentity;
use thingward_seal::{
    ChainId, ChainState, Earlier, Item, Items, Record, RecordKey, RecordVerdict, StatementKind,
    StatementVerdict, Subject,
};

/// Records of all streams, each once, and everything there was to say about them.
#[derive(Default)]
pub(crate) struct Ledger {
    chains: BTreeMap<ChainId, Chain>,
    /// By device and stream, in the order of arrival.
    pub(crate) records: BTreeMap<String, Vec<Vec<OwnedReading>>>,
    /// Verdicts that are neither progress nor repetition.
    pub(crate) said: Vec<String>,
    /// Gaps after a power loss.
    pub(crate) power_losses: usize,
    /// Messages that were taken.
    pub(crate) messages: u64,
    /// Records that came again.
    pub(crate) duplicates: usize,
    /// Messages of chains that were not opened.
    pub(crate) unknown: usize,
}

struct Chain {
    state: ChainState,
    key: RecordKey,
    tags: BTreeMap<u64, [u8; 16]>,
    last: u64,
    name: String,
}

impl Ledger {
    /// As if restored from before any chain was opened.
    pub(crate) fn forget(&mut self) {
        self.chains.clear();
        self.records.clear();
    }

    /// Records of a stream's chains that no signature covers.
    pub(crate) fn unsigned(&self, name: &str) -> usize {
        let chains = self.chains.values().filter(|chain| chain.name == name);
        chains.map(|chain| (1..=chain.state.last).filter(|seq| !chain.state.is_signed(*seq)).count()).sum()
    }

    /// Whether the chain is known.
    pub(crate) fn take(
        &mut self,
        who: &LeafIdentity,
        topic: &str,
        payload: &[u8],
        secret: &RecipientSecretKey,
    ) -> bool {
        let stream = topic.strip_prefix("devices/me/telemetry/").unwrap().parse().unwrap();
        let subject = Subject { tenant: who.principal.tenant, device: who.principal.name, stream };
        for item in Items::new(payload) {
            match item.unwrap() {
                Item::Statement(signed) => {
                    let statement = signed.verify(&who.key).unwrap();
                    assert_eq!(statement.subject, subject);
                    if let StatementKind::Open { cipher, encapsulated, .. } = statement.kind {
                        let key =
                            RecordKey::derive(secret, &encapsulated, cipher, &subject, &statement.chain);
                        self.chains.entry(statement.chain).or_insert_with(|| Chain {
                            state: ChainState::opened(statement.chain, signed.bytes),
                            key: key.unwrap(),
                            tags: BTreeMap::new(),
                            last: 0,
                            name: format!("{}/{stream}", who.principal.name),
                        });
                        continue;
                    }
                    let Some(chain) = self.chains.get_mut(&statement.chain) else {
                        self.unknown += 1;
                        return false;
                    };
                    match chain.state.statement(&statement) {
                        StatementVerdict::Signed | StatementVerdict::Duplicate => {}
                        StatementVerdict::GapDeclared { .. } => self.power_losses += 1,
                        other => self.said.push(format!("{other:?}")),
                    }
                }
                Item::Record(record) if self.chains.contains_key(&record.chain) => self.record(&record),
                Item::Record(_) => {
                    self.unknown += 1;
                    return false;
                }
            }
        }
        true
    }

    fn record(&mut self, record: &Record<'_>) {
        let chain = self.chains.get_mut(&record.chain).unwrap();
        let earlier = |r: &Record<'_>| match chain.tags.get(&r.seq) {
            None => Earlier::Unknown,
            Some(tag) if *tag == r.tag() => Earlier::Same,
            Some(_) => Earlier::Other,
        };
        match chain.state.record(record, true, earlier) {
            RecordVerdict::Linked => {}
            RecordVerdict::Duplicate => {
                self.duplicates += 1;
                return;
            }
            other => self.said.push(format!("{other:?}")),
        }
        assert!(chain.tags.insert(record.seq, record.tag()).is_none(), "a number came twice");
        chain.last = record.seq;
        let mut pack = [0; 2048];
        let len = record.open(&chain.key, &mut pack).unwrap();
        let mut readings = Vec::new();
        senml::decode(&pack[..len], Timestamp::EPOCH, |r| {
            let value = match r.value {
                Value::Number(n) => OwnedValue::Number(n),
                Value::Bool(b) => OwnedValue::Bool(b),
                Value::Text(t) => OwnedValue::Text(t.to_owned()),
                Value::Data(d) => OwnedValue::Data(d.to_vec()),
            };
            readings.push(OwnedReading { field: r.field, unit: r.unit.to_owned(), time: r.time, value });
        })
        .unwrap();
        self.records.entry(chain.name.clone()).or_default().push(readings);
    }

    /// The single numbers of a stream's records.
    pub(crate) fn numbers(&self, stream: &str) -> Vec<f64> {
        let number = |readings: &Vec<OwnedReading>| match readings.as_slice() {
            [OwnedReading { value: OwnedValue::Number(n), .. }] => *n,
            other => panic!("{other:?}"),
        };
        self.records.get(stream).map(|r| r.iter().map(number).collect()).unwrap_or_default()
    }

    /// Whether every record of every chain is covered by a signature.
    pub(crate) fn is_signed(&self) -> bool {
        self.chains.values().all(|c| c.state.is_signed(c.last))
    }
}
