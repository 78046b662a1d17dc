//! A whole device on an emulated chip, with this program as the gateway on its serial line, and as the service behind that.
//!
//! What the device says has to verify and open; it does what it is told once, also when power goes, and stays up whatever
//! comes over the line.

mod chip;
mod gateway;
mod keys;
mod readings;

use std::fs;
use std::time::{Duration, Instant};

use thingward_device::link::{Failure, Kind};
use thingward_grant::Refusal;

use crate::Result;
use crate::chip::{Chip, workspace};
use crate::output::{Measured, Output};
use chip::Powered;
use gateway::Gateway;

/// What the chip has without power: [`part`](../../images/src/door/part.rs) says where what is.
const MEMORY_BYTES: usize = 4096;
const SECRET_BYTES: usize = 32;
/// A device signs what it measured within ten seconds; the emulator's clock may be slow.
const SIGNS_WITHIN: Duration = Duration::from_secs(60);

/// Runs it; what it measured.
pub(crate) fn run(chip: &Chip) -> Result<Output> {
    let folder = workspace().join("target").join(format!("door-{}", chip.name));
    fs::create_dir_all(&folder)?;
    let mut memory = [0xff; MEMORY_BYTES];
    let secret = thingward_samples::seed(9);
    memory[MEMORY_BYTES - SECRET_BYTES..].copy_from_slice(&secret);
    fs::write(folder.join("memory"), memory)?;

    let mut device = Powered::on(chip, &folder)?;
    let mut gateway = Gateway::meet(&mut device)?;
    let (order, grant) = (gateway.command([1; 16])?, gateway.grant([7; 8])?);
    serves(&mut gateway, &mut device, &order, &grant)?;
    let mut said = vec![device.cut()?];

    let mut device = Powered::on(chip, &folder)?;
    gateway.meet_again(&mut device)?;
    remembers(&mut gateway, &mut device, &order, &grant)?;
    let (keys, kept) = (keys::of(chip, &secret)?, || fs::read(folder.join("memory")));
    if !gateway.knows(&keys) {
        return Err("the device has other keys than its secret and its image make".into());
    }
    gateway.ask_evidence(&mut device, &keys)?;
    if shows(&kept()?[..MEMORY_BYTES - SECRET_BYTES], &[gateway.secrets(), keys.secrets()].concat()) {
        return Err("the memory shows what it should keep to itself".into());
    }
    let at_work = device.ram(chip.ram_bytes)?;
    if !shows(&at_work, &keys.secrets()) {
        return Err("a device at work has keys in its RAM, and they were not found".into());
    }
    if shows(&at_work, keys.of_part()) {
        return Err("what only the start of the part needs is in the RAM of a device at work".into());
    }
    device.open_casing()?;
    gateway.hear_last_words(&mut device)?;
    if shows(&[device.ram(chip.ram_bytes)?, kept()?].concat(), &keys.secrets()) {
        return Err("keys are left after an alarm".into());
    }
    said.push(device.cut()?);
    Ok(longest(&said))
}

/// It obeys, opens for who may, and signs for what it measured.
fn serves(gateway: &mut Gateway, device: &mut Powered<'_>, order: &[u8], grant: &[u8]) -> Result<()> {
    gateway.tell_time(device)?;
    device.ask(Kind::Command, order)?;
    let shown = gateway.presentation(device, grant)?;
    gateway.is_done(&device.ask(Kind::Use, &shown)?)?;
    expect_refusal(device, Kind::Use, &shown, Refusal::WrongNonce)?;
    wait_for_signature(gateway, device)
}

/// What it did before power went it does not do again, and it goes on with its chain.
fn remembers(gateway: &mut Gateway, device: &mut Powered<'_>, order: &[u8], grant: &[u8]) -> Result<()> {
    if device.refusal(Kind::Command, &gateway.command([2; 16])?)? != [Failure::NoTime.code(), 0] {
        return Err("a command is judged without a time".into());
    }
    gateway.tell_time(device)?;
    device.noise(&noise())?;
    device.ask(Kind::Command, order)?;
    let shown = gateway.presentation(device, grant)?;
    expect_refusal(device, Kind::Use, &shown, Refusal::UsedUp)?;
    device.ask(Kind::Revocation, &gateway.revocation([8; 8])?)?;
    let taken_back = gateway.grant([8; 8])?;
    let shown = gateway.presentation(device, &taken_back)?;
    expect_refusal(device, Kind::Use, &shown, Refusal::Revoked)?;
    wait_for_signature(gateway, device)?;
    gateway.conclude()
}

fn expect_refusal(device: &mut Powered<'_>, kind: Kind, body: &[u8], reason: Refusal) -> Result<()> {
    let refusal = device.refusal(kind, body)?;
    if refusal == [Failure::Refused.code(), reason.code()] {
        Ok(())
    } else {
        Err(format!("{refusal:?} for {reason}").into())
    }
}

/// Until the device has signed for more readings than before.
fn wait_for_signature(gateway: &mut Gateway, device: &mut Powered<'_>) -> Result<()> {
    let (before, started) = (gateway.signed_readings(), Instant::now());
    while gateway.signed_readings() == before {
        gateway.poll(device)?;
        if started.elapsed() > SIGNS_WITHIN {
            return Err("no reading is signed".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Flags, escapes and whatever else, longer than a frame.
fn noise() -> Vec<u8> {
    (0..50).flat_map(thingward_samples::message).chain([0x7d, 0x7e, 0x7e]).collect()
}

/// Whether one of the secrets is there.
fn shows(memory: &[u8], secrets: &[Vec<u8>]) -> bool {
    secrets.iter().any(|secret| memory.windows(secret.len()).any(|window| window == secret))
}

/// Of each question the one that took longest.
fn longest(said: &[Output]) -> Output {
    let mut measured: Vec<Measured> = Vec::new();
    for one in said.iter().flat_map(|output| &output.measured) {
        match measured.iter_mut().find(|known| known.operation == one.operation) {
            Some(known) if known.cycles < one.cycles => known.cycles = one.cycles,
            Some(_) => {}
            None => measured.push(Measured { operation: one.operation.clone(), ..*one }),
        }
    }
    let complaints = said.iter().flat_map(|output| output.complaints.clone()).collect();
    Output { results: Vec::new(), measured, complaints }
}
