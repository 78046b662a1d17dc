//! A whole device: a door that opens for those who may, and counts how often. A gateway asks over the serial port.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "registers, and calls to the emulator")]

mod part;
mod thing;

use thingward_chip::{end, measure};
use thingward_device::link::{Decoder, FRAME_OVERHEAD_BYTES, Frame, Kind, encode};
use thingward_device::{Device, Dice};
use thingward_model::{Reading, Value};

use part::{Clock, Line, Memory, Secret};
use thing::Door;

thingward_chip::image!(run);

/// Largest frame, in bytes between the flags.
const FRAME_BYTES: usize = 1200;
/// How often a reading is taken, in microseconds.
const READING_EVERY: u32 = 1_000_000;

type Machine = Device<Dice<Secret>, Memory, Door>;

fn run() {
    let Some(memory) = Memory::open() else { end(false) };
    let keys = Dice::start(Secret(memory), &part::measurement()).ok();
    let device = keys.and_then(|keys| Device::start(keys, memory, Door::default(), FRAME_BYTES as u16).ok());
    let Some(device) = device else { end(false) };
    serve(device);
}

/// Answers the gateway and takes readings, for ever.
#[inline(never)]
fn serve(mut device: Machine) {
    let (mut room, mut out) = ([0; FRAME_BYTES], [0; FRAME_BYTES - FRAME_OVERHEAD_BYTES]);
    let (mut frames, mut clock, line) = (Decoder::new(&mut room), Clock::start(), Line::open());
    let mut since_reading = READING_EVERY;
    loop {
        let elapsed = clock.elapsed();
        device.tick(elapsed);
        since_reading = since_reading.saturating_add(elapsed);
        if since_reading >= READING_EVERY {
            since_reading = 0;
            record(&mut device);
        }
        let Some(Frame { sequence, kind, body }) = line.get().and_then(|byte| frames.take(byte)) else {
            continue;
        };
        let (kind, len) = measure(name(kind), || device.answer(kind, body, &mut out));
        encode(&Frame { sequence, kind, body: &out[..len] }, |byte| line.put(byte));
    }
}

/// Before it is a member, without a time or without room there is none.
#[inline(never)]
fn record(device: &mut Machine) {
    let Some(time) = device.now() else { return };
    let value = Value::Number(f64::from(device.thing().opened));
    let _ = device.record(&[Reading { field: None, unit: "", time, value }]);
}

/// What a question is called in the table.
fn name(kind: u8) -> &'static str {
    match Kind::from_code(kind) {
        None => "unknown",
        Some(Kind::Hello) => "hello",
        Some(Kind::Request) => "request",
        Some(Kind::Join) => "join",
        Some(Kind::Poll) => "poll",
        Some(Kind::Command) => "command",
        Some(Kind::Nonce) => "nonce",
        Some(Kind::Use) => "use",
        Some(Kind::Revocation) => "revocation",
        Some(Kind::Question) => "question",
        Some(Kind::Beacon) => "beacon",
    }
}
