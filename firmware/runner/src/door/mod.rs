//! A whole device on an emulated chip, with this program as the gateway on its serial line, and as the service behind that.
//!
//! What the device says has to verify and open; it does what it is told once, also when power goes, and stays up whatever
//! comes over the line.

mod chip;
mod gateway;
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
    memory[MEMORY_BYTES - SECRET_BYTES..].copy_from_slice(&thingward_samples::seed(9));
    fs::write(folder.join("memory"), memory)?;
    let mut device = Powered::on(chip, &folder)?;
    let mut gateway = Gateway::meet(&mut device)?;
    gateway.tell_time(&mut device)?;

    let order = gateway.command([1; 16])?;
    device.ask(Kind::Command, &order)?;
    let grant = gateway.grant([7; 8])?;
    let shown = gateway.presentation(&mut device, &grant)?;
    gateway.is_done(&device.ask(Kind::Use, &shown)?)?;
    expect_refusal(&mut device, Kind::Use, &shown, Refusal::WrongNonce)?;
    wait_for_signature(&mut gateway, &mut device)?;
    let mut said = vec![device.cut()?];

    // What it did before power went it does not do again.
    let mut device = Powered::on(chip, &folder)?;
    gateway.meet_again(&mut device)?;
    if device.refusal(Kind::Command, &gateway.command([2; 16])?)? != [Failure::NoTime.code(), 0] {
        return Err("a command is judged without a time".into());
    }
    gateway.tell_time(&mut device)?;
    device.noise(&noise())?;
    device.ask(Kind::Command, &order)?;
    let shown = gateway.presentation(&mut device, &grant)?;
    expect_refusal(&mut device, Kind::Use, &shown, Refusal::UsedUp)?;
    let revocation = gateway.revocation([8; 8])?;
    device.ask(Kind::Revocation, &revocation)?;
    let taken_back = gateway.grant([8; 8])?;
    let shown = gateway.presentation(&mut device, &taken_back)?;
    expect_refusal(&mut device, Kind::Use, &shown, Refusal::Revoked)?;
    wait_for_signature(&mut gateway, &mut device)?;
    said.push(device.cut()?);
    gateway.conclude()?;
    if shows_secrets(&fs::read(folder.join("memory"))?, &gateway) {
        return Err("the memory shows what it should keep to itself".into());
    }
    Ok(longest(&said))
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

/// Whether the memory shows a name or a key, apart from the device's secret, which a chip in use has elsewhere.
fn shows_secrets(memory: &[u8], gateway: &Gateway) -> bool {
    let kept = &memory[..MEMORY_BYTES - SECRET_BYTES];
    let shows = |secret: &[u8]| kept.windows(secret.len()).any(|window| window == secret);
    gateway.secrets().iter().any(|secret| shows(secret))
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
