//! Bodies between their blocks, at the end that is asked: RFC 7959 §2.3 and §2.4.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::block::{Block, NotJoined, join};
use super::limits::{EXCHANGE_LIFETIME, Limits};
use super::packet::Packet;
use super::server::Asked;
use super::state::{ContextHandle, Endpoint};
use crate::message::{Code, OptionNumber};

/// A body between its blocks.
pub(super) struct Transfer<P> {
    peer: P,
    context: Option<ContextHandle>,
    key: Packet,
    body: Body,
    until: Duration,
}

/// Who has transfers: a context, from whatever address, else an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner<P> {
    Context(ContextHandle),
    Peer(P),
}

impl<P> Owner<P> {
    fn of(context: Option<ContextHandle>, peer: P) -> Self {
        context.map_or(Self::Peer(peer), Self::Context)
    }
}

enum Body {
    Coming(Vec<u8>),
    Going(Packet),
}

impl<P: Copy + Eq> Transfer<P> {
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.until <= now
    }

    pub(super) fn is_under(&self, context: ContextHandle) -> bool {
        self.context == Some(context)
    }

    fn owner(&self) -> Owner<P> {
        Owner::of(self.context, self.peer)
    }

    fn is_of(&self, asked: &Asked<P>) -> bool {
        self.is_with(asked) && self.key == asked.key
    }

    fn is_with(&self, asked: &Asked<P>) -> bool {
        self.peer == asked.peer && self.context == asked.context()
    }

    /// Whether a later block that is asked for is of this body. Who does not say a FETCH's own body again may mean it.
    fn may_go_on(&self, asked: &Asked<P>) -> bool {
        let unsaid = asked.key.payload.is_empty() && self.key.with_body(&[]) == asked.key;
        self.is_of(asked) || self.is_with(asked) && unsaid
    }
}

impl<P: Copy + Ord> Endpoint<P> {
    /// A later block of a response that is kept: RFC 7959 §2.4.
    pub(super) fn next_block_of(&mut self, now: Duration, asked: &Asked<P>) -> Option<Packet> {
        let block = asked.block2.filter(|block| block.number > 0)?;
        let transfer = self.transfers.iter().rfind(|t| t.may_go_on(asked) && !t.is_over(now))?;
        let Body::Going(response) = &transfer.body else { return None };
        Some(one_block(response, block).unwrap_or_else(|| Packet::new(Code::BAD_OPTION)))
    }

    /// Joins the blocks of a request; as long as some are missing, and when they do not fit, says what to answer.
    pub(super) fn join_upload(
        &mut self,
        now: Duration,
        asked: &Asked<P>,
        request: &mut Packet,
    ) -> Result<(), Packet> {
        let Some(block) = asked.block1 else { return Ok(()) };
        let kept = self.transfers.iter().position(|transfer| transfer.is_of(asked));
        let mut body = match kept.map(|at| self.transfers.remove(at).body) {
            Some(Body::Coming(body)) if block.number > 0 => body,
            _ => Vec::new(),
        };
        let Limits { body_bytes_max, open_body_bytes_max, .. } = self.limits;
        let is_open = asked.context().is_none();
        let max = if is_open { body_bytes_max.min(open_body_bytes_max) } else { body_bytes_max };
        join(&mut body, block, &request.payload, max).map_err(|error| {
            Packet::new(match error {
                NotJoined::OutOfOrder => Code::REQUEST_ENTITY_INCOMPLETE,
                NotJoined::TooLarge => Code::REQUEST_ENTITY_TOO_LARGE,
            })
        })?;
        if block.more {
            self.keep(now, asked, Body::Coming(body));
            return Err(Packet::new(Code::CONTINUE));
        }
        request.payload = body;
        Ok(())
    }

    /// Keeps a body for its next block, where there is no room in the place of another: one without a context before one
    /// with it, then one of the same owner, then of the owner that has most, then the oldest. Without a context none takes the
    /// place of one with it.
    fn keep(&mut self, now: Duration, asked: &Asked<P>, body: Body) {
        self.transfers.retain(|transfer| !transfer.is_of(asked) && !transfer.is_over(now));
        let owner = Owner::of(asked.context(), asked.peer);
        let count = |owner| self.transfers.iter().filter(|transfer| transfer.owner() == owner).count();
        let crowded = count(owner) >= self.limits.per_peer_max;
        if crowded || self.transfers.len() >= self.limits.transfers_max {
            let secured = asked.context().is_some();
            let may_go =
                |t: &Transfer<P>| (!crowded || t.owner() == owner) && (secured || t.context.is_none());
            let first =
                self.transfers.iter().enumerate().filter(|(_, transfer)| may_go(transfer)).min_by_key(
                    |(_, t)| (t.context.is_some(), t.owner() != owner, Reverse(count(t.owner()))),
                );
            let Some((at, _)) = first else { return };
            self.transfers.remove(at);
        }
        self.transfers.push(Transfer {
            peer: asked.peer,
            context: asked.context(),
            key: asked.key.clone(),
            body,
            until: now + EXCHANGE_LIFETIME,
        });
    }

    /// The block of a response that was asked for, and the rest kept, where it does not fit into one.
    pub(super) fn in_blocks(&mut self, now: Duration, asked: &Asked<P>, response: Packet) -> Packet {
        let ours = self.limits.block_exponent;
        let wanted = asked.block2.unwrap_or(Block { number: 0, more: false, exponent: ours });
        let block = Block::at(wanted.start(), wanted.exponent.min(ours));
        if wanted.number == 0 && response.payload.len() <= 16 << wanted.exponent.min(ours) {
            return response;
        }
        let response = response.with_state();
        let first = block.and_then(|block| one_block(&response, block));
        self.keep(now, asked, Body::Going(response));
        first.unwrap_or_else(|| Packet::new(Code::BAD_OPTION))
    }
}

/// One block of a response as a response.
fn one_block(response: &Packet, block: Block) -> Option<Packet> {
    let (block, payload) = block.cut(&response.payload)?;
    Some(response.with_body(payload).with_uint(OptionNumber::BLOCK2, block.value()))
}
