//! A whole device: a door that opens for those who may, and counts how often. A gateway asks over the serial port.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "avr", feature(asm_experimental_arch))]
#![allow(unsafe_code, reason = "registers, and calls to the emulator")]

#[cfg_attr(target_arch = "avr", path = "part/avr.rs")]
#[cfg_attr(target_arch = "arm", path = "part/cortex_m.rs")]
mod part;
mod secret;
mod thing;

use core::mem::MaybeUninit;

use thingward_chip::{end, measure, wipe_stack};
use thingward_device::link::{Decoder, Frame, Kind, encode};
use thingward_device::{Device, Dice};
use thingward_model::{Reading, Value};

use part::{Casing, Clock, FRAME_BYTES, Memory, READING_EVERY, Uart};
use secret::Secret;
use thing::Door;

thingward_chip::image!(run);

type Machine = Device<Dice<Secret>, Memory, Door>;

/// Where the device is: what moves leaves copies of its keys on the stack.
static mut DEVICE: MaybeUninit<Option<Machine>> = MaybeUninit::uninit();

fn run() {
    let Some(device) = start() else { end(false) };
    wipe_stack();
    serve(device);
}

#[inline(never)]
fn start() -> Option<&'static mut Machine> {
    let memory = Memory::open()?;
    let measurement = part::measurement();
    let keys = Dice::start(Secret(memory), &measurement).ok()?;
    // SAFETY: called once, before anything else.
    let place = unsafe { &mut *(&raw mut DEVICE) }.write(None);
    Device::start(place, keys, memory, Door::default(), FRAME_BYTES as u16).ok()
}

/// Answers the gateway and takes readings, for ever.
#[inline(never)]
fn serve(device: &mut Machine) {
    let mut room = [0; FRAME_BYTES];
    let (mut frames, mut clock) = (Decoder::new(&mut room), Clock::start());
    let (line, mut casing) = (Uart::line(), Casing::watch());
    let mut since_reading = READING_EVERY;
    loop {
        let elapsed = clock.elapsed();
        device.tick(elapsed);
        since_reading = since_reading.saturating_add(elapsed);
        if since_reading >= READING_EVERY {
            since_reading = 0;
            record(device);
        }
        if casing.was_opened() {
            measure("tamper", || device.tamper());
            wipe_stack();
        }
        let Some(Frame { sequence, kind, body }) = line.get().and_then(|byte| frames.take(byte)) else {
            continue;
        };
        let (len, room) = (body.len(), frames.body_mut());
        let (kind, len) = measure(name(kind), || device.answer(kind, room, len));
        encode(&Frame { sequence, kind, body: room.get(..len).unwrap_or_default() }, |byte| line.put(byte));
    }
}

/// Before it is a member, without a time or without room there is none.
#[inline(never)]
fn record(device: &mut Machine) {
    let Some(time) = device.now() else { return };
    let value = Value::from(u32::from(device.thing().opened));
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
        Some(Kind::Evidence) => "evidence",
    }
}
