//! The decision procedure of `docs/wire/grants.md`, written from that document with another CBOR library, and slowly. It
//! shares with the crate the primitives of `thingward_crypto` and nothing else. Only tests use it.

use coset::cbor::Value;
use thingward_crypto::{MacKey, SignatureAlgorithm, VerifyingKey, sha256};

/// Seconds since 1970, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    Nothing,
    AtLeast(i64),
    Between(i64, i64),
}

/// What an issuer has taken back of one audience.
pub(crate) struct TakenBack {
    pub(crate) epoch: u32,
    pub(crate) revoked: Vec<[u8; 8]>,
}

/// A device in the document's words.
pub(crate) struct Side {
    pub(crate) tenant: String,
    pub(crate) name: String,
    pub(crate) own: TakenBack,
    pub(crate) classes: Vec<(String, TakenBack)>,
    pub(crate) opened: Vec<u8>,
    pub(crate) right: Vec<u8>,
    pub(crate) issuer: VerifyingKey,
    pub(crate) shared: [u8; 32],
    pub(crate) time: Known,
    pub(crate) nonce: [u8; 16],
    pub(crate) used: u32,
}

type Refused = &'static str;

/// A block or proof as it stands in the message.
struct Part {
    tag: Option<u64>,
    symmetric: bool,
    key_id: Option<Vec<u8>>,
    payload: Vec<u8>,
    authenticator: Option<Vec<u8>>,
    bytes: Vec<u8>,
}

/// What the document says about these bytes: nothing, or the word of the refusal.
pub(crate) fn decide(bytes: &[u8], side: &Side) -> Result<(), Refused> {
    let mut parts = parts(bytes)?;
    let proof = parts.pop().ok_or("malformed")?;
    if parts.is_empty() || parts.len() > 5 {
        return Err("malformed");
    }
    let symmetric = parts[0].symmetric;
    let mut claims = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let is_right = part.symmetric == symmetric
            && part.tag == (at == 0 && !symmetric).then_some(18)
            && part.key_id.is_some() == (at == 0)
            && part.authenticator.is_some() != symmetric;
        if !is_right {
            return Err("malformed");
        }
        claims.push(claims_of(&part.payload, at == 0, symmetric)?);
    }
    let proof_is_right = proof.tag == Some(if symmetric { 17 } else { 18 })
        && proof.symmetric == symmetric
        && proof.key_id.is_none()
        && proof.authenticator.is_some();
    if !proof_is_right {
        return Err("malformed");
    }
    let Value::Array(said) = whole(&proof.payload)? else { return Err("malformed") };
    let [version, device, nonce, operation] = said.as_slice() else { return Err("malformed") };
    if version != &Value::from(1) {
        return Err("unknown-version");
    }
    let operation = Asked::read(operation)?;

    let known = if symmetric {
        MacKey::new(&side.shared).tag(&[b"thingward key id"])[..8].to_vec()
    } else {
        side.issuer.id().to_vec()
    };
    if parts[0].key_id.as_ref() != Some(&known) {
        return Err("unknown-issuer");
    }
    if device.as_text() != Some(&side.name) {
        return Err("other-device");
    }
    if nonce.as_bytes().map(Vec::as_slice) != Some(&side.nonce) {
        return Err("wrong-nonce");
    }
    if symmetric {
        check_tags(&parts, &proof, side)?
    } else {
        check_signatures(&parts, &claims, &proof, side)?
    }
    check_claims(&claims, &operation, side)
}

fn check_signatures(parts: &[Part], claims: &[Claims], proof: &Part, side: &Side) -> Result<(), Refused> {
    let (mut key, mut hash) = (side.issuer.clone(), Vec::new());
    for (part, claims) in parts.iter().zip(claims) {
        let label = if hash.is_empty() { "thingward grant" } else { "thingward narrowing" };
        let signature = part.authenticator.clone().unwrap().try_into().unwrap();
        key.verify(&to_be_signed("Signature1", &[0xa1, 1, 0x27], label, &hash, &part.payload), &signature)
            .map_err(|_| "forged")?;
        hash = sha256(&[&hash, &part.bytes]).to_vec();
        key = VerifyingKey::from_ed25519(claims.holder.as_ref().unwrap()).map_err(|_| "forged")?;
    }
    assert_eq!(key.algorithm(), SignatureAlgorithm::Ed25519);
    let signature = proof.authenticator.clone().unwrap().try_into().unwrap();
    let signed = to_be_signed("Signature1", &[0xa1, 1, 0x27], "thingward use", &hash, &proof.payload);
    key.verify(&signed, &signature).map_err(|_| "not-holder")
}

