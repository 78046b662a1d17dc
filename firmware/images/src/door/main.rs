//! A whole device: a door that opens for those who may, and counts how often. A gateway asks over the serial port.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "registers, and calls to the emulator")]

mod part;
mod thing;

use core::mem::MaybeUninit;

use thingward_chip::{end, measure, wipe_stack};
use thingward_device::link::{Decoder, FRAME_OVERHEAD_BYTES, Frame, Kind, encode};
use thingward_device::{Device, Dice};
use thingward_model::{Reading, Value};

use part::{Clock, Memory, Secret, Uart};
use thing::Door;

thingward_chip::image!(run);

/// Largest frame, in bytes between the flags.
const FRAME_BYTES: usize = 1200;
/// How often a reading is taken, in microseconds.
const READING_EVERY: u32 = 1_000_000;

type Machine = Device<Dice<Secret>, Memory, Door>;

/// Where the device is: what moves leaves copies of its keys on the stack.
static mut DEVICE: MaybeUninit<Machine> = MaybeUninit::uninit();

fn run() {
    let Some(device) = start() else { end(false) };
    wipe_stack();
    serve(device);
}

#[inline(never)]
fn start() -> Option<&'static mut Machine> {
    let memory = Memory::open()?;
    let keys = Dice::start(Secret(memory), &part::measurement()).ok()?;
    let device = Device::start(keys, memory, Door::default(), FRAME_BYTES as u16).ok()?;
    // SAFETY: called once, before anything else.
    let place = unsafe { &mut *(&raw mut DEVICE) };
    Some(place.write(device))
}

/// Answers the gateway and takes readings, for ever.
#[inline(never)]
fn serve(device: &mut Machine) {
    let (mut room, mut out) = ([0; FRAME_BYTES], [0; FRAME_BYTES - FRAME_OVERHEAD_BYTES]);
    let (mut frames, mut clock) = (Decoder::new(&mut room), Clock::start());
    let (line, alarm) = (Uart::line(), Uart::alarm());
    let mut since_reading = READING_EVERY;
    loop {
        let elapsed = clock.elapsed();
        device.tick(elapsed);
        since_reading = since_reading.saturating_add(elapsed);
        if since_reading >= READING_EVERY {
            since_reading = 0;
            record(device);
        }
        if alarm.get().is_some() {
            measure("tamper", || device.tamper());
            wipe_stack();
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