fn check_tags(parts: &[Part], proof: &Part, side: &Side) -> Result<(), Refused> {
    let mut secret = side.shared;
    for (at, part) in parts.iter().enumerate() {
        let label = if at == 0 { "thingward grant" } else { "thingward narrowing" };
        secret = MacKey::new(&secret).tag(&[&to_be_signed("MAC0", &[0xa1, 1, 5], label, &[], &part.payload)]);
    }
    let tag = MacKey::new(&secret).tag(&[&to_be_signed(
        "MAC0",
        &[0xa1, 1, 5],
        "thingward use",
        &[],
        &proof.payload,
    )]);
    if proof.authenticator.as_deref() == Some(&tag) { Ok(()) } else { Err("not-holder") }
}

fn to_be_signed(context: &str, header: &[u8], label: &str, hash: &[u8], payload: &[u8]) -> Vec<u8> {
    let external = [label.as_bytes(), hash].concat();
    let parts = [header.to_vec(), external, payload.to_vec()].map(Value::Bytes);
    written(&Value::Array([Value::from(context)].into_iter().chain(parts).collect()))
}

fn check_claims(claims: &[Claims], operation: &Asked, side: &Side) -> Result<(), Refused> {
    let first = &claims[0];
    let is_meant = |audience: &String| match audience.split_once('/').unwrap() {
        ("device", name) => name == side.name,
        (_, name) => side.classes.iter().any(|(class, _)| class == name),
    };
    if first.tenant.as_ref() != Some(&side.tenant)
        || !claims.iter().filter_map(|c| c.audience.as_ref()).all(is_meant)
    {
        return Err("wrong-audience");
    }
    let taken_back = match first.audience.as_ref().unwrap().split_once('/').unwrap() {
        ("device", _) => &side.own,
        (_, name) => &side.classes.iter().find(|(class, _)| class == name).unwrap().1,
    };
    if first.epoch.unwrap() < taken_back.epoch {
        return Err("old-epoch");
    }
    if taken_back.revoked.contains(&first.id.unwrap()) {
        return Err("revoked");
    }
    let (earliest, latest) = match side.time {
        Known::Nothing => (i64::MIN, i64::MAX),
        Known::AtLeast(earliest) => (earliest, i64::MAX),
        Known::Between(earliest, latest) => (earliest, latest),
    };
    let ends = || claims.iter().filter_map(|c| c.expires.map(i64::from));
    let starts = || claims.iter().filter_map(|c| c.not_before.map(i64::from));
    if ends().any(|end| earliest >= end) {
        return Err("expired");
    }
    if starts().any(|start| latest < start) {
        return Err("not-yet-valid");
    }
    if !ends().all(|end| latest < end) || !starts().all(|start| earliest >= start) {
        return Err("time-unknown");
    }
    if claims.iter().filter_map(|c| c.uses).any(|uses| side.used >= uses) {
        return Err("used-up");
    }
    if !fits(&side.opened, operation, true)? {
        return Err("not-opened");
    }
    if !fits(&side.right, operation, false)? {
        return Err("beyond-issuer");
    }
    for claims in claims {
        if let Some(scope) = &claims.scope
            && !fits(scope, operation, false)?
        {
            return Err("not-granted");
        }
    }
    Ok(())
}

struct Asked {
    action: String,
    arguments: Vec<(String, Value)>,
}

impl Asked {
    fn read(value: &Value) -> Result<Self, Refused> {
        let [action, Value::Map(arguments)] = value.as_array().ok_or("malformed")?.as_slice() else {
            return Err("malformed");
        };
        let arguments = arguments.iter().map(|(k, v)| (k.as_text().unwrap().to_owned(), v.clone()));
        Ok(Self { action: action.as_text().ok_or("malformed")?.to_owned(), arguments: arguments.collect() })
    }
}

/// Whether a permission of the scope fits the operation.
fn fits(scope: &[u8], operation: &Asked, all_bound: bool) -> Result<bool, Refused> {
    let scope = whole(scope)?;
    let fits = |permission: &Value| {
        let [action, Value::Map(bounds)] = permission.as_array().unwrap().as_slice() else {
            panic!("a permission")
        };
        let value = |name: &str| operation.arguments.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let bound = |name: &str| bounds.iter().any(|(n, _)| n.as_text() == Some(name));
        action.as_text() == Some(&operation.action)
            && bounds
                .iter()
                .all(|(n, bound)| value(n.as_text().unwrap()).is_some_and(|v| is_within(v, bound)))
            && (!all_bound || operation.arguments.iter().all(|(n, _)| bound(n)))
    };
    Ok(scope.as_array().ok_or("malformed")?.iter().any(fits))
}

fn is_within(value: &Value, bound: &Value) -> bool {
    match bound {
        Value::Array(list) => list.contains(value),
        Value::Map(range) => {
            let Some(number) = value.as_integer().map(i128::from) else { return false };
            range.iter().all(|(end, limit)| {
                let limit = i128::from(limit.as_integer().unwrap());
                if end == &Value::from(0) { number >= limit } else { number <= limit }
            })
        }
        only => only == value,
    }
}

#[derive(Default)]
struct Claims {
    tenant: Option<String>,
    audience: Option<String>,
    expires: Option<u32>,
    not_before: Option<u32>,
    id: Option<[u8; 8]>,
    holder: Option<[u8; 32]>,
    scope: Option<Vec<u8>>,
    epoch: Option<u32>,
    uses: Option<u32>,
    reference: bool,
}

fn claims_of(payload: &[u8], is_first: bool, symmetric: bool) -> Result<Claims, Refused> {
    let Value::Map(map) = whole(payload)? else { return Err("malformed") };
    let number = |v: &Value| v.as_integer().and_then(|n| u32::try_from(n).ok()).ok_or("malformed");
    let text = |v: &Value| v.as_text().map(str::to_owned).ok_or("malformed");
    let bytes = |v: &Value| v.as_bytes().cloned().ok_or("malformed");
    let mut all = Claims::default();
    for (key, value) in &map {
        match i128::from(key.as_integer().ok_or("malformed")?) {
            1 => all.tenant = Some(text(value)?),
            3 => all.audience = Some(text(value)?),
            4 => all.expires = Some(number(value)?),
            5 => all.not_before = Some(number(value)?),
            7 => all.id = Some(bytes(value)?.try_into().map_err(|_| "malformed")?),
            8 => all.holder = Some(holder_of(value).ok_or("malformed")?),
            9 => all.scope = Some(bytes(value)?),
            -65_537 => all.epoch = Some(number(value)?),
            -65_538 => all.uses = Some(number(value)?),
            -65_539 => all.reference = true,
            _ => return Err("unknown-version"),
        }
    }
    let origin = [all.tenant.is_some(), all.id.is_some(), all.epoch.is_some()];
    let ends = all.expires.is_some() || all.uses.is_some();
    let is_right = origin.iter().all(|is_there| *is_there == is_first)
        && (!is_first || (all.audience.is_some() && all.scope.is_some() && ends))
        && (is_first || !all.reference)
        && all.holder.is_some() != symmetric
        && all.uses != Some(0);
    if is_right { Ok(all) } else { Err("malformed") }
}

fn holder_of(value: &Value) -> Option<[u8; 32]> {
    let key = value.as_map()?.iter().find(|(k, _)| k == &Value::from(1))?.1.as_map()?;
    let field = |label: i64| key.iter().find(|(k, _)| k == &Value::from(label)).map(|(_, v)| v);
    let is_ed25519 = field(1) == Some(&Value::from(1)) && field(-1) == Some(&Value::from(6));
    if is_ed25519 { field(-2)?.as_bytes()?.as_slice().try_into().ok() } else { None }
}

fn parts(mut bytes: &[u8]) -> Result<Vec<Part>, Refused> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (value, rest) = item(bytes)?;
        let own = bytes[..bytes.len() - rest.len()].to_vec();
        let (tag, fields) = match value {
            Value::Tag(tag, inner) => (Some(tag), *inner),
            untagged => (None, untagged),
        };
        let fields = fields.into_array().map_err(|_| "malformed")?;
        let [Value::Bytes(header), Value::Map(unprotected), Value::Bytes(payload), rest_of @ ..] =
            fields.as_slice()
        else {
            return Err("malformed");
        };
        let symmetric = match header.as_slice() {
            [0xa1, 1, 0x27] => false,
            [0xa1, 1, 5] => true,
            _ => return Err("unknown-version"),
        };
        let key_id = match unprotected.as_slice() {
            [] => None,
            [(label, Value::Bytes(id))] if label == &Value::from(4) && id.len() == 8 => Some(id.clone()),
            _ => return Err("malformed"),
        };
        let authenticator = match rest_of {
            [] => None,
            [Value::Bytes(a)] if a.len() == if symmetric { 32 } else { 64 } => Some(a.clone()),
            _ => return Err("malformed"),
        };
        parts.push(Part { tag, symmetric, key_id, payload: payload.clone(), authenticator, bytes: own });
        bytes = rest;
    }
    Ok(parts)
}

/// One item from the front, in its one encoding.
fn item(bytes: &[u8]) -> Result<(Value, &[u8]), Refused> {
    let mut rest = bytes;
    let value: Value = coset::cbor::from_reader(&mut rest).map_err(|_| "malformed")?;
    let own = &bytes[..bytes.len() - rest.len()];
    if written(&value) == own && is_ordered(&value) { Ok((value, rest)) } else { Err("malformed") }
}

fn whole(bytes: &[u8]) -> Result<Value, Refused> {
    match item(bytes)? {
        (value, []) => Ok(value),
        _ => Err("malformed"),
    }
}

fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    coset::cbor::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// Whether the keys of each map come once and in the order of their encodings.
fn is_ordered(value: &Value) -> bool {
    match value {
        Value::Map(members) => {
            members.windows(2).all(|pair| written(&pair[0].0) < written(&pair[1].0))
                && members.iter().all(|(_, v)| is_ordered(v))
        }
        Value::Array(items) => items.iter().all(is_ordered),
        Value::Tag(_, inner) => is_ordered(inner),
        _ => true,
    }
}
